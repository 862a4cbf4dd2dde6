using Understory.Models.Tensors;

namespace Understory.Models.Formats.Packed;

/// <summary>
/// One way in which tools spread a matrix over several tensors of a safetensors file. Rows and columns are those of the matrix that is
/// shown: <c>[outputs, inputs]</c>.
/// </summary>
internal abstract unsafe class Packing(Safetensors source)
{
    protected const string Weight = ".weight";

    /// <summary>What the name that is shown has behind the layer's.</summary>
    public virtual string End => Weight;

    /// <summary>What the names of the tensors have behind the layer's that a matrix is spread over, less the one that is shown.</summary>
    public abstract IReadOnlyList<string> Suffixes { get; }

    /// <summary>The layer's matrix is packed so.</summary>
    public abstract bool Holds(string layer);

    /// <summary>The matrix's rows and columns, where it has this shape.</summary>
    public virtual (int Rows, int Columns) Size(string layer, ReadOnlySpan<int> shape) => shape is [int rows, int columns]
        ? (rows, columns)
        : throw Refused(layer, $"holds a matrix, and not [{string.Join(", ", shape.ToArray())}]");

    /// <summary>The format that the matrix is shown in; checks the tensors beneath.</summary>
    public abstract WeightFormat FormatOf(string layer, int rows, int columns);

    /// <summary>Writes some rows of the matrix in that format.</summary>
    /// <param name="band">The first row, a multiple of 8, and the one behind the last.</param>
    /// <param name="to">Where the matrix begins.</param>
    public abstract void Unpack(string layer, int rows, int columns, (int Start, int End) band, byte* to);

    /// <summary>A tensor beneath, of one of these shapes and types.</summary>
    protected TensorEntry Part(string name, ReadOnlySpan<string> types, params ReadOnlySpan<long[]> shapes)
    {
        TensorEntry entry = source.Find(name)
            ?? throw new InvalidDataException($"{source.Path}: tensor \"{FileText.Shown(name)}\" is missing.");
        bool fits = false;
        foreach (long[] shape in shapes)
        {
            fits |= entry.Shape.AsSpan().SequenceEqual(shape);
        }

        string expected = $"{string.Join('/', types!)} [{(shapes.Length > 0 ? string.Join(", ", shapes[0]) : "")}]";
        return fits && types.Contains(entry.Type.Name) ? entry : throw new InvalidDataException(
            $"{entry.File.Path}: tensor \"{FileText.Shown(name)}\" should be {expected} and is "
            + $"{FileText.Shown(entry.Type.Name)} {entry.ShownShape}.");
    }

    protected TensorEntry? Optional(string name) => source.Find(name);

    /// <summary>The number of weights under one scale, of which a row has <paramref name="groups"/>.</summary>
    protected int Group(string name, int columns, long groups) => groups > 0 && columns % groups == 0 && columns / groups % 32 == 0
        ? (int)(columns / groups)
        : throw new InvalidDataException(
            $"{source.Path}: tensor \"{FileText.Shown(name)}\" has {groups} scales for {columns} weights; "
            + "groups of a multiple of 32 can be read.");

    protected InvalidDataException Refused(string layer, string why) => new($"{source.Path}: \"{FileText.Shown(layer)}\" {why}.");

    /// <summary>What scales are in: all three can be.</summary>
    protected static ReadOnlySpan<string> ScaleTypes => new[] { "F16", "BF16", "F32" };

    protected static ScaleType ScaleTypeOf(TensorEntry scales) =>
        scales.Type.Name switch { "F16" => ScaleType.F16, "BF16" => ScaleType.BF16, _ => ScaleType.F32 };

    protected static uint Bits(TensorEntry scales, long index) =>
        scales.Type.Name == "F32" ? ((uint*)scales.Data)[index] : ((ushort*)scales.Data)[index];

    protected static float Number(TensorEntry scales, long index) =>
        Scalar.Read(((DenseFormat)scales.Type.Format!).Type, scales.Data, index);
}
