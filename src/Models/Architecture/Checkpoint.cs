using System.Text.Json;
using Understory.Models.Formats;
using Understory.Models.Formats.Packed;
using Understory.Models.Tokenizers;

namespace Understory.Models.Architecture;

/// <summary>A model's files, opened: what both kinds of them have.</summary>
internal abstract class Checkpoint(ModelConfig config, ITensorSource tensors, TensorNames names) : IDisposable
{
    private bool _handedOver;

    public ModelConfig Config { get; } = config;

    public ITensorSource Tensors { get; } = tensors;

    public TensorNames Names { get; } = names;

    public virtual GenerationDefaults Defaults => new();

    public abstract Tokenizer ReadTokenizer();

    /// <exception cref="ModelLoadException">There is no model at <paramref name="path"/>.</exception>
    /// <exception cref="InvalidDataException">There is, but it is damaged or not supported.</exception>
    public static Checkpoint Open(string path)
    {
        const string remedy = "give a folder with config.json and *.safetensors, or a .gguf file";
        return path switch
        {
            _ when Directory.Exists(path) => FolderCheckpoint.Open(path),
            _ when !File.Exists(path) => throw new ModelLoadException($"{path}: no such file or folder; {remedy}."),
            _ when path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) => GgufCheckpoint.Open(path),
            _ => throw new ModelLoadException($"{path}: not a model; {remedy}."),
        };
    }

    /// <summary>The files are the caller's from here on.</summary>
    public IDisposable HandOver()
    {
        _handedOver = true;
        return Tensors;
    }

    public void Dispose()
    {
        if (!_handedOver)
        {
            Tensors.Dispose();
        }
    }
}

/// <summary>config.json, *.safetensors, tokenizer.json, and generation_config.json where there is one.</summary>
internal sealed class FolderCheckpoint : Checkpoint
{
    private readonly string _folder;

    private FolderCheckpoint(string folder, ModelConfig config, ITensorSource tensors)
        : base(config, tensors, config.Family.HuggingFaceNames.In(tensors)) => _folder = folder;

    public override GenerationDefaults Defaults =>
        Read(_folder, "generation_config.json", (JsonElement json, JsonElement? _) => GenerationDefaults.Read(json)) ?? base.Defaults;

    public static new FolderCheckpoint Open(string folder)
    {
        JsonElement? generation = Json(Path.Combine(folder, "generation_config.json"));
        ModelConfig config = Read(folder, "config.json", HuggingFaceConfig.Read, generation)
            ?? throw new ModelLoadException($"{folder}: there is no config.json; a model's folder has one.");
        var tensors = Safetensors.OpenFolder(folder);
        try
        {
            JsonElement? packing = Json(Path.Combine(folder, "config.json")) is { } json
                && json.TryGetProperty("quantization_config", out JsonElement given) ? given : null;
            return new FolderCheckpoint(folder, config, PackedTensors.Over(tensors, packing));
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    public override Tokenizer ReadTokenizer()
    {
        string path = Path.Combine(_folder, "tokenizer.json");
        return File.Exists(path)
            ? Tokenizer.Load(path)
            : throw new ModelLoadException($"{_folder}: there is no tokenizer.json; older formats can be converted by transformers' "
                + "save_pretrained.");
    }

    /// <summary>What <paramref name="read"/> makes of a JSON file; null where there is no such file. Errors name it.</summary>
    private static T? Read<T>(string folder, string file, Func<JsonElement, JsonElement?, T> read, JsonElement? other = null)
        where T : class
    {
        string path = Path.Combine(folder, file);
        try
        {
            return Json(path) is { } json ? read(json, other) : null;
        }
        catch (InvalidDataException error) when (!error.Message.StartsWith(path, StringComparison.Ordinal))
        {
            throw new InvalidDataException($"{path}: {error.Message}", error);
        }
        catch (InvalidOperationException error)
        {
            // What the JSON reader says of escaped surrogates without their other half.
            throw new InvalidDataException($"{path}: some text is not well-formed: {error.Message}", error);
        }
    }

    private static JsonElement? Json(string path) => File.Exists(path) ? FileText.Json(path) : null;
}

/// <summary>All in one GGUF file.</summary>
internal sealed class GgufCheckpoint : Checkpoint
{
    private readonly GgufMetadata _metadata;

    private GgufCheckpoint(Gguf file, ModelConfig config)
        : base(config, file, config.Family.GgufNames) => _metadata = file.Metadata;

    public static new GgufCheckpoint Open(string path)
    {
        var file = Gguf.Open(path);
        try
        {
            return new GgufCheckpoint(file, GgufConfig.Read(file));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public override Tokenizer ReadTokenizer() => Tokenizer.FromGguf(GgufVocabulary.Read(_metadata));
}
