using System.Collections.Concurrent;
using System.Text.Json;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Packed;

/// <summary>
/// A safetensors checkpoint whose matrices a tool has packed, as <c>quantization_config</c> in its config.json says: each is shown as
/// NAME.weight of its shape, whatever tensors lie beneath; what is not packed is shown as it is. A matrix is brought into blocks, row after
/// row, when it is read.
/// </summary>
public sealed unsafe class PackedTensors : ITensorSource
{
    /// <summary>Rows that one thread brings into blocks at a time.</summary>
    private const int Band = 256;

    private readonly Safetensors _source;
    private readonly Packing[] _packings;
    private readonly ConcurrentDictionary<nint, NativeMemoryBlock> _unpacked = new();

    private PackedTensors(Safetensors source, Packing[] packings) => (_source, _packings) = (source, packings);

    public IEnumerable<string> Names => _source.Names.Select(Shown).Distinct();

    /// <summary>The layer over <paramref name="source"/>, which it owns from here on; without a config, the source itself.</summary>
    /// <param name="config">The value of <c>quantization_config</c>.</param>
    /// <exception cref="InvalidDataException">The config names a packing that cannot be read; the source is still the caller's.</exception>
    public static ITensorSource Over(Safetensors source, JsonElement? config) => config is { ValueKind: JsonValueKind.Object } given
        ? new PackedTensors(source, PackingsOf(source, given))
        : source;

    public bool Contains(string name) => Packed(name, out _) is not null || _source.Contains(name);

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape) =>
        Packed(name, out string layer) is { } packing ? FormatOf(packing, layer, shape, out _, out _) : _source.FormatOf(name, shape);

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape)
    {
        if (Packed(name, out string layer) is not { } packing)
        {
            return _source.Read(name, shape);
        }

        WeightFormat format = FormatOf(packing, layer, shape, out int rows, out int columns);
        var memory = new NativeMemoryBlock(Math.Max(1, rows * format.Bytes(columns)));
        try
        {
            int bands = (rows + Band - 1) / Band;
            _ = Parallel.For(0, bands, band =>
            {
                (int start, int end) = (band * Band, Math.Min(rows, (band + 1) * Band));
                packing.Unpack(layer, rows, columns, (start, end), (byte*)memory.Address);
            });
        }
        catch (AggregateException error)
        {
            memory.Dispose();
            throw error.InnerExceptions[0];
        }
        catch
        {
            memory.Dispose();
            throw;
        }

        foreach (string suffix in packing.Suffixes.Append(packing.End))
        {
            if (_source.Find(layer + suffix) is { } part)
            {
                MappedFile.Forget((byte*)part.Data, part.Bytes);
            }
        }

        _unpacked[memory.Address] = memory;
        return new StoredTensor(format, rows, columns, memory.Address);
    }

    public bool StaysMapped(string name) => Packed(name, out _) is null;

    public void Release(StoredTensor tensor)
    {
        if (_unpacked.TryRemove(tensor.Data, out NativeMemoryBlock? memory))
        {
            memory.Dispose();
        }
        else
        {
            _source.Release(tensor);
        }
    }

    public void Dispose()
    {
        foreach (NativeMemoryBlock memory in _unpacked.Values)
        {
            memory.Dispose();
        }

        _unpacked.Clear();
        _source.Dispose();
    }

    private static Packing[] PackingsOf(Safetensors source, JsonElement config)
    {
        string method = Text(config, "quant_method")?.ToLowerInvariant() ?? "";
        switch (method)
        {
            case "awq":
                Require(method, "bits", Number(config, "bits") ?? 4, 4);
                string version = Text(config, "version")?.ToLowerInvariant() ?? "gemm";
                return version == "gemm"
                    ? [new AwqPacking(source)]
                    : throw Refused($"AWQ version \"{FileText.Shown(version)}\" cannot be read; \"gemm\" can");
            case "gptq":
                Require(method, "bits", Number(config, "bits") ?? 4, 4);
                bool symmetric = config.TryGetProperty("sym", out JsonElement sym) && sym.ValueKind == JsonValueKind.True;
                return [new GptqPacking(source, symmetric, Text(config, "checkpoint_format") == "gptq_v2" ? 0 : 1)];
            case "compressed-tensors":
                (int rows, int columns) = Blocks(GroupBlock(config));
                return [new WordPacking(source), new BytePacking(source), new Float8Packing(source, rows, columns)];
            case "fp8" or "fbgemm_fp8":
                (rows, columns) = Blocks(config.TryGetProperty("weight_block_size", out JsonElement size) ? size : default);
                return [new Float8Packing(source, rows, columns)];
            case "mxfp4":
                return [new MxPacking(source)];
            default:
                const string readable = "awq, gptq, compressed-tensors, fp8 and mxfp4 can, and GGUF files";
                throw Refused($"weights packed by \"{FileText.Shown(method)}\" cannot be read; {readable}");
        }

        void Require(string method, string key, int value, int supported)
        {
            if (value != supported)
            {
                throw Refused($"{method} with \"{key}\": {value} cannot be read; {supported} can");
            }
        }

        InvalidDataException Refused(string why) => new($"{source.Path}: {why} (quantization_config in config.json).");
    }

    /// <summary>The size of blocks in compressed-tensors' strategy "block": of the first group that has one.</summary>
    private static JsonElement GroupBlock(JsonElement config)
    {
        if (config.TryGetProperty("config_groups", out JsonElement groups) && groups.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty group in groups.EnumerateObject())
            {
                if (group.Value.ValueKind == JsonValueKind.Object && group.Value.TryGetProperty("weights", out JsonElement weights)
                    && weights.ValueKind == JsonValueKind.Object && weights.TryGetProperty("block_structure", out JsonElement block)
                    && block.ValueKind == JsonValueKind.Array)
                {
                    return block;
                }
            }
        }

        return default;
    }

    /// <summary>Rows and columns of a block: 128 where the config does not say.</summary>
    private static (int Rows, int Columns) Blocks(JsonElement size) =>
        size.ValueKind == JsonValueKind.Array && size.GetArrayLength() == 2
        && size[0].ValueKind == JsonValueKind.Number && size[0].TryGetInt32(out int rows) && rows > 0
        && size[1].ValueKind == JsonValueKind.Number && size[1].TryGetInt32(out int columns) && columns > 0
            ? (rows, columns)
            : (128, 128);

    private static string? Text(JsonElement config, string key) =>
        config.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static int? Number(JsonElement config, string key) =>
        config.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number)
            ? number
            : null;

    private static WeightFormat FormatOf(Packing packing, string layer, ReadOnlySpan<int> shape, out int rows, out int columns)
    {
        (rows, columns) = packing.Size(layer, shape);
        return packing.FormatOf(layer, rows, columns);
    }

    private Packing? Packed(string name, out string layer)
    {
        foreach (Packing packing in _packings)
        {
            layer = name.EndsWith(packing.End, StringComparison.Ordinal) ? name[..^packing.End.Length] : "";
            if (layer.Length > 0 && packing.Holds(layer))
            {
                return packing;
            }
        }

        layer = "";
        return null;
    }

    /// <summary>The matrix that a tensor is a part of; its own name where it is none.</summary>
    private string Shown(string name)
    {
        foreach (Packing packing in _packings)
        {
            foreach (string suffix in packing.Suffixes)
            {
                if (name.EndsWith(suffix, StringComparison.Ordinal) && packing.Holds(name[..^suffix.Length]))
                {
                    return name[..^suffix.Length] + packing.End;
                }
            }
        }

        return name;
    }
}
