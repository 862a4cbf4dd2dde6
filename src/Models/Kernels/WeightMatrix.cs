using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>
/// A weight matrix <c>[Rows = outputs, Columns = inputs]</c> in the layout of the kernel set that described it (<see
/// cref="IKernelMemory.Describe"/>) and alone can read it. It has no memory before <see cref="Place"/> and no content before <see
/// cref="IKernelMemory.Pack"/>.
/// </summary>
public abstract class WeightMatrix
{
    private nint _data;
    private WeightMatrix? _whole;

    private protected WeightMatrix(WeightFormat format, int rows, int columns, long bytes) =>
        (Format, Rows, Columns, Bytes) = (format, rows, columns, bytes);

    /// <summary>What the weights are in their file. A set that cannot multiply with it holds their values rounded to BF16.</summary>
    public WeightFormat Format { get; }

    /// <summary>Outputs.</summary>
    public int Rows { get; }

    /// <summary>Inputs.</summary>
    public int Columns { get; }

    /// <summary>Bytes in this layout.</summary>
    public long Bytes { get; }

    /// <summary>Bytes of memory that it takes: few where its rows stay in their file (<see cref="IKernelMemory.TryMap"/>).</summary>
    public virtual long HeldBytes => Bytes;

    /// <summary>First byte; 0 before <see cref="Place"/>.</summary>
    public nint Data => _whole?.Data ?? _data;

    /// <summary>Begins where another begins.</summary>
    internal void Share(WeightMatrix whole) => _whole = whole;

    /// <summary>Gives the matrix its memory, <see cref="HeldBytes"/> of <paramref name="block"/> from a multiple of 64 on.</summary>
    /// <exception cref="ArgumentException">The matrix does not fit there.</exception>
    public void Place(MemoryBlock block, long offset)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + HeldBytes, block.Bytes);
        if (offset % 64 != 0)
        {
            throw new ArgumentException($"A packed matrix must begin at a multiple of 64 bytes, not at {offset}.", nameof(offset));
        }

        _data = block.Address + (nint)offset;
    }
}

/// <summary>
/// What a row of inputs is multiplied with: one matrix, or several whose outputs stand side by side (a mixed file keeps queries, keys and
/// values in different formats), and a bias.
/// </summary>
/// <param name="Parts">Matrices of as many inputs.</param>
/// <param name="Bias">F32 [1, outputs]; <c>Data</c> 0 for none.</param>
public sealed record Projection(WeightMatrix[] Parts, Tensor Bias = default)
{
    public Projection(WeightMatrix matrix, Tensor bias = default)
        : this([matrix], bias)
    {
    }

    /// <summary>Of all parts.</summary>
    public int Outputs { get; } = Parts.Sum(part => part.Rows);

    public long Bytes { get; } = Parts.Sum(part => part.Bytes);
}

/// <summary>Rows of a file's tensor that become rows of a matrix.</summary>
/// <param name="Transposed">The tensor is <c>[inputs, outputs]</c> (GPT-2's Conv1D).</param>
/// <param name="InterleavedHead">Rows per head where they are kept for rotating neighbours; 0: as they are.</param>
/// <param name="First">The tensor's first row that is meant, or column where it is transposed.</param>
/// <param name="Step">From one that is meant to the next: 2 where those of two matrices alternate.</param>
/// <param name="Turned">Leading rows of an interleaved head that are kept so; 0: all.</param>
public readonly record struct MatrixPart(
    StoredTensor Tensor, bool Transposed = false, int InterleavedHead = 0, int First = 0, int Step = 1, int Turned = 0)
{
    public int Outputs => ((Transposed ? Tensor.Columns : Tensor.Rows) - First + Step - 1) / Step;

    public int Inputs => Transposed ? Tensor.Rows : Tensor.Columns;

    /// <summary>
    /// The tensor's row that belongs at row <paramref name="row"/>: neighbours (2i, 2i + 1) of a head go back to halves (i, i + n / 2).
    /// </summary>
    public int SourceRow(int row) => First + (Step * SourceRow(row, InterleavedHead, Turned));

    /// <inheritdoc cref="SourceRow(int)"/>
    public static int SourceRow(int row, int interleavedHead, int turned)
    {
        turned = turned == 0 ? interleavedHead : turned;
        if (interleavedHead == 0 || row % interleavedHead >= turned)
        {
            return row;
        }

        (int head, int within) = Math.DivRem(row, interleavedHead);
        (int half, int pair) = Math.DivRem(within, turned / 2);
        return (head * interleavedHead) + (2 * pair) + half;
    }
}
