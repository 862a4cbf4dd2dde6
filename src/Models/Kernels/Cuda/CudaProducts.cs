using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>Matrix products, and what they do on the way in (a norm) and on the way out (keys and values to the cache).</summary>
internal sealed unsafe class CudaProducts(CudaDriver driver, KernelModules modules, PassGraphs graphs, bool overlap) : IDisposable
{
    /// <summary>Rows up to which the kernel that reads its weights once is the best.</summary>
    private const int MostNarrow = 64;

    /// <summary>Inputs in the weights' type.</summary>
    private DeviceMemory? _room;
    private int _columns;

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

    /// <param name="rows">Of x, padded to the pass's bucket. So they are of the products.</param>
    public void Normalize(Tensor x, in Norm norm, Tensor output, int rows)
    {
        const int RowsPerBlock = 4;
        Launch(modules.Norm, Blocks(rows, RowsPerBlock), 1, 32 * RowsPerBlock, new NormArguments
        {
            Norm = Describe(x, norm),
            Output = output.Data,
            Rows = rows,
            OutputStride = output.Stride,
            OutputType = (int)output.Type,
        });
    }

    public void Multiply(in ProductSource x, Projection weights, Tensor y, int rows, Activation activation = Activation.None,
        bool add = false)
    {
        ProductArguments arguments = Arguments(rows, y, activation, add);
        Tensor input = Input(x, rows, (TiledMatrix)weights.Parts[0], fuse: weights.Parts.Length == 1, ref arguments);
        int column = 0;
        foreach (WeightMatrix part in weights.Parts)
        {
            Launch((TiledMatrix)part, null, input, y.ColumnRange(column, part.Rows), BiasOf(weights, column), arguments);
            column += part.Rows;
        }
    }

    public void MultiplyGated(in ProductSource x, TiledMatrix gate, TiledMatrix up, Activation activation, Tensor y, int rows)
    {
        if (up.Type != gate.Type)
        {
            throw new ArgumentException($"A gated pair of {gate.Type} and {up.Type} cannot be multiplied together; convert the checkpoint "
                + "to one type.", nameof(up));
        }

        ProductArguments arguments = Arguments(rows, y, activation, add: false);
        Tensor input = Input(x, rows, gate, fuse: true, ref arguments);
        Launch(gate, up, input, y, default, arguments);
    }

    /// <summary>A product of one matrix that stores keys and values by itself.</summary>
    /// <param name="firstKey">Column of the first key.</param>
    public void MultiplyStore(
        in ProductSource x, Projection weights, Tensor qkv, int rows, nint pass, in LayerArguments keys, in LayerArguments values,
        int firstKey, DType cacheType)
    {
        ProductArguments arguments = Arguments(rows, qkv, Activation.None, add: false);
        arguments.Pass = pass;
        arguments.Keys = keys;
        arguments.Values = values;
        arguments.FirstKey = firstKey;
        arguments.CacheType = (int)cacheType;
        Tensor input = Input(x, rows, (TiledMatrix)weights.Parts[0], fuse: true, ref arguments);
        Launch((TiledMatrix)weights.Parts[0], null, input, qkv, weights.Bias, arguments);
    }

    public void Dispose() => _room?.Dispose();

    private static ProductArguments Arguments(int rows, Tensor y, Activation activation, bool add) => new()
    {
        Rows = rows,
        YStride = y.Stride,
        YType = (int)y.Type,
        Activation = (int)activation,
        Add = add ? 1 : 0,
    };

    private static NormParameters Describe(Tensor x, in Norm norm) => new()
    {
        X = x.Data,
        Weight = norm.Weight.Data,
        Bias = norm.Bias.Data,
        Columns = x.Columns,
        Stride = x.Stride,
        Centred = norm.Kind == NormKind.LayerNorm ? 1 : 0,
        Epsilon = norm.Epsilon,
    };

    private static Tensor BiasOf(Projection weights, int column) =>
        weights.Bias.Data == 0 ? default : weights.Bias.ColumnRange(column, weights.Outputs - column);

    /// <summary>What a product reads, normed: by itself where it can, else by a kernel before it.</summary>
    private Tensor Input(in ProductSource x, int rows, TiledMatrix weights, bool fuse, ref ProductArguments arguments)
    {
        Tensor input = CudaInput.ValuesOf(x.Rows);
        if (x.X.Data == 0)
        {
            return input;
        }

        int columns = x.X.Columns;
        if (fuse && rows <= 8 && input.Type != DType.F32 && input.Type == weights.Type && columns % WeightTiles.TileColumns == 0
            && columns <= KernelModules.MostNormedColumns && KernelModules.NormedShared(columns) <= driver.Device.SharedBytes)
        {
            arguments.Norm = Describe(x.X, x.Norm);
        }
        else
        {
            Normalize(x.X, x.Norm, input, rows);
        }

        return input;
    }

    private void Launch(TiledMatrix weights, TiledMatrix? up, Tensor x, Tensor y, Tensor bias, ProductArguments arguments)
    {
        int rows = arguments.Rows;
        int padded = weights.PaddedColumns;
        if (weights.Type == DType.F32 ? x.Type != DType.F32 : x.Type != weights.Type || padded != x.Columns || x.Stride % 8 != 0
            || x.Data % 16 != 0)
        {
            x = Converted(x, rows, weights.Type, padded);
        }

        arguments.Weights = weights.Data;
        arguments.Up = up?.Data ?? 0;
        arguments.X = x.Data;
        arguments.XStride = x.Stride;
        arguments.Y = y.Data;
        arguments.Bias = bias.Data;
        arguments.Outputs = weights.Rows;
        arguments.Pairs = weights.Type == DType.F32 ? weights.Columns : padded / WeightTiles.TileColumns;
        arguments.WeightStride = padded;
        Launch(arguments, weights.Type);
    }

    private static int Blocks(int items, int perBlock) => (items + perBlock - 1) / perBlock;

    /// <summary>
    /// Tiles a block of a wide product: the larger block reads least, if such blocks fill most of the device. Null: neither kind fills
    /// half of it.
    /// </summary>
    private int? WideTiles(int tiles, int rows, bool gated)
    {
        const int Large = 8;
        const int Small = 4;
        int Count(int wide) => Blocks(tiles, gated ? wide / 2 : wide) * Blocks(rows, KernelModules.WideTokens);
        int multiprocessors = driver.Device.Multiprocessors;
        return 4 * Count(Large) >= 3 * multiprocessors ? Large : 2 * Count(Small) >= multiprocessors ? Small : null;
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
            nint kernel = modules.WideProduct(type, wide);
            Launch(kernel, Blocks(rows, KernelModules.WideTokens), Blocks(tiles, perBlock), 256, arguments, KernelModules.WideShared(wide));
            return;
        }

        int tokenTiles = rows <= 8 ? 1 : rows <= 16 ? 2 : rows <= 32 ? 4 : 8;
        // Two tiles of outputs share what they read of x, where there are blocks enough to fill the device.
        int outputTiles = gated || (tokenTiles >= 4 && tiles >= 2 * driver.Device.Multiprocessors) ? 2 : 1;
        int gridY = gated ? tiles : (tiles + outputTiles - 1) / outputTiles;
        if (arguments.Norm.X != 0)
        {
            Launch(modules.NormedProduct(type, outputTiles), 1, gridY, 256, arguments, KernelModules.NormedShared(arguments.Norm.Columns));
            return;
        }

        nint function = modules.Product(type, outputTiles, tokenTiles);
        Launch(function, (rows + (8 * tokenTiles) - 1) / (8 * tokenTiles), gridY, 256, arguments, KernelModules.ProductShared);
    }

    /// <summary>x in another type, its columns filled up with zeros.</summary>
    private Tensor Converted(Tensor x, int rows, DType type, int padded)
    {
        // Within a pass there is room already: see BeginPass.
        Expect(padded);
        Reserve(rows);
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
