using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>The type of a tensor in a file.</summary>
/// <param name="Name">The file format's own name of it.</param>
/// <param name="Format">How it is read; null where it is not.</param>
/// <param name="Instead">Where it is not: what works.</param>
internal readonly record struct StoredType(string Name, WeightFormat? Format, string Instead = "");

/// <summary>A tensor where it lies in a mapped file.</summary>
/// <param name="Shape">Slowest dimension first.</param>
/// <param name="Bytes">Of its data; 0 where the size of the type is not known.</param>
internal sealed record TensorEntry(MappedFile File, StoredType Type, long[] Shape, nint Data, long Bytes)
{
    public string ShownShape => $"[{string.Join(", ", Shape)}]";

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
internal sealed class TensorTable(string path)
{
    private readonly Dictionary<string, TensorEntry> _entries = new(StringComparer.Ordinal);

    public IEnumerable<string> Names => _entries.Keys;

    public int Count => _entries.Count;

    public bool Contains(string name) => _entries.ContainsKey(name);

    public TensorEntry? Find(string name) => _entries.GetValueOrDefault(name);

    public void Add(string name, TensorEntry entry)
    {
        if (!_entries.TryAdd(name, entry))
        {
            MappedFile other = _entries[name].File;
            string where = other == entry.File ? "twice" : $"and in {Path.GetFileName(other.Path)}";
            throw new InvalidDataException($"{entry.File.Path}: tensor \"{FileText.Shown(name)}\" is there {where}.");
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
            : throw new InvalidDataException(
                $"{entry.File.Path}: tensor \"{FileText.Shown(name)}\" should be {expected} and is {entry.ShownShape}.");
    }

    public WeightFormat FormatOf(string name, ReadOnlySpan<int> shape)
    {
        TensorEntry entry = Find(name, shape);
        return entry.Type.Format ?? throw new InvalidDataException(
            $"{entry.File.Path}: tensor \"{FileText.Shown(name)}\" is of type {FileText.Shown(entry.Type.Name)}; {entry.Type.Instead}.");
    }

    public StoredTensor Read(string name, ReadOnlySpan<int> shape) => View(FormatOf(name, shape), shape, Find(name, shape).Data);

    /// <summary>All dimensions but the last are rows.</summary>
    public static StoredTensor View(WeightFormat format, ReadOnlySpan<int> shape, nint data)
    {
        int rows = 1;
        for (int i = 0; i < shape.Length - 1; i++)
        {
            rows = checked(rows * shape[i]);
        }

        return new StoredTensor(format, rows, shape.Length > 0 ? shape[^1] : 1, data);
    }
}
