using System.Text.Json;
using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>
/// Weights in the safetensors format: 8 bytes of header length, a JSON header (name to dtype, shape and data offsets), the data. One file,
/// or shards listed in <c>model.safetensors.index.json</c>. Types F32, F16 and BF16.
/// </summary>
public sealed unsafe class Safetensors : ITensorSource
{
    /// <summary>As in the reference implementation: no honest header is larger.</summary>
    private const long MaxHeaderBytes = 100_000_000;

    private readonly List<MappedFile> _files = [];
    private readonly TensorTable _tensors;

    private Safetensors(string path) => (Path, _tensors) = (path, new TensorTable(path));

    /// <summary>The file, or the index of its shards.</summary>
    public string Path { get; }

    public IEnumerable<string> Names => _tensors.Names;

    /// <summary>Opens <c>model.safetensors</c> or the shards of <c>model.safetensors.index.json</c> in a folder.</summary>
    /// <exception cref="FileNotFoundException">Neither file is there, or a shard is missing.</exception>
    /// <exception cref="InvalidDataException">A header does not describe its file.</exception>
    public static Safetensors OpenFolder(string folder)
    {
        string index = System.IO.Path.Combine(folder, "model.safetensors.index.json");
        return File.Exists(index) ? Open(index, ShardsOf(index)) : Open(System.IO.Path.Combine(folder, "model.safetensors"));
    }

    public static Safetensors Open(string file) => Open(file, [file]);

    public bool Contains(string name) => _tensors.Contains(name);

    /// <summary>A tensor as it lies there, of whatever type and shape.</summary>
    internal TensorEntry? Find(string name) => _tensors.Find(name);

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape) => _tensors.FormatOf(name, shape);

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape) => _tensors.Read(name, shape);

    public bool StaysMapped(string name) => true;

    public void Release(StoredTensor tensor) => MappedFile.Forget((byte*)tensor.Data, tensor.Bytes);

    public void Dispose()
    {
        _files.ForEach(file => file.Dispose());
        _files.Clear();
        _tensors.Clear();
    }

    private static Safetensors Open(string path, IEnumerable<string> files)
    {
        var source = new Safetensors(path);
        try
        {
            foreach (string file in files)
            {
                if (!File.Exists(file))
                {
                    throw new FileNotFoundException($"{file}: no such file.", file);
                }

                source.AddFile(file);
            }

            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>The shards' paths; the index may name only files beside itself.</summary>
    private static string[] ShardsOf(string index)
    {
        try
        {
            JsonElement map = FileText.Json(index).GetProperty("weight_map");
            IEnumerable<string> shards = map.EnumerateObject().Select(entry => entry.Value.GetString() ?? "").Distinct();
            string[] names = [.. shards.Order(StringComparer.Ordinal)];
            if (Array.Find(names, name => !IsFileBeside(name)) is { } odd)
            {
                throw new InvalidDataException($"{index}: the shard \"{FileText.Shown(odd)}\" is no *.safetensors file beside it.");
            }

            return [.. names.Select(name => System.IO.Path.Combine(System.IO.Path.GetDirectoryName(index)!, name))];
        }
        catch (Exception error) when (error is KeyNotFoundException or InvalidOperationException)
        {
            throw new InvalidDataException($"{index}: not an index of shards ({error.Message})", error);
        }
    }

    private static bool IsFileBeside(string name) =>
        name.EndsWith(".safetensors", StringComparison.Ordinal) && System.IO.Path.GetFileName(name) == name;

    private void AddFile(string path)
    {
        var file = new MappedFile(path);
        _files.Add(file);
        if (file.Length < 8)
        {
            throw new InvalidDataException($"{path}: {file.Length} bytes are no safetensors file.");
        }

        ulong headerBytes = BitConverter.ToUInt64(new ReadOnlySpan<byte>(file.Start, 8));
        if (headerBytes > (ulong)Math.Min(MaxHeaderBytes, file.Length - 8))
        {
            throw new InvalidDataException(
                $"{path}: a header of {headerBytes:N0} bytes in a file of {file.Length:N0}: truncated, or no safetensors file.");
        }

        try
        {
            ReadHeader(file, (int)headerBytes);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"{path}: the header is damaged ({error.Message})", error);
        }
    }

    private void ReadHeader(MappedFile file, int headerBytes)
    {
        var reader = new Utf8JsonReader(new ReadOnlySpan<byte>(file.Start + 8, headerBytes));
        using JsonDocument header = JsonDocument.ParseValue(ref reader);
        _ = reader.Read(); // Spaces may follow; anything else throws.
        byte* data = file.Start + 8 + headerBytes;
        long dataBytes = file.Length - 8 - headerBytes;
        var ranges = new List<(long Start, long End, string Name)>();
        foreach (JsonProperty property in header.RootElement.EnumerateObject())
        {
            string name = property.Name;
            if (name == "__metadata__")
            {
                continue;
            }

            StoredType type = TypeNamed(property.Value.GetProperty("dtype").GetString() ?? "");
            long[] shape = [.. property.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())];
            string shown = $"{file.Path}: tensor \"{FileText.Shown(name)}\"";
            const int most = 16;
            if (shape.Length > most)
            {
                throw new InvalidDataException($"{shown} has {shape.Length} dimensions; at most {most} are read.");
            }

            JsonElement offsets = property.Value.GetProperty("data_offsets");
            if (offsets.GetArrayLength() != 2)
            {
                throw new InvalidDataException($"{shown} has {offsets.GetArrayLength()} data offsets instead of 2.");
            }

            (long start, long end) = (offsets[0].GetInt64(), offsets[1].GetInt64());
            if (start < 0 || end < start || end > dataBytes)
            {
                throw new InvalidDataException($"{shown} takes bytes {start:N0} to {end:N0} of {dataBytes:N0}: truncated or damaged.");
            }

            if (Size(type.Name) is { } size && TensorEntry.Elements(shape) * size != end - start)
            {
                string described = $"{type.Name} [{string.Join(", ", shape)}]";
                throw new InvalidDataException($"{shown} {described} has {end - start:N0} bytes.");
            }

            _tensors.Add(name, new TensorEntry(file, type, shape, (nint)(data + start), end - start));
            ranges.Add((start, end, name));
        }

        ranges.Sort();
        for (int i = 1; i < ranges.Count; i++)
        {
            if (ranges[i].Start < ranges[i - 1].End)
            {
                throw new InvalidDataException(
                    $"{file.Path}: tensors \"{FileText.Shown(ranges[i - 1].Name)}\" and \"{FileText.Shown(ranges[i].Name)}\" overlap.");
            }
        }
    }

    private static StoredType TypeNamed(string name) => new(
        name,
        name switch { "F32" => DenseFormat.F32, "F16" => DenseFormat.F16, "BF16" => DenseFormat.BF16, _ => null },
        "F32, F16 and BF16 are supported, and others as a quantization_config in config.json describes them");

    /// <summary>Bytes of an element; null of types that nobody reads here.</summary>
    private static int? Size(string type) => type switch
    {
        "F32" or "I32" => 4,
        "F16" or "BF16" => 2,
        "I8" or "U8" or "F8_E4M3" => 1,
        "I64" => 8,
        _ => null,
    };
}
