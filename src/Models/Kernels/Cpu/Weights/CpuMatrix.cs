using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Weights;

/// <summary>
/// Weights in the layout that all CPU sets share: blocks of 16 outputs, each read front to back by one thread; an output never splits over
/// threads. Behind them, where the matrix is scaled, an F32 for each output: what its finished sum is multiplied by, before a bias.
/// </summary>
/// <param name="bytes">Of the blocks, a multiple of 64.</param>
internal abstract unsafe class CpuMatrix(WeightFormat format, int rows, int columns, long bytes, bool scaled)
    : WeightMatrix(format, rows, columns, bytes + (scaled ? (long)BlocksOf(rows) * BlockRows * sizeof(float) : 0))
{
    public const int BlockRows = 16;

    /// <summary>Of outputs, the last one filled up with rows of zeros.</summary>
    public int Blocks { get; } = BlocksOf(rows);

    /// <summary><c>[16 Blocks]</c>; null where sums are multiplied by nothing.</summary>
    public float* Factors => scaled ? (float*)(Data + (nint)bytes) : null;

    /// <summary>Of output <paramref name="row"/>.</summary>
    public float Factor(int row) => scaled ? Factors[row] : 1;

    /// <summary>All weights to one output, as F32.</summary>
    public void ReadRow(int row, Span<float> values)
    {
        Decode(row, values);
        if (scaled)
        {
            float factor = Factors[row];
            for (int i = 0; i < values.Length; i++)
            {
                values[i] *= factor;
            }
        }
    }

    /// <summary>Fills the blocks <c>first .. end</c> of the matrix, which has been placed.</summary>
    /// <param name="rows">Where each output's weights come from.</param>
    public void Pack(MatrixRows rows, int first, int end)
    {
        PackBlocks(rows, first, end);
        if (!scaled && rows.Scaled)
        {
            throw new ArgumentException("A part has a scale, and the matrix was described without.", nameof(rows));
        }

        for (int row = first * BlockRows; scaled && row < Math.Min(Rows, end * BlockRows); row++)
        {
            Factors[row] = rows.Factor(row);
        }
    }

    /// <summary>All weights to one output, less its factor.</summary>
    protected abstract void Decode(int row, Span<float> values);

    /// <inheritdoc cref="Pack"/>
    protected abstract void PackBlocks(MatrixRows rows, int first, int end);

    private static int BlocksOf(int rows) => (rows + BlockRows - 1) / BlockRows;
}
