using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Products;

/// <summary>
/// <c>y = activation(x w^T + bias) [+ y]</c>, or <c>activation(x gate^T) * (x up^T)</c>. An item is a panel of one or two blocks of 16 outputs
/// for a group of rows, so threads split outputs (and rows, where there are many), never the inputs.
/// </summary>
internal sealed unsafe class ProductJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    /// <summary>Rows of one item: enough to read a panel once per item from memory and from then on from the nearest cache.</summary>
    private const int GroupRows = 48;

    /// <summary>Bytes of a matrix whose model probably stays in a cache from pass to pass.</summary>
    private const long LikelyCached = 1 << 20;

    private byte* _weights;
    private nint _blockBytes;
    private nint _gateToUp;
    private int _pairBytes;
    private int _inputs;
    private int _outputs;
    private int _blocks;
    private int _panelBlocks;
    private int _groups;
    private bool _gated;
    private Tensor _x;
    private Tensor _y;
    private Epilogue _epilogue;
    private delegate*<int, int, delegate*<in PanelSource, float*, nint, int, float*, void>> _tiles;

    /// <summary>Items of the product at hand.</summary>
    public int Items => ((_blocks + _panelBlocks - 1) / _panelBlocks) * _groups;

    public void Set(WeightMatrix weights, Tensor x, Tensor y, in Epilogue epilogue)
    {
        Set(weights, x, y);
        _epilogue = epilogue;
        _gated = false;
        _panelBlocks = TileTable<T>.PanelBlocks(x.Rows, fromMemory: weights.Bytes > LikelyCached);
    }

    public void SetGated(WeightMatrix gate, WeightMatrix up, Tensor x, Tensor y, Activation activation)
    {
        Set(gate, x, y);
        _epilogue = new Epilogue(Activation: activation);
        _gated = true;
        _gateToUp = up.Data - gate.Data;
        _panelBlocks = 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        float* sums = stackalloc float[TileTable<T>.MaxSums];
        for (int item = first; item < end; item++)
        {
            int panel = item / _groups;
            int group = item - (panel * _groups);
            int firstRow = (int)((long)_x.Rows * group / _groups);
            int endRow = (int)((long)_x.Rows * (group + 1) / _groups);
            int endBlock = Math.Min(_blocks, (panel + 1) * _panelBlocks);
            int blocks;
            for (int block = panel * _panelBlocks; block < endBlock; block += blocks)
            {
                // The last panel may be smaller: 3 blocks become 2 and 1.
                blocks = TileTable<T>.NextPanel(endBlock - block, _panelBlocks);
                RunPanel(block, blocks, firstRow, endRow, sums);
            }
        }
    }

    private void Set(WeightMatrix weights, Tensor x, Tensor y)
    {
        if (x.Columns != weights.Columns || y.Columns != weights.Rows || y.Rows != x.Rows)
        {
            throw new ArgumentException(
                $"A product of x [{x.Rows}, {x.Columns}] and w [{weights.Rows}, {weights.Columns}] does not fit y [{y.Rows}, {y.Columns}].");
        }

        _weights = (byte*)weights.Data;
        _blockBytes = (nint)weights.BlockBytes;
        _pairBytes = 2 * WeightMatrix.BlockRows * weights.Type.Size();
        _inputs = weights.Columns;
        _outputs = weights.Rows;
        _blocks = weights.Blocks;
        _x = x;
        _y = y;
        _groups = (x.Rows + GroupRows - 1) / GroupRows;
        _tiles = weights.Type switch
        {
            DType.BF16 => &TileTable<T>.Sum<BFloat16Weights>,
            DType.F16 => &TileTable<T>.Sum<Float16Weights>,
            _ => &TileTable<T>.Sum<Float32Weights>,
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunPanel(int block, int blocks, int firstRow, int endRow, float* sums)
    {
        byte* weights = _weights + (block * _blockBytes);
        int tileBlocks = _gated && TileTable<T>.Blocks > 1 ? 2 : blocks;
        PanelSource panel = tileBlocks > blocks
            ? PanelSource.Apart(weights, _gateToUp, _blockBytes, _pairBytes)
            : PanelSource.Adjacent(weights, _blockBytes, blocks, _pairBytes);
        float* x = (float*)_x.Data + ((long)firstRow * _x.Stride);
        int rows;
        for (int row = firstRow; row < endRow; row += rows)
        {
            // Rows are split evenly: 7 become 4 and 3, never 6 and a slow 1.
            int tilesLeft = (endRow - row + TileTable<T>.MaxRows - 1) / TileTable<T>.MaxRows;
            rows = (endRow - row + tilesLeft - 1) / tilesLeft;
            var tile = _tiles(rows, tileBlocks);
            tile(panel, x, _x.Stride, _inputs, sums);
            if (_gated)
            {
                if (tileBlocks == 2)
                {
                    FinishGated(sums, sums + WeightMatrix.BlockRows, 2 * WeightMatrix.BlockRows, block, row, rows);
                }
                else
                {
                    float* up = sums + (TileTable<T>.MaxRows * WeightMatrix.BlockRows);
                    tile(PanelSource.Adjacent(weights + _gateToUp, _blockBytes, 1, _pairBytes), x, _x.Stride, _inputs, up);
                    FinishGated(sums, up, WeightMatrix.BlockRows, block, row, rows);
                }
            }
            else
            {
                Finish(sums, blocks, block, row, rows);
            }

            x += (long)rows * _x.Stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Finish(float* sums, int blocks, int firstBlock, int firstRow, int rows)
    {
        for (int row = firstRow; row < firstRow + rows; row++)
        {
            for (int block = firstBlock; block < firstBlock + blocks; block++)
            {
                int output = block * WeightMatrix.BlockRows;
                int lanes = Math.Min(WeightMatrix.BlockRows, _outputs - output);
                float* y = (float*)_y.Data + ((long)row * _y.Stride) + output;
                T sum = T.Load(sums);
                sums += WeightMatrix.BlockRows;
                if (_epilogue.Bias.Data != 0)
                {
                    sum += Load((float*)_epilogue.Bias.Data + output, lanes);
                }

                sum = Activate(sum, _epilogue.Activation);
                if (_epilogue.AddToOutput)
                {
                    sum = Load(y, lanes) + sum;
                }

                Store(sum, y, lanes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FinishGated(float* gate, float* up, int stride, int block, int firstRow, int rows)
    {
        int output = block * WeightMatrix.BlockRows;
        for (int row = firstRow; row < firstRow + rows; row++)
        {
            T value = Activate(T.Load(gate), _epilogue.Activation) * T.Load(up);
            Store(value, (float*)_y.Data + ((long)row * _y.Stride) + output, Math.Min(WeightMatrix.BlockRows, _outputs - output));
            gate += stride;
            up += stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Activate(T x, Activation activation) => activation switch
    {
        Activation.GeluTanh => VectorMath.GeluTanh(x),
        Activation.Silu => VectorMath.Silu(x),
        _ => x,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Load(float* source, int lanes) =>
        lanes == WeightMatrix.BlockRows ? T.Load(source) : VectorMath.LoadPart<T>(source, lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(T value, float* target, int lanes)
    {
        if (lanes == WeightMatrix.BlockRows)
        {
            value.Store(target);
        }
        else
        {
            VectorMath.StorePart(value, target, lanes);
        }
    }
}
