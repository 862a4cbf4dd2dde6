namespace Understory.Models.Tensors;

/// <summary>
/// A matrix in memory that somebody else owns: <c>[Rows, Columns]</c>, row-major, with <c>Stride</c> elements from one row
/// to the next. A vector has one row. <c>Data</c> may be an address on a device.
/// </summary>
public readonly record struct Tensor(DType Type, int Rows, int Columns, int Stride, nint Data)
{
    public Tensor(DType type, int rows, int columns, nint data)
        : this(type, rows, columns, columns, data)
    {
    }

    /// <summary>The first <paramref name="rows"/> rows from row <paramref name="first"/> on.</summary>
    public Tensor RowRange(int first, int rows) =>
        this with { Rows = rows, Data = Data + (nint)((long)first * Stride * Type.Size()) };

    /// <summary>Columns <c>first .. first + columns</c> of every row.</summary>
    public Tensor ColumnRange(int first, int columns) =>
        this with { Columns = columns, Data = Data + (nint)((long)first * Type.Size()) };

    public unsafe Span<float> Floats(int row) => new((float*)Data + ((long)row * Stride), Columns);
}
