using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>
/// A weight matrix <c>[Rows = outputs, Columns = inputs]</c> in the layout of the kernel set that packed it.
/// <para>
/// All CPU sets share one layout: blocks of 16 outputs, the last one padded with zero rows; inside a block the inputs run in
/// pairs. Of 16-bit types each pair is 16 x 32 bits, one per output: the even input in the low half, the odd one in the high half
/// (so a 64-byte line expands to two vectors of 16 outputs by a shift and a mask). Of F32 each input is 16 x 32 bits. An odd last
/// input is padded with zero. A block is read front to back by one thread: one output never splits over threads.
/// </para>
/// </summary>
public sealed record WeightMatrix(DType Type, int Rows, int Columns, nint Data, long Bytes)
{
    public const int BlockRows = 16;

    public int Blocks => (Rows + BlockRows - 1) / BlockRows;

    /// <summary>Inputs of a block, padded to a whole pair.</summary>
    public int PaddedColumns => (Columns + 1) & ~1;

    /// <summary>Bytes from one block of 16 outputs to the next (CPU layout).</summary>
    public long BlockBytes => (long)BlockRows * PaddedColumns * Type.Size();

    /// <summary>Bytes of a packed matrix of this shape (CPU layout).</summary>
    public static long PackedBytes(DType type, int rows, int columns) =>
        (long)((rows + BlockRows - 1) / BlockRows) * BlockRows * ((columns + 1) & ~1) * type.Size();
}
