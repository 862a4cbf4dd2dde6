using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels.Quantised;

/// <summary>A packed matrix and inputs of one form for a test.</summary>
internal sealed unsafe class QuantisedBed : IDisposable
{
    private readonly Arena _arena;

    public QuantisedBed(FormCase form, int outputs, int columns, int seed = 1, Content? content = null)
    {
        _arena = new Arena(seed);
        Layout = new QuantisedLayout(form.Form, outputs, columns);
        Rows = [.. Enumerable.Range(0, outputs).Select(i => Forms.Row(form, columns, _arena.Random, content ?? (Content)(i % 7)))];
        Weights = (byte*)_arena.Allocate(Layout.Bytes + 64);
        // What packing leaves out would be found as a difference.
        new Span<byte>(Weights, (int)Layout.Bytes + 64).Fill(0xA5);
        for (int block = 0; block < Layout.Blocks; block++)
        {
            int first = block * QuantisedLayout.Outputs;
            Span<QuantisedRow> rows = Rows.AsSpan(first, Math.Min(QuantisedLayout.Outputs, outputs - first));
            QuantisedPacker.Pack(Layout, rows, Weights + (block * Layout.BlockBytes));
        }
    }

    public QuantisedLayout Layout { get; }

    public QuantisedRow[] Rows { get; }

    public byte* Weights { get; }

    public Random Random => _arena.Random;

    public QuantisedInput Quantise(float[][] rows)
    {
        var input = new QuantisedInput(_arena.Allocate(QuantisedInput.Bytes(rows.Length, Layout.Columns)), rows.Length, Layout.Columns);
        for (int row = 0; row < rows.Length; row++)
        {
            fixed (float* x = rows[row])
            {
                input.Quantise(x, row);
            }
        }

        return input;
    }

    /// <summary><c>[rows][outputs]</c>, by the set's kernel.</summary>
    public float[][] Sums(QuantisedSet set, in QuantisedInput input, int firstRow, int rows)
    {
        SumKernel kernel = QuantisedKernels.Choose(Layout, set);
        float[][] all = [.. Enumerable.Range(0, rows).Select(_ => new float[Layout.Blocks * QuantisedLayout.Outputs])];
        float[] sums = new float[rows * QuantisedLayout.Outputs];
        for (int block = 0; block < Layout.Blocks; block++)
        {
            Array.Fill(sums, 7);
            fixed (float* to = sums)
            {
                kernel.Sum(Layout, Weights + (block * Layout.BlockBytes), input, firstRow, rows, to);
            }

            for (int row = 0; row < rows; row++)
            {
                int output = block * QuantisedLayout.Outputs;
                sums.AsSpan(row * QuantisedLayout.Outputs, QuantisedLayout.Outputs).CopyTo(all[row].AsSpan(output));
            }
        }

        return all;
    }

    /// <summary>Rows of ordinary inputs, with one nasty row in between where there are several.</summary>
    public float[][] Inputs(int rows) =>
        [.. Enumerable.Range(0, rows).Select(row => NastyInputs.Row(row % 3 == 1 ? row : 0, Layout.Columns, Random))];

    public void Dispose() => _arena.Dispose();
}
