namespace Understory.Models.Tensors;

/// <summary>
/// Weights as a file holds them, in host memory that somebody else owns: <c>[Rows, Columns]</c>, row-major, one row's blocks right behind
/// the other's. A vector has one row; of more than two dimensions all but the last are rows.
/// </summary>
/// <param name="Columns">A whole number of blocks of <paramref name="Format"/>.</param>
/// <param name="Data">First byte of the first block.</param>
/// <param name="Scale">What all values of the blocks are to be multiplied by.</param>
public readonly record struct StoredTensor(WeightFormat Format, int Rows, int Columns, nint Data, float Scale = 1)
{
    public long RowBytes => Format.Bytes(Columns);

    public long Bytes => Rows * RowBytes;

    /// <summary>First byte of a row.</summary>
    public nint RowAddress(int row) => Data + (nint)(row * RowBytes);
}
