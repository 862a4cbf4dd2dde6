using System.Runtime.CompilerServices;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cpu;
using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Tensors;

namespace Understory.Benchmarks;

/// <summary>Products of some rows with matrices one after the other in memory: an item is a block of 16 outputs.</summary>
internal sealed unsafe class QuantisedJob : Job, IDisposable
{
    private readonly QuantisedLayout _layout;
    private readonly SumKernel _kernel;
    private readonly byte* _weights;
    private readonly float* _x;
    private readonly int _rows;
    private readonly NativeMemoryBlock _memory;
    private readonly QuantisedInput _input;

    public QuantisedJob(QuantisedLayout layout, QuantisedSet set, byte* weights, int matrices, float* x, int rows)
    {
        _layout = layout;
        _kernel = QuantisedKernels.Choose(layout, set);
        _weights = weights;
        _x = x;
        _rows = rows;
        Items = matrices * layout.Blocks;
        _memory = new NativeMemoryBlock(QuantisedInput.Bytes(rows, layout.Columns));
        _input = new QuantisedInput(_memory.Address, rows, layout.Columns);
        Quantise();
    }

    public int Items { get; }

    public void Quantise()
    {
        for (int row = 0; row < _rows; row++)
        {
            _input.Quantise(_x + ((long)row * _layout.Columns), row);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        float* sums = stackalloc float[_rows * QuantisedLayout.Outputs];
        for (int item = first; item < end; item++)
        {
            _kernel.Sum(_layout, _weights + (item * _layout.BlockBytes), _input, 0, _rows, sums);
        }
    }

    public void Dispose() => _memory.Dispose();
}

/// <summary>One row through bf16 matrices from memory: what the products of quantised weights are held against.</summary>
internal sealed class PlainProduct : IDisposable
{
    private readonly IKernels _kernels;
    private readonly Projection[] _matrices;
    private readonly MemoryBlock _weights;
    private readonly MemoryBlock _memory;
    private readonly ProductInput _x;
    private readonly Tensor _y;

    public PlainProduct(IKernels kernels, int width, long bytes)
    {
        _kernels = kernels;
        long one = kernels.Describe(DenseFormat.BF16, width, width).Bytes;
        _weights = kernels.Allocate(bytes / one * one);
        Bytes = _weights.Bytes;
        unsafe
        {
            new Span<ushort>((void*)_weights.Address, (int)(Bytes / 2)).Fill(0x3C00);
        }

        _matrices = [.. Enumerable.Range(0, (int)(bytes / one)).Select(i =>
        {
            WeightMatrix matrix = kernels.Describe(DenseFormat.BF16, width, width);
            matrix.Place(_weights, i * one);
            return new Projection(matrix);
        })];
        _memory = kernels.Allocate(4L * width);
        _x = kernels.CreateInput(1, width, [DenseFormat.BF16]);
        _y = _memory.View(DType.F32, 1, width, width);
    }

    public long Bytes { get; }

    public void Run()
    {
        foreach (Projection matrix in _matrices)
        {
            _kernels.Multiply(_x.Rows(0, 1), matrix, _y);
        }
    }

    public void Dispose()
    {
        _weights.Dispose();
        _memory.Dispose();
        _x.Dispose();
    }
}
