using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>
/// Matrix products and the norms in front of them. Within a pass a norm and a product wait for the next operation, whose kernel may do the one on the
/// way in, or which the other may do on the way out: whatever else is launched goes behind <see cref="Flush"/>.
/// </summary>
internal sealed unsafe class CudaProducts(CudaDriver driver, KernelModules modules, PassGraphs graphs, bool overlap) : IDisposable
{
    /// <summary>Rows up to which the kernel that reads its weights once is the best.</summary>
    private const int MostNarrow = 64;

    private NormArguments? _norm;
    private ProductArguments? _product;

    /// <summary>Of the waiting product's weights.</summary>
    private DType _type;

    /// <summary>Inputs in the weights' type.</summary>
    private DeviceMemory? _room;
    private int _columns;

    /// <summary>More operations of a pass follow.</summary>
    public bool InPass { get; set; }

    /// <summary>Inputs may be as long as this.</summary>
    public void Expect(int columns) => _columns = Math.Max(_columns, columns);

    /// <summary>Room for converted inputs; where it moves, what was recorded is void.</summary>
    public void Reserve(int rows)
    {
        const int LeastRows = 256;
        long bytes = (long)Math.Max(rows, LeastRows) * _columns * sizeof(float);
        if (bytes > (_room?.Bytes ?? 0))
        {
            graphs.Clear();
            driver.Synchronize();
            _room?.Dispose();
            _room = null;
            _room = new DeviceMemory(driver, bytes, zeroed: false);
        }
    }

    public void Norm(in NormArguments arguments)
    {
        Flush();
        int columns = arguments.Norm.Columns;
        if (InPass && arguments.Rows <= 8 && arguments.OutputType != (int)DType.F32 && columns % WeightTiles.TileColumns == 0
            && columns <= KernelModules.MostNormedColumns && KernelModules.NormedShared(columns) <= driver.Device.SharedBytes)
        {
            _norm = arguments;
            return;
        }

        Launch(arguments);
    }

    /// <param name="up">The gated pair's second matrix.</param>
    /// <param name="rows">Of x, padded to the pass's bucket.</param>
    public void Multiply(WeightMatrix weights, WeightMatrix? up, Tensor x, Tensor y, int rows, in Epilogue epilogue)
    {
        if (rows == 0)
        {
            return;
        }

        if (up is not null && up.Type != weights.Type)
        {
            throw new ArgumentException($"A gated pair of {weights.Type} and {up.Type} cannot be multiplied together; convert the checkpoint to one type.", nameof(up));
        }

        int padded = WeightTiles.Padded(weights.Type, weights.Columns);
        NormParameters norm = default;
        if (_norm is { } waiting && waiting.Output == x.Data && waiting.Rows == rows && weights.Type == x.Type && padded == x.Columns)
        {
            norm = waiting.Norm;
            _norm = null;
        }

        Flush();
        if (weights.Type == DType.F32 ? x.Type != DType.F32 : x.Type != weights.Type || padded != x.Columns || x.Stride % 8 != 0 || x.Data % 16 != 0)
        {
            x = Converted(x, rows, weights.Type, padded);
        }

        ProductArguments arguments = new()
        {
            Weights = weights.Data,
            Up = up?.Data ?? 0,
            X = x.Data,
            Y = y.Data,
            Bias = epilogue.Bias.Data,
            Outputs = weights.Rows,
            Pairs = weights.Type == DType.F32 ? weights.Columns : padded / WeightTiles.TileColumns,
            WeightStride = padded,
            XStride = x.Stride,
            YStride = y.Stride,
            Rows = rows,
            Activation = (int)epilogue.Activation,
            YType = (int)y.Type,
            Add = epilogue.AddToOutput ? 1 : 0,
        };
        arguments.Norm = norm;
        if (InPass && !epilogue.AddToOutput && y.Type == DType.F32)
        {
            _product = arguments;
            _type = weights.Type;
            return;
        }

        Launch(arguments, weights.Type);
    }

    /// <summary>Has the waiting product store keys and values by itself; false: there is none, or it is another.</summary>
    /// <param name="qkv">What it writes.</param>
    /// <param name="firstKey">Column of the first key.</param>
    public bool TryStore(nint qkv, int rows, nint pass, in LayerArguments keys, in LayerArguments values, int firstKey, DType cacheType)
    {
        if (_product is not { } product || product.Y != qkv || product.Rows != rows)
        {
            return false;
        }

        product.Pass = pass;
        product.Keys = keys;
        product.Values = values;
        product.FirstKey = firstKey;
        product.CacheType = (int)cacheType;
        _product = product;
        Flush();
        return true;
    }

    /// <summary>Launches what waits.</summary>
    public void Flush()
    {
        if (_norm is { } norm)
        {
            _norm = null;
            Launch(norm);
        }

        if (_product is { } product)
        {
            _product = null;
            Launch(product, _type);
        }
    }

    /// <summary>Forgets what waits.</summary>
    public void Drop()
    {
        _norm = null;
        _product = null;
    }

    public void Dispose() => _room?.Dispose();

    private static int Blocks(int items, int perBlock) => (items + perBlock - 1) / perBlock;

    /// <summary>Tiles a block of a wide product: the larger block reads least, if such blocks fill most of the device. Null: neither kind fills half of it.</summary>
    private int? WideTiles(int tiles, int rows, bool gated)
    {
        const int Large = 8;
        const int Small = 4;
        int Count(int wide) => Blocks(tiles, gated ? wide / 2 : wide) * Blocks(rows, KernelModules.WideTokens);
        int multiprocessors = driver.Device.Multiprocessors;
        return 4 * Count(Large) >= 3 * multiprocessors ? Large : 2 * Count(Small) >= multiprocessors ? Small : null;
    }

    private void Launch(in NormArguments arguments)
    {
        const int RowsPerBlock = 4;
        Launch(modules.Norm, (arguments.Rows + RowsPerBlock - 1) / RowsPerBlock, 1, 32 * RowsPerBlock, arguments);
    }

    private void Launch(in ProductArguments arguments, DType type)
    {
        int rows = arguments.Rows;
        if (type == DType.F32)
        {
            Launch(modules.ProductF32, (rows + 7) / 8, (arguments.Outputs + 7) / 8, 256, arguments);
            return;
        }

        bool gated = arguments.Up != 0;
        int tiles = (arguments.Outputs + WeightTiles.TileRows - 1) / WeightTiles.TileRows;
        if (rows > MostNarrow && WideTiles(tiles, rows, gated) is { } wide)
        {
            int perBlock = gated ? wide / 2 : wide;
            nint kernel = modules.WideProduct(type == DType.BF16, wide);
            Launch(kernel, Blocks(rows, KernelModules.WideTokens), Blocks(tiles, perBlock), 256, arguments, KernelModules.WideShared(wide));
            return;
        }

        int tokenTiles = rows <= 8 ? 1 : rows <= 16 ? 2 : rows <= 32 ? 4 : 8;
        // Two tiles of outputs share what they read of x, where there are blocks enough to fill the device.
        int outputTiles = gated || (tokenTiles >= 4 && tiles >= 2 * driver.Device.Multiprocessors) ? 2 : 1;
        int gridY = gated ? tiles : (tiles + outputTiles - 1) / outputTiles;
        if (arguments.Norm.X != 0)
        {
            Launch(modules.NormedProduct(type == DType.BF16, outputTiles), 1, gridY, 256, arguments, KernelModules.NormedShared(arguments.Norm.Columns));
            return;
        }

        nint function = modules.Product(type == DType.BF16, outputTiles, tokenTiles);
        Launch(function, (rows + (8 * tokenTiles) - 1) / (8 * tokenTiles), gridY, 256, arguments, KernelModules.ProductShared);
    }

    /// <summary>x in another type, its columns filled up with zeros.</summary>
    private Tensor Converted(Tensor x, int rows, DType type, int padded)
    {
        if (!InPass)
        {
            Expect(padded);
            Reserve(rows);
        }

        Launch(modules.Convert, rows, 1, 256, new ConvertArguments
        {
            X = x.Data,
            Y = _room!.Address,
            Columns = x.Columns,
            Padded = padded,
            Stride = x.Stride,
            Type = (int)type,
            SourceType = (int)x.Type,
        });
        return new Tensor(type, rows, padded, _room.Address);
    }

    private void Launch<T>(nint function, int gridX, int gridY, int block, T arguments, int sharedBytes = 0)
        where T : unmanaged => driver.Launch(function, gridX, gridY, block, sharedBytes, (nint)(&arguments), overlap);
}
