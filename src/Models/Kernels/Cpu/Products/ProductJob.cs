using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Products;

/// <summary>
/// <c>y = activation(x w^T + bias) [+ y or * y]</c>, or <c>unit(x gate^T + bias, x up^T + bias)</c>. An item is a panel of one or two
/// blocks of 16 outputs of one of the matrices for a group of rows, so threads split outputs (and rows, where there are many), never the
/// inputs. Matrices side by side have columns of their own and all rows; those of experts have rows of their own and all columns.
/// </summary>
/// <param name="workers">Threads that may run the job.</param>
internal sealed unsafe class ProductJob<T>(int workers) : Job, IDisposable
    where T : unmanaged, ILanes<T>
{
    /// <summary>Rows of one item: enough to read a panel once per item from memory and from then on from the nearest cache.</summary>
    private const int GroupRows = 48;

    /// <summary>Bytes of a matrix whose model probably stays in a cache from pass to pass.</summary>
    private const long LikelyCached = 1 << 20;

    /// <summary>Of each worker, for a block and for the up that belongs to it.</summary>
    private readonly BlockRoom[] _rooms = [.. Enumerable.Range(0, 2 * workers).Select(_ => new BlockRoom())];

    private MatrixItems[] _parts = new MatrixItems[4];
    private int _partCount;
    private Tensor _x;
    private Tensor _y;
    private Epilogue _epilogue;
    private GatedUnit _unit;
    private QuantisedInput _integers;
    private bool _stale;

    /// <summary>The inputs as integers, where a quantised matrix reads them.</summary>
    public QuantisedInput Integers => _integers;

    /// <summary><see cref="Integers"/> are wanted and must be made.</summary>
    public bool Stale => _stale;

    /// <summary>Items of the product at hand.</summary>
    public int Items => _parts[_partCount - 1].EndItem;

    /// <summary>Its multiply-adds.</summary>
    public long Work { get; private set; }

    /// <param name="set">The kernels of quantised matrices.</param>
    public void Set(Projection weights, InputRows x, Tensor y, Epilogue epilogue, QuantisedSet set)
    {
        Begin(x, y, weights.Parts.Length);
        _epilogue = epilogue;
        int column = 0;
        foreach (WeightMatrix part in weights.Parts)
        {
            Add((CpuMatrix)part, null, column, (0, x.Count), (At(weights.Bias, column), 0), x, set);
            column += part.Rows;
        }
    }

    /// <param name="set">The kernels of quantised matrices.</param>
    public void SetGated(Projection gate, Projection up, InputRows x, Tensor y, Activation activation, QuantisedSet set)
    {
        Begin(x, y, 1);
        _unit = new GatedUnit(activation);
        Add((CpuMatrix)gate.Parts[0], (CpuMatrix)up.Parts[0], 0, (0, x.Count), (At(gate.Bias, 0), At(up.Bias, 0)), x, set);
    }

    /// <summary>Each expert's matrix for its places.</summary>
    /// <param name="up">Null: the products are not gated.</param>
    public void SetExperts(
        Routing routing, ExpertProjection weights, ExpertProjection? up, in GatedUnit unit, InputRows x, Tensor y, QuantisedSet set)
    {
        Begin(x, y, weights.Matrices.Length);
        (_epilogue, _unit) = (new Epilogue(), unit);
        for (int expert = 0; expert < weights.Matrices.Length; expert++)
        {
            (int first, int end) = (routing.First[expert], routing.First[expert + 1]);
            if (first < end)
            {
                nint upBias = up is null ? 0 : At(up.Bias, 0, expert);
                Add((CpuMatrix)weights.Matrices[expert], (CpuMatrix?)up?.Matrices[expert], 0, (first, end),
                    (At(weights.Bias, 0, expert), upBias), x, set);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    public override void Run(int first, int end, int worker)
    {
        // Of a tile, or of a group of rows and two blocks, gate and up.
        const int Line = 64;
        byte* room = stackalloc byte[Line + (sizeof(float) * Math.Max(TileTable<T>.MaxSums, 2 * GroupRows * CpuMatrix.BlockRows))];
        float* sums = (float*)(((nint)room + Line - 1) & ~(Line - 1));
        int number = 0;
        for (int item = first; item < end; item++)
        {
            while (item >= _parts[number].EndItem)
            {
                number++;
            }

            ref readonly MatrixItems part = ref _parts[number];
            int within = item - part.FirstItem;
            int panel = within / part.Groups;
            int group = within - (panel * part.Groups);
            int firstRow = part.FirstRow + (int)((long)part.Rows * group / part.Groups);
            int endRow = part.FirstRow + (int)((long)part.Rows * (group + 1) / part.Groups);
            int endBlock = Math.Min(part.Blocks, (panel + 1) * part.PanelBlocks);
            int blocks;
            for (int block = panel * part.PanelBlocks; block < endBlock; block += blocks)
            {
                // The last panel may be smaller: 3 blocks become 2 and 1.
                blocks = TileTable<T>.NextPanel(endBlock - block, part.PanelBlocks);
                if (part.Plain)
                {
                    RunPanel(part, block, blocks, firstRow, endRow, sums);
                }
                else
                {
                    RunBlock(part, block, firstRow, endRow, sums, worker);
                }
            }
        }
    }

    public void Dispose()
    {
        foreach (BlockRoom room in _rooms)
        {
            room.Dispose();
        }
    }

    private void Begin(InputRows x, Tensor y, int parts)
    {
        (_x, _y) = (CpuInput.Read(x), y);
        _stale = false;
        _partCount = 0;
        Work = 0;
        if (_parts.Length < parts)
        {
            _parts = new MatrixItems[parts];
        }
    }

    /// <summary>Where a bias begins; 0 where there is none.</summary>
    private static nint At(Tensor bias, int column, int row = 0) =>
        bias.Data == 0 ? 0 : bias.RowRange(row, 1).ColumnRange(column, 1).Data;

    /// <param name="column">Of y: the first output's.</param>
    /// <param name="rows">Of x and of y.</param>
    private void Add(
        CpuMatrix weights, CpuMatrix? up, int column, (int First, int End) rows, (nint Own, nint Up) bias, InputRows x, QuantisedSet set)
    {
        Check(weights, column, rows.End);
        Check(up ?? weights, column, rows.End);
        int count = rows.End - rows.First;
        int groups = (count + GroupRows - 1) / GroupRows;
        var dense = weights as DenseMatrix;
        bool plain = dense is { IsMapped: false }
            && (up is null || (up is DenseMatrix { IsMapped: false } other && other.Type == dense.Type && TileTable<T>.Blocks > 1));
        int panelBlocks = plain && up is null ? TileTable<T>.PanelBlocks(count, fromMemory: weights.Bytes > LikelyCached) : 1;
        int firstItem = _partCount == 0 ? 0 : _parts[_partCount - 1].EndItem;
        int items = (weights.Blocks + panelBlocks - 1) / panelBlocks * groups;
        _parts[_partCount++] =
            new MatrixItems(weights, up, column, panelBlocks, firstItem, firstItem + items, Sum(weights, x, set), Sum(up, x, set))
            {
                FirstRow = rows.First,
                Rows = count,
                Groups = groups,
                Bias = bias.Own,
                UpBias = bias.Up,
                Plain = plain,
                Blocks = weights.Blocks,
                BlockBytes = (nint)(dense?.BlockBytes ?? 0),
                Type = dense?.Type ?? DType.F32,
            };
        Work += (long)weights.Rows * weights.Columns * count * (up is null ? 1 : 2);
    }

    private void Check(CpuMatrix weights, int column, int endRow)
    {
        if (_x.Columns != weights.Columns || _y.Columns < column + weights.Rows || Math.Min(_x.Rows, _y.Rows) < endRow)
        {
            throw new ArgumentException(
                $"A product of x [{_x.Rows}, {_x.Columns}] and w [{weights.Rows}, {weights.Columns}] does not fit y [{_y.Rows}, "
                    + $"{_y.Columns}].");
        }
    }

    /// <summary>The kernel of a quantised matrix; none for a plain one.</summary>
    private SumKernel Sum(CpuMatrix? matrix, InputRows x, QuantisedSet set)
    {
        if (matrix is not QuantisedMatrix quantised)
        {
            return default;
        }

        _integers = CpuInput.Integers(x, out bool stale);
        _stale |= stale;
        return QuantisedKernels.Choose(quantised.Layout, set);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunPanel(in MatrixItems part, int block, int blocks, int firstRow, int endRow, float* sums)
    {
        nint blockBytes = part.BlockBytes;
        int pairBytes = 2 * CpuMatrix.BlockRows * part.Type.Size();
        byte* weights = (byte*)part.Weights.Data + (block * blockBytes);
        bool gated = part.Up is not null;
        PanelSource panel = gated
            ? PanelSource.Apart(weights, part.Up!.Data - part.Weights.Data, blockBytes, pairBytes)
            : PanelSource.Adjacent(weights, blockBytes, blocks, pairBytes);
        float* x = (float*)_x.Data + ((long)firstRow * _x.Stride);
        int rows;
        for (int row = firstRow; row < endRow; row += rows)
        {
            rows = NextRows(endRow - row, TileTable<T>.MaxRows);
            Tile(part.Type, rows, gated ? 2 : blocks)(panel, x, _x.Stride, _x.Columns, sums);
            if (gated)
            {
                FinishGated(part, sums, sums + CpuMatrix.BlockRows, 2 * CpuMatrix.BlockRows, block, row, rows);
            }
            else
            {
                Finish(part, sums, blocks, block, row, rows);
            }

            x += (long)rows * _x.Stride;
        }
    }

    /// <summary>One block of 16 outputs of a quantised matrix, or of a gated pair of unlike ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunBlock(in MatrixItems part, int block, int firstRow, int endRow, float* sums, int worker)
    {
        byte* weights = part.Weights.Block(block, _rooms[2 * worker]);
        byte* up = part.Up is null ? null : part.Up.Block(block, _rooms[(2 * worker) + 1]);
        bool integers = part.Weights is QuantisedMatrix && (part.Up is null or QuantisedMatrix);
        float* upSums = sums + (GroupRows * CpuMatrix.BlockRows);
        int rows;
        for (int row = firstRow; row < endRow; row += rows)
        {
            rows = NextRows(endRow - row, integers ? GroupRows : TileTable<T>.MaxRows);
            Sums(part.Weights, part.Sum, weights, row, rows, sums);
            if (part.Up is null)
            {
                Finish(part, sums, 1, block, row, rows);
            }
            else
            {
                Sums(part.Up, part.UpSum, up, row, rows, upSums);
                FinishGated(part, sums, upSums, CpuMatrix.BlockRows, block, row, rows);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Sums(CpuMatrix matrix, SumKernel kernel, byte* weights, int row, int rows, float* sums)
    {
        if (matrix is QuantisedMatrix quantised)
        {
            kernel.Sum(quantised.Layout, weights, _integers, row, rows, sums);
            return;
        }

        var dense = (DenseMatrix)matrix;
        PanelSource panel = PanelSource.Adjacent(weights, (nint)dense.BlockBytes, 1, 2 * CpuMatrix.BlockRows * dense.Type.Size());
        Tile(dense.Type, rows, 1)(panel, (float*)_x.Data + ((long)row * _x.Stride), _x.Stride, dense.Columns, sums);
    }

    /// <summary>Rows are split evenly: 7 become 4 and 3, never 6 and a slow 1.</summary>
    private static int NextRows(int left, int most)
    {
        int tiles = (left + most - 1) / most;
        return (left + tiles - 1) / tiles;
    }

    private static delegate*<in PanelSource, float*, nint, int, float*, void> Tile(DType type, int rows, int blocks) => type switch
    {
        DType.BF16 => TileTable<T>.Sum<BFloat16Weights>(rows, blocks),
        DType.F16 => TileTable<T>.Sum<Float16Weights>(rows, blocks),
        _ => TileTable<T>.Sum<Float32Weights>(rows, blocks),
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Finish(in MatrixItems part, float* sums, int blocks, int firstBlock, int firstRow, int rows)
    {
        for (int row = firstRow; row < firstRow + rows; row++)
        {
            for (int block = firstBlock; block < firstBlock + blocks; block++)
            {
                int output = block * CpuMatrix.BlockRows;
                int lanes = Math.Min(CpuMatrix.BlockRows, part.Weights.Rows - output);
                float* y = (float*)_y.Data + ((long)row * _y.Stride) + part.Column + output;
                T sum = Activate(Whole(sums, part.Weights.Factors, part.Bias, output, lanes), _epilogue.Activation);
                sums += CpuMatrix.BlockRows;
                if (_epilogue.Add)
                {
                    sum = _epilogue.Scale == 1 ? Load(y, lanes) + sum : T.MultiplyAdd(sum, T.Broadcast(_epilogue.Scale), Load(y, lanes));
                }
                else if (_epilogue.Times)
                {
                    sum = Load(y, lanes) * sum;
                }

                Store(sum, y, lanes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FinishGated(in MatrixItems part, float* gate, float* up, int stride, int block, int firstRow, int rows)
    {
        int output = block * CpuMatrix.BlockRows;
        int lanes = Math.Min(CpuMatrix.BlockRows, part.Weights.Rows - output);
        for (int row = firstRow; row < firstRow + rows; row++)
        {
            T gateSum = Whole(gate, part.Weights.Factors, part.Bias, output, lanes);
            T upSum = Whole(up, part.Up!.Factors, part.UpBias, output, lanes);
            T value = _unit.Limit == 0 ? Activate(gateSum, _unit.Activation) * upSum : Clamped(gateSum, upSum);
            Store(value, (float*)_y.Data + ((long)row * _y.Stride) + output, lanes);
            gate += stride;
            up += stride;
        }
    }

    /// <summary>Sums times their factors, where there are such, and the bias.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Whole(float* sums, float* factors, nint bias, int output, int lanes)
    {
        T sum = T.Load(sums);
        sum = factors == null ? sum : sum * T.Load(factors + output);
        return bias == 0 ? sum : sum + Load((float*)bias + output, lanes);
    }

    /// <summary><c>g / (1 + exp(-Alpha g)) * (u + 1)</c>, clamped so that NaN stays what it is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private T Clamped(T gate, T up)
    {
        T most = T.Broadcast(_unit.Limit);
        T least = T.Broadcast(-_unit.Limit);
        gate = T.Select(T.Greater(gate, most), most, gate);
        up = T.Select(T.Greater(up, most), most, T.Select(T.Greater(least, up), least, up));
        T turn = T.Broadcast(1) + VectorMath.Exp(T.Broadcast(-_unit.Alpha) * gate);
        return gate / turn * (up + T.Broadcast(1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Activate(T x, Activation activation) => activation switch
    {
        Activation.GeluTanh => VectorMath.GeluTanh(x),
        Activation.Silu => VectorMath.Silu(x),
        Activation.Sigmoid => VectorMath.Sigmoid(x),
        _ => x,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Load(float* source, int lanes) =>
        lanes == CpuMatrix.BlockRows ? T.Load(source) : VectorMath.LoadPart<T>(source, lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(T value, float* target, int lanes)
    {
        if (lanes == CpuMatrix.BlockRows)
        {
            value.Store(target);
        }
        else
        {
            VectorMath.StorePart(value, target, lanes);
        }
    }

    /// <summary>The items of one matrix.</summary>
    /// <param name="Up">Of a gated pair.</param>
    /// <param name="Column">Of y: the first output's.</param>
    /// <param name="PanelBlocks">Blocks of 16 outputs of an item.</param>
    /// <param name="Sum">The kernel of a quantised matrix.</param>
    private readonly record struct MatrixItems(
        CpuMatrix Weights, CpuMatrix? Up, int Column, int PanelBlocks, int FirstItem, int EndItem, SumKernel Sum, SumKernel UpSum)
    {
        /// <summary>Of x and of y.</summary>
        public required int FirstRow { get; init; }

        /// <inheritdoc cref="FirstRow"/>
        public required int Rows { get; init; }

        /// <summary>Into which the rows are split.</summary>
        public required int Groups { get; init; }

        /// <summary>Of the first output; 0: none.</summary>
        public required nint Bias { get; init; }

        /// <inheritdoc cref="Bias"/>
        public required nint UpBias { get; init; }

        /// <summary>A matrix of plain numbers, or a gated pair of one type whose panels are taken together.</summary>
        public required bool Plain { get; init; }

        public required int Blocks { get; init; }

        /// <summary>Of plain numbers: bytes of 16 outputs.</summary>
        public required nint BlockBytes { get; init; }

        /// <summary>Of plain numbers.</summary>
        public required DType Type { get; init; }
    }
}
