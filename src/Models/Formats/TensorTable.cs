using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>A tensor where it lies in a mapped file.</summary>
/// <param name="TypeName">The format's own name of the type.</param>
/// <param name="Shape">Slowest dimension first.</param>
internal sealed record TensorEntry(MappedFile File, string TypeName, long[] Shape, nint Data)
{
    /// <summary>The number of elements; null where the shape is nonsense.</summary>
    public static long? Elements(ReadOnlySpan<long> shape)
    {
        long elements = 1;
        foreach (long size in shape)
        {
            if (size < 0 || (Int128)elements * size > long.MaxValue / 8)
            {
                return null;
            }

            elements *= size;
        }

        return elements;
    }
}

/// <summary>The tensors of a checkpoint by name; a request that does not fit fails with a message that says everything.</summary>
internal sealed class TensorTable(string path, string types)
{
    private readonly Dictionary<string, TensorEntry> _entries = new(StringComparer.Ordinal);

    public IEnumerable<string> Names => _entries.Keys;

    public bool Contains(string name) => _entries.ContainsKey(name);

    public void Add(string name, TensorEntry entry)
    {
        if (!_entries.TryAdd(name, entry))
        {
            throw new InvalidDataException($"{entry.File.Path}: tensor \"{FileText.Shown(name)}\" is there twice.");
        }
    }

    public void Clear() => _entries.Clear();

    public TensorEntry Find(string name, ReadOnlySpan<int> shape)
    {
        string expected = $"[{string.Join(", ", shape.ToArray())}]";
        if (!_entries.TryGetValue(name, out TensorEntry? entry))
        {
            throw new InvalidDataException($"{path}: tensor \"{FileText.Shown(name)}\" {expected} is missing.");
        }

        return entry.Shape.AsSpan().SequenceEqual(Array.ConvertAll(shape.ToArray(), size => (long)size))
            ? entry
            : throw new InvalidDataException($"{entry.File.Path}: tensor \"{FileText.Shown(name)}\" should be {expected} and is [{string.Join(", ", entry.Shape)}].");
    }

    public InvalidDataException Unsupported(string name, TensorEntry entry) =>
        new($"{entry.File.Path}: tensor \"{FileText.Shown(name)}\" is of type {FileText.Shown(entry.TypeName)}; {types} are supported.");

    /// <summary>A vector is a matrix of one row.</summary>
    public static Tensor View(DType type, ReadOnlySpan<int> shape, nint data) =>
        shape.Length == 1 ? new Tensor(type, 1, shape[0], data) : new Tensor(type, shape[0], shape[1], data);
}
