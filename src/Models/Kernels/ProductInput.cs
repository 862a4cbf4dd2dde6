using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>
/// The inputs of products, <c>[MaxRows, Columns]</c>: a handle to memory that the kernels write in every form that its readers' weights are
/// multiplied with (F32, a 16-bit type, or 8-bit integers with scales and sums), so that each row is brought into a form once.
/// </summary>
public abstract class ProductInput : IDisposable
{
    private protected ProductInput(int maxRows, int columns) => (MaxRows, Columns) = (maxRows, columns);

    public int MaxRows { get; }

    public int Columns { get; }

    /// <summary>Rows <c>first .. first + count</c>.</summary>
    public InputRows Rows(int first, int count) => Rows(first, count, Columns);

    /// <summary>Their first columns: layers may differ in width.</summary>
    public InputRows Rows(int first, int count, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first + count, MaxRows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(columns, Columns);
        return new InputRows(this, first, count, columns);
    }

    public abstract void Dispose();
}

/// <summary>Some rows of inputs.</summary>
public readonly record struct InputRows(ProductInput Input, int First, int Count, int Columns)
{
    /// <summary>Rows <c>first .. first + count</c> of these.</summary>
    public InputRows Range(int first, int count) => Input.Rows(First + first, count, Columns);
}

public enum NormKind
{
    /// <summary><c>(x - mean) / sqrt(var + epsilon) * weight + bias</c> (GPT-2; without a bias, Cohere).</summary>
    LayerNorm,

    /// <summary><c>x / sqrt(mean(x^2) + epsilon) * weight</c> (Llama).</summary>
    RmsNorm,
}

/// <param name="Weight">F32 [1, d]</param>
/// <param name="Bias">F32 [1, d]; <c>Data</c> 0 for none.</param>
public readonly record struct Norm(NormKind Kind, Tensor Weight, Tensor Bias, float Epsilon);

/// <summary>
/// What a product reads: rows that stand in an input, or rows of activations that are normed on the way in. Where a kernel norms and
/// multiplies at once, the input stays unwritten.
/// </summary>
public readonly record struct ProductSource
{
    public ProductSource(InputRows rows) => Rows = rows;

    /// <param name="x">F32 <c>[rows, columns]</c></param>
    /// <param name="room">Where the normed rows may be put.</param>
    public ProductSource(Tensor x, Norm norm, ProductInput room) => (Rows, X, Norm) = (room.Rows(0, x.Rows), x, norm);

    public InputRows Rows { get; }

    /// <summary>What is normed into <see cref="Rows"/> first; <c>Data</c> 0: they stand there.</summary>
    public Tensor X { get; }

    public Norm Norm { get; }

    public static implicit operator ProductSource(InputRows rows) => new(rows);
}
