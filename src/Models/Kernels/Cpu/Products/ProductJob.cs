using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Products;

/// <summary>
/// <c>y = activation(x w^T + bias) [+ y or * y]</c>, or <c>activation(x gate^T + bias) * (x up^T + bias)</c>. An item is a panel of one or
/// two blocks of 16 outputs of one of the projection's matrices for a group of rows, so threads split outputs (and rows, where there are
/// many), never the inputs.
/// </summary>
internal sealed unsafe class ProductJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    /// <summary>Rows of one item: enough to read a panel once per item from memory and from then on from the nearest cache.</summary>
    private const int GroupRows = 48;

    /// <summary>Bytes of a matrix whose model probably stays in a cache from pass to pass.</summary>
    private const long LikelyCached = 1 << 20;

    private MatrixItems[] _parts = new MatrixItems[4];
    private int _partCount;
    private int _groups;
    private Tensor _x;
    private Tensor _y;
    private Tensor _bias;
    private Tensor _upBias;
    private Epilogue _epilogue;
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
        Begin(x, y, epilogue, weights.Bias);
        if (_parts.Length < weights.Parts.Length)
        {
            _parts = new MatrixItems[weights.Parts.Length];
        }

        int column = 0;
        foreach (WeightMatrix part in weights.Parts)
        {
            Check(part, column);
            int panelBlocks = part is DenseMatrix ? TileTable<T>.PanelBlocks(_x.Rows, fromMemory: part.Bytes > LikelyCached) : 1;
            Add((CpuMatrix)part, null, column, panelBlocks, x, set);
            column += part.Rows;
        }
    }

    /// <param name="set">The kernels of quantised matrices.</param>
    public void SetGated(Projection gate, Projection up, InputRows x, Tensor y, Activation activation, QuantisedSet set)
    {
        Begin(x, y, new Epilogue(activation), gate.Bias);
        _upBias = up.Bias;
        Check(gate.Parts[0], 0);
        Check(up.Parts[0], 0);
        Add((CpuMatrix)gate.Parts[0], (CpuMatrix)up.Parts[0], 0, panelBlocks: 1, x, set);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    public override void Run(int first, int end, int worker)
    {
        // Of a tile, or of a group of rows and two blocks, gate and up.
        const int Line = 64;
        byte* room = stackalloc byte[Line + (sizeof(float) * Math.Max(TileTable<T>.MaxSums, 2 * GroupRows * CpuMatrix.BlockRows))];
        float* sums = (float*)(((nint)room + Line - 1) & ~(Line - 1));
        for (int item = first; item < end; item++)
        {
            int number = 0;
            while (item >= _parts[number].EndItem)
            {
                number++;
            }

            ref readonly MatrixItems part = ref _parts[number];
            int within = item - part.FirstItem;
            int panel = within / _groups;
            int group = within - (panel * _groups);
            int firstRow = (int)((long)_x.Rows * group / _groups);
            int endRow = (int)((long)_x.Rows * (group + 1) / _groups);
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
                    RunBlock(part, block, firstRow, endRow, sums);
                }
            }
        }
    }

    private void Begin(InputRows x, Tensor y, Epilogue epilogue, Tensor bias)
    {
        (_x, _y, _epilogue, _bias) = (CpuInput.Read(x), y, epilogue, bias);
        _stale = false;
        _groups = (_x.Rows + GroupRows - 1) / GroupRows;
        _partCount = 0;
        Work = 0;
    }

    private void Check(WeightMatrix weights, int column)
    {
        if (_x.Columns != weights.Columns || _y.Columns < column + weights.Rows || _y.Rows != _x.Rows)
        {
            throw new ArgumentException(
                $"A product of x [{_x.Rows}, {_x.Columns}] and w [{weights.Rows}, {weights.Columns}] does not fit y [{_y.Rows}, "
                    + $"{_y.Columns}].");
        }
    }

    private void Add(CpuMatrix weights, CpuMatrix? up, int column, int panelBlocks, InputRows x, QuantisedSet set)
    {
        int firstItem = _partCount == 0 ? 0 : _parts[_partCount - 1].EndItem;
        int items = (weights.Blocks + panelBlocks - 1) / panelBlocks * _groups;
        var dense = weights as DenseMatrix;
        bool plain = dense is not null && (up is null || ((up as DenseMatrix)?.Type == dense.Type && TileTable<T>.Blocks > 1));
        _parts[_partCount++] =
            new MatrixItems(weights, up, column, panelBlocks, firstItem, firstItem + items, Sum(weights, x, set), Sum(up, x, set))
            {
                Plain = plain,
                Blocks = weights.Blocks,
                BlockBytes = (nint)(dense?.BlockBytes ?? 0),
                Type = dense?.Type ?? DType.F32,
            };
        Work += (long)weights.Rows * weights.Columns * _x.Rows * (up is null ? 1 : 2);
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
    private void RunBlock(in MatrixItems part, int block, int firstRow, int endRow, float* sums)
    {
        bool integers = part.Weights is QuantisedMatrix && (part.Up is null or QuantisedMatrix);
        float* upSums = sums + (GroupRows * CpuMatrix.BlockRows);
        int rows;
        for (int row = firstRow; row < endRow; row += rows)
        {
            rows = NextRows(endRow - row, integers ? GroupRows : TileTable<T>.MaxRows);
            Sums(part.Weights, part.Sum, block, row, rows, sums);
            if (part.Up is null)
            {
                Finish(part, sums, 1, block, row, rows);
            }
            else
            {
                Sums(part.Up, part.UpSum, block, row, rows, upSums);
                FinishGated(part, sums, upSums, CpuMatrix.BlockRows, block, row, rows);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Sums(CpuMatrix matrix, SumKernel kernel, int block, int row, int rows, float* sums)
    {
        if (matrix is QuantisedMatrix quantised)
        {
            QuantisedLayout layout = quantised.Layout;
            kernel.Sum(layout, (byte*)matrix.Data + (block * layout.BlockBytes), _integers, row, rows, sums);
            return;
        }

        var dense = (DenseMatrix)matrix;
        nint blockBytes = (nint)dense.BlockBytes;
        PanelSource panel =
            PanelSource.Adjacent((byte*)dense.Data + (block * blockBytes), blockBytes, 1, 2 * CpuMatrix.BlockRows * dense.Type.Size());
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
        float* factors = part.Weights.Factors;
        for (int row = firstRow; row < firstRow + rows; row++)
        {
            for (int block = firstBlock; block < firstBlock + blocks; block++)
            {
                int output = block * CpuMatrix.BlockRows;
                int lanes = Math.Min(CpuMatrix.BlockRows, part.Weights.Rows - output);
                output += part.Column;
                float* y = (float*)_y.Data + ((long)row * _y.Stride) + output;
                T sum = T.Load(sums);
                sums += CpuMatrix.BlockRows;
                if (factors != null)
                {
                    sum *= T.Load(factors + (block * CpuMatrix.BlockRows));
                }

                if (_bias.Data != 0)
                {
                    sum += Load((float*)_bias.Data + output, lanes);
                }

                sum = Activate(sum, _epilogue.Activation);
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
        int lanes = Math.Min(CpuMatrix.BlockRows, _y.Columns - output);
        float* gateFactors = part.Weights.Factors;
        float* upFactors = part.Up!.Factors;
        for (int row = firstRow; row < firstRow + rows; row++)
        {
            T gateSum = gateFactors == null ? T.Load(gate) : T.Load(gate) * T.Load(gateFactors + output);
            T upSum = upFactors == null ? T.Load(up) : T.Load(up) * T.Load(upFactors + output);
            gateSum = _bias.Data == 0 ? gateSum : gateSum + Load((float*)_bias.Data + output, lanes);
            upSum = _upBias.Data == 0 ? upSum : upSum + Load((float*)_upBias.Data + output, lanes);
            T value = Activate(gateSum, _epilogue.Activation) * upSum;
            Store(value, (float*)_y.Data + ((long)row * _y.Stride) + output, lanes);
            gate += stride;
            up += stride;
        }
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
        /// <summary>A matrix of plain numbers, or a gated pair of one type whose panels are taken together.</summary>
        public required bool Plain { get; init; }

        public required int Blocks { get; init; }

        /// <summary>Of plain numbers: bytes of 16 outputs.</summary>
        public required nint BlockBytes { get; init; }

        /// <summary>Of plain numbers.</summary>
        public required DType Type { get; init; }
    }
}
