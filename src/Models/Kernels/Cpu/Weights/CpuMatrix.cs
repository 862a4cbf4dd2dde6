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

    private MatrixRows? _mapped;

    /// <summary>Of outputs, the last one filled up with rows of zeros.</summary>
    public int Blocks { get; } = BlocksOf(rows);

    /// <summary>The rows stay where they are, and every reader packs the blocks that it reads.</summary>
    public bool IsMapped { get; private set; }

    public override long HeldBytes => IsMapped ? Bytes - bytes : Bytes;

    /// <summary>Bytes from one block to the next.</summary>
    public abstract long BlockBytes { get; }

    /// <summary><c>[16 Blocks]</c>; null where sums are multiplied by nothing.</summary>
    public float* Factors => scaled ? (float*)(Data + (IsMapped ? 0 : (nint)bytes)) : null;

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

    /// <inheritdoc cref="IKernelMemory.TryMap"/>
    public bool TryMap() => IsMapped = Format is QuantisedFormat or DenseFormat;

    /// <summary>Remembers where the rows are, of a matrix that is mapped and has been placed.</summary>
    public void Map(MatrixRows rows)
    {
        _mapped = rows;
        SetFactors(rows, 0, Blocks);
    }

    /// <summary>A block as the kernels read it.</summary>
    /// <param name="room">Where it is packed, if the matrix is mapped.</param>
    public byte* Block(int block, BlockRoom room)
    {
        if (!IsMapped)
        {
            return (byte*)Data + (block * BlockBytes);
        }

        byte* packed = room.Reserve(BlockBytes);
        PackBlocks(_mapped!, block, block + 1, packed, room);
        return packed;
    }

    /// <summary>Fills the blocks <c>first .. end</c> of the matrix, which has been placed.</summary>
    /// <param name="rows">Where each output's weights come from.</param>
    public void Pack(MatrixRows rows, int first, int end)
    {
        PackBlocks(rows, first, end, (byte*)Data + (first * BlockBytes), null);
        SetFactors(rows, first, end);
    }

    /// <summary>All weights to one output, less its factor.</summary>
    protected abstract void Decode(int row, Span<float> values);

    /// <summary>Packs the blocks <c>first .. end</c>.</summary>
    /// <param name="target">Of the first of them.</param>
    /// <param name="room">Null: scales that are no numbers are looked for, and memory is taken as it is needed.</param>
    protected abstract void PackBlocks(MatrixRows rows, int first, int end, byte* target, BlockRoom? room);

    private void SetFactors(MatrixRows rows, int first, int end)
    {
        if (!scaled && rows.Scaled)
        {
            throw new ArgumentException("A part has a scale, and the matrix was described without.", nameof(rows));
        }

        for (int row = first * BlockRows; scaled && row < Math.Min(Rows, end * BlockRows); row++)
        {
            Factors[row] = rows.Factor(row);
        }
    }

    private static int BlocksOf(int rows) => (rows + BlockRows - 1) / BlockRows;
}
