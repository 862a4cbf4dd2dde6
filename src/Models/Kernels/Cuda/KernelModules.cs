using System.Reflection;
using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

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
    private readonly Dictionary<string, nint> _loaded = [];
    private readonly Dictionary<KernelKey, nint> _variants = [];

    public KernelModules(CudaDriver driver)
    {
        const int OldestMajor = 8;
        const int OverlappingMajor = 9;
        _driver = driver;
        if (driver.Device.Major < OldestMajor)
        {
            throw new CudaException("cuDeviceGetAttribute", 209, $"{driver.Device.Name} has compute capability "
                + $"{driver.Device.Major}.{driver.Device.Minor}; these kernels need 8.0 (Ampere) or newer");
        }

        if (driver.Device.SharedBytes < ProductShared)
        {
            throw new CudaException("cuDeviceGetAttribute", 209, $"{driver.Device.Name} allows a block {driver.Device.SharedBytes:N0} "
                + $"bytes of shared memory; these kernels need {ProductShared:N0}");
        }

        int target = driver.Device.Major >= OverlappingMajor ? 90 : 80;
        foreach (string name in _modules)
        {
            _loaded.Add(name, driver.LoadModule(name, Ptx(name, target)));
        }

        Embed = Function("rows", "embed");
        Norm = Function("rows", "norm");
        Store = Function("rows", "store");
        MoveSlots = Function("rows", "move_slots");
        Convert = Function("rows", "convert");
        ProductF32 = Function("product", "product_f32");
        Change = Function("decide", "change");
        Filter = Function("decide", "filter");
        Parts = Function("decide", "parts");
        Merge = Function("decide", "merge");
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

    /// <summary>
    /// The product of blocks of <paramref name="outputTiles"/> (1 or 2) tiles of 16 outputs and <paramref name="tokenTiles"/> (1, 2, 4 or
    /// 8) of 8 tokens.
    /// </summary>
    public nint Product(DType type, int outputTiles, int tokenTiles) => Find(new KernelKey(Kind.Product, type, outputTiles, tokenTiles));

    /// <summary>The product of at most eight tokens that are normalised on the way in.</summary>
    public nint NormedProduct(DType type, int outputTiles) => Find(new KernelKey(Kind.Normed, type, outputTiles, 0));

    /// <summary>
    /// The product of blocks of <paramref name="tiles"/> (4 or 8) tiles of 16 outputs and <see cref="WideTokens"/> tokens.
    /// </summary>
    public nint WideProduct(DType type, int tiles) => Find(new KernelKey(Kind.Wide, type, tiles, 0));

    /// <summary>Shared memory of a block of so many tiles of outputs: four stages of the ring.</summary>
    public static int WideShared(int tiles) => 4 * ((tiles * 1024) + (WideTokens * 64));

    /// <summary>Shared memory of a block that keeps eight normalised rows.</summary>
    public static int NormedShared(int padded) => ProductShared + (8 * ((padded / WeightTiles.TileColumns) | 1) * 64);

    /// <param name="whole">Heads are a multiple of eight dimensions.</param>
    public nint Attend(DType type, bool whole) => Find(new KernelKey(Kind.Attend, type, whole && type != DType.F32 ? 1 : 0, 0));

    /// <summary>Attention of plain sequences' rows that read keys and values together; 0: not for this type.</summary>
    /// <param name="whole">Heads are a multiple of eight dimensions.</param>
    public nint AttendRows(DType type, bool whole) => whole && type != DType.F32 ? Find(new KernelKey(Kind.AttendRows, type, 0, 0)) : 0;

    public void Dispose()
    {
        foreach (nint module in _loaded.Values)
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

    /// <summary>A kernel that comes in several kinds; its name says which.</summary>
    private nint Find(in KernelKey key)
    {
        if (!_variants.TryGetValue(key, out nint function))
        {
            string type = key.Type switch { DType.BF16 => "bf16", DType.F16 => "f16", _ => "f32" };
            function = key.Kind switch
            {
                Kind.Product => Function("product", $"product_{type}_{key.First}x{key.Second}", ProductShared),
                Kind.Normed => Function("product", $"product_{type}_normed_{key.First}",
                    Math.Min(_driver.Device.SharedBytes, NormedShared(MostNormedColumns))),
                Kind.Wide => Function("tiles", $"tiles_{type}_{key.First}", ProductShared),
                Kind.AttendRows => Function("attend", $"attend_{type}_rows"),
                _ => Function("attend", $"attend_{type}{(key.First == 1 ? "" : "_any")}"),
            };
            _variants.Add(key, function);
        }

        return function;
    }

    private nint Function(string module, string name, int sharedBytes = 0) => _driver.GetFunction(_loaded[module], name, sharedBytes);

    private enum Kind
    {
        Product,
        Normed,
        Wide,
        Attend,
        AttendRows,
    }

    private readonly record struct KernelKey(Kind Kind, DType Type, int First, int Second);
}
