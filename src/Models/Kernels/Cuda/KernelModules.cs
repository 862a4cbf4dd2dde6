using System.Reflection;
using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.Models.Kernels.Cuda;

/// <summary>The kernels, compiled by the driver from the PTX that is embedded in this assembly.</summary>
internal sealed class KernelModules : IDisposable
{
    /// <summary>Dynamic shared memory of a product's block.</summary>
    public const int ProductShared = 8 * 8192;

    /// <summary>Longest row that a product normalises by itself: of longer ones the copies would leave too little shared memory.</summary>
    public const int MostNormedColumns = 2048;

    /// <summary>Tokens of a block of a wide product.</summary>
    public const int WideTokens = 128;

    /// <summary>Rows of a block of <see cref="AttendRows"/>.</summary>
    public const int RowsTogether = 4;

    private static readonly string[] _modules = ["rows", "product", "attend", "decide", "tiles"];

    private readonly CudaDriver _driver;
    private readonly List<nint> _loaded = [];
    private readonly Dictionary<string, nint> _functions = [];

    public KernelModules(CudaDriver driver)
    {
        const int OldestMajor = 8;
        const int OverlappingMajor = 9;
        _driver = driver;
        if (driver.Device.Major < OldestMajor)
        {
            throw new CudaException("cuDeviceGetAttribute", 209, $"{driver.Device.Name} has compute capability {driver.Device.Major}.{driver.Device.Minor}; these kernels need 8.0 (Ampere) or newer");
        }

        if (driver.Device.SharedBytes < ProductShared)
        {
            throw new CudaException("cuDeviceGetAttribute", 209, $"{driver.Device.Name} allows a block {driver.Device.SharedBytes:N0} bytes of shared memory; these kernels need {ProductShared:N0}");
        }

        int target = driver.Device.Major >= OverlappingMajor ? 90 : 80;
        foreach (string name in _modules)
        {
            _loaded.Add(driver.LoadModule(name, Ptx(name, target)));
        }

        Embed = Function(0, "embed");
        Norm = Function(0, "norm");
        Store = Function(0, "store");
        MoveSlots = Function(0, "move_slots");
        Convert = Function(0, "convert");
        ProductF32 = Function(1, "product_f32");
        Change = Function(3, "change");
        Filter = Function(3, "filter");
        Parts = Function(3, "parts");
        Merge = Function(3, "merge");
    }

    public nint Embed { get; }

    public nint Norm { get; }

    public nint Store { get; }

    public nint MoveSlots { get; }

    public nint Convert { get; }

    public nint ProductF32 { get; }

    public nint Change { get; }

    public nint Filter { get; }

    public nint Parts { get; }

    public nint Merge { get; }

    /// <summary>The product of blocks of <paramref name="outputTiles"/> tiles of 16 outputs and <paramref name="tokenTiles"/> of 8 tokens.</summary>
    public nint Product(bool bf16, int outputTiles, int tokenTiles) => (bf16, outputTiles, tokenTiles) switch
    {
        (true, 1, 1) => Product("product_bf16_1x1"),
        (true, 1, 2) => Product("product_bf16_1x2"),
        (true, 1, 4) => Product("product_bf16_1x4"),
        (true, 1, 8) => Product("product_bf16_1x8"),
        (true, 2, 1) => Product("product_bf16_2x1"),
        (true, 2, 2) => Product("product_bf16_2x2"),
        (true, 2, 4) => Product("product_bf16_2x4"),
        (true, 2, 8) => Product("product_bf16_2x8"),
        (false, 1, 1) => Product("product_f16_1x1"),
        (false, 1, 2) => Product("product_f16_1x2"),
        (false, 1, 4) => Product("product_f16_1x4"),
        (false, 1, 8) => Product("product_f16_1x8"),
        (false, 2, 1) => Product("product_f16_2x1"),
        (false, 2, 2) => Product("product_f16_2x2"),
        (false, 2, 4) => Product("product_f16_2x4"),
        (false, 2, 8) => Product("product_f16_2x8"),
        _ => throw new ArgumentOutOfRangeException(nameof(tokenTiles), tokenTiles, null),
    };

    /// <summary>The product of at most eight tokens that are normalised on the way in.</summary>
    public nint NormedProduct(bool bf16, int outputTiles) => (bf16, outputTiles) switch
    {
        (true, 1) => NormedProduct("product_bf16_normed_1"),
        (true, _) => NormedProduct("product_bf16_normed_2"),
        (false, 1) => NormedProduct("product_f16_normed_1"),
        _ => NormedProduct("product_f16_normed_2"),
    };

    /// <summary>The product of blocks of <paramref name="tiles"/> (4 or 8) tiles of 16 outputs and <see cref="WideTokens"/> tokens.</summary>
    public nint WideProduct(bool bf16, int tiles) => (bf16, tiles) switch
    {
        (true, 4) => Function(4, "tiles_bf16_4", ProductShared),
        (true, _) => Function(4, "tiles_bf16_8", ProductShared),
        (false, 4) => Function(4, "tiles_f16_4", ProductShared),
        _ => Function(4, "tiles_f16_8", ProductShared),
    };

    /// <summary>Shared memory of a block of so many tiles of outputs: four stages of the ring.</summary>
    public static int WideShared(int tiles) => 4 * ((tiles * 1024) + (WideTokens * 64));

    /// <summary>Shared memory of a block that keeps eight normalised rows.</summary>
    public static int NormedShared(int padded) => ProductShared + (8 * ((padded / WeightTiles.TileColumns) | 1) * 64);

    /// <param name="whole">Heads are a multiple of eight dimensions.</param>
    public nint Attend(Tensors.DType type, bool whole) => (type, whole) switch
    {
        (Tensors.DType.BF16, true) => Function(2, "attend_bf16"),
        (Tensors.DType.F16, true) => Function(2, "attend_f16"),
        (Tensors.DType.BF16, false) => Function(2, "attend_bf16_any"),
        (Tensors.DType.F16, false) => Function(2, "attend_f16_any"),
        _ => Function(2, "attend_f32_any"),
    };

    /// <summary>Attention of plain sequences' rows that read keys and values together; 0: not for this type.</summary>
    /// <param name="whole">Heads are a multiple of eight dimensions.</param>
    public nint AttendRows(Tensors.DType type, bool whole) => (type, whole) switch
    {
        (Tensors.DType.BF16, true) => Function(2, "attend_bf16_rows"),
        (Tensors.DType.F16, true) => Function(2, "attend_f16_rows"),
        _ => 0,
    };

    public void Dispose()
    {
        foreach (nint module in _loaded)
        {
            _driver.UnloadModule(module);
        }

        _loaded.Clear();
    }

    /// <summary>The PTX of a module, as it was compiled for sm_80 or sm_90.</summary>
    internal static byte[] Ptx(string name, int target)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"{name}.sm_{target}.ptx")
            ?? throw new InvalidOperationException($"The PTX of {name} for sm_{target} is not in this build.");
        byte[] text = new byte[stream.Length];
        stream.ReadExactly(text);
        return text;
    }

    private nint NormedProduct(string name) => Function(1, name, Math.Min(_driver.Device.SharedBytes, NormedShared(MostNormedColumns)));

    private nint Product(string name) => Function(1, name, ProductShared);

    private nint Function(int module, string name, int sharedBytes = 0)
    {
        if (!_functions.TryGetValue(name, out nint function))
        {
            function = _driver.GetFunction(_loaded[module], name, sharedBytes);
            _functions[name] = function;
        }

        return function;
    }
}
