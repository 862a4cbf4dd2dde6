using Understory.Models.Formats.Quantised;

namespace Understory.Models.Formats;

/// <summary>One GGUF file: its keys and the tensors that lie in it.</summary>
internal sealed unsafe class GgufPart : IDisposable
{
    private readonly MappedFile _file;

    private GgufPart(MappedFile file)
    {
        _file = file;
        var reader = new GgufReader(file);
        if (!reader.Bytes(4).SequenceEqual("GGUF"u8))
        {
            throw reader.Damaged("this is no GGUF file");
        }

        uint version = reader.UInt32();
        if (version is not (2 or 3))
        {
            throw reader.Damaged($"version {version} is not supported (2 and 3 are, little endian)");
        }

        // The shortest tensor description has 8 + 4 + 4 + 8 bytes, the shortest pair 8 + 4 + 1.
        long tensors = reader.Count(24);
        long pairs = reader.Count(13);
        Metadata = new GgufMetadata(file.Path, reader.Pairs(pairs));
        Tensors = ReadDescriptions(reader, tensors);
        HeadBytes = reader.Position;
    }

    /// <summary>Bytes before the tensors' data: keys and descriptions.</summary>
    public long HeadBytes { get; }

    public GgufMetadata Metadata { get; }

    public List<(string Name, TensorEntry Entry)> Tensors { get; }

    /// <exception cref="FileNotFoundException">No such file.</exception>
    /// <exception cref="InvalidDataException">Not a GGUF file, or a damaged one.</exception>
    public static GgufPart Open(string path)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path}: no such file.", path);
        }

        var file = new MappedFile(path);
        try
        {
            return new GgufPart(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Dispose() => _file.Dispose();

    private List<(string Name, TensorEntry Entry)> ReadDescriptions(GgufReader reader, long count)
    {
        var found = new List<(string Name, uint Type, long[] Shape, ulong Offset)>();
        for (long i = 0; i < count; i++)
        {
            string name = reader.String();
            uint dimensions = reader.UInt32();
            if (dimensions > 4)
            {
                throw reader.Damaged($"tensor \"{FileText.Shown(name)}\" has {dimensions} dimensions");
            }

            long[] shape = new long[dimensions];
            for (int d = shape.Length - 1; d >= 0; d--)
            {
                shape[d] = (long)reader.UInt64();
            }

            found.Add((name, reader.UInt32(), shape, reader.UInt64()));
        }

        long alignment = Metadata.GetCount("general.alignment", 32);
        if (alignment < 8 || alignment % 8 != 0)
        {
            throw reader.Damaged($"an alignment of {alignment}");
        }

        long data = (reader.Position + alignment - 1) / alignment * alignment;
        return found.ConvertAll(tensor =>
        {
            string shown = $"tensor \"{FileText.Shown(tensor.Name)}\" [{string.Join(", ", tensor.Shape)}]";
            if (TensorEntry.Elements(tensor.Shape) is not { } elements || tensor.Offset % (ulong)alignment != 0)
            {
                throw reader.Damaged($"{shown} at offset {tensor.Offset}");
            }

            var type = new StoredType(GgufTypes.NameOf(tensor.Type), GgufTypes.Find(tensor.Type), GgufTypes.InsteadOf(tensor.Type));
            if (type.Format is { BlockElements: var block and > 1 } && (tensor.Shape.Length == 0 || tensor.Shape[^1] % block != 0))
            {
                throw reader.Damaged($"{shown} cannot be {type.Name}, whose rows are whole blocks of {block}");
            }

            // Of a type without a reader the size is not known.
            long bytes = type.Format?.Bytes(elements) ?? 0;
            return (Int128)data + tensor.Offset + bytes <= _file.Length
                ? (tensor.Name, new TensorEntry(_file, type, tensor.Shape, (nint)(_file.Start + data + (long)tensor.Offset), bytes))
                : throw reader.Damaged($"{shown} ends beyond the end of the file: truncated or damaged");
        });
    }
}
