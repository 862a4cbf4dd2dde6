using System.Text.Json;
using Understory.Models.Formats;
using Understory.Training.Network;

namespace Understory.Training.Files;

/// <summary>Writes a trained network as a model that the server loads, with another model's tokenizer.</summary>
internal static class ModelFiles
{
    private static readonly string[] _tokenizerFiles =
        ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja"];

    private static readonly JsonSerializerOptions Pretty = new() { WriteIndented = true };

    /// <summary>The name that a model beside its tokenizer's model has: a GGUF file for a GGUF file, a folder for a folder.</summary>
    public static string NameFor(string tokenizerOf) => File.Exists(tokenizerOf) ? "model.gguf" : "model";

    /// <summary>Bytes that a weight takes there.</summary>
    public static double BytesPerWeight(string tokenizerOf) => File.Exists(tokenizerOf) ? 34.0 / 32 : 2;

    /// <param name="folder">Where <see cref="NameFor"/> goes.</param>
    /// <param name="tokenizerOf">Folder or GGUF file of the model whose tokenizer it takes.</param>
    /// <param name="tokenizer">What is left of the other model's; null: all.</param>
    /// <returns>Its path.</returns>
    public static string Write(
        string folder, string tokenizerOf, string name, LlamaNetwork network, CutTokenizer? tokenizer = null)
    {
        string path = Path.Combine(folder, NameFor(tokenizerOf));
        if (File.Exists(tokenizerOf))
        {
            using Gguf file = Gguf.Open(tokenizerOf);
            GgufFile.Write(path, name, network.Shape, network.Export(),
                tokenizer?.Keys ?? file.Metadata.Values.Where(pair => pair.Key.StartsWith("tokenizer.", StringComparison.Ordinal)));
            return path;
        }

        Directory.CreateDirectory(path);
        WriteTokenizer(path, tokenizerOf, tokenizer);
        AtomicFile.WriteText(Path.Combine(path, "config.json"), tokenizer is null
            ? ConfigLike(network.Shape, Path.Combine(tokenizerOf, "config.json"))
            : Config(network.Shape, tokenizer.EndIds, tokenizer.BosId));
        SafetensorsFile.Write(Path.Combine(path, "model.safetensors"), network.Export());
        return path;
    }

    private static void WriteTokenizer(string folder, string tokenizerOf, CutTokenizer? tokenizer)
    {
        if (tokenizer?.Json is { } json)
        {
            // Its other files name tokens by ids that are others now, and say what a draft has no use for.
            File.WriteAllBytes(Path.Combine(folder, "tokenizer.json"), json);
            return;
        }

        foreach (string file in _tokenizerFiles.Where(file => File.Exists(Path.Combine(tokenizerOf, file))))
        {
            File.Copy(Path.Combine(tokenizerOf, file), Path.Combine(folder, file), overwrite: true);
        }
    }

    /// <summary>The config.json of a network.</summary>
    /// <param name="end">Tokens that end a text: an id or several, as JSON.</param>
    /// <param name="begin">The token that begins one.</param>
    public static string Config(LlamaShape shape, object? end, object? begin)
    {
        var config = new Dictionary<string, object>
        {
            ["architectures"] = (string[])["LlamaForCausalLM"],
            ["model_type"] = "llama",
            ["vocab_size"] = shape.Vocabulary,
            ["hidden_size"] = shape.Hidden,
            ["intermediate_size"] = shape.Width,
            ["num_hidden_layers"] = shape.Layers,
            ["num_attention_heads"] = shape.Heads,
            ["num_key_value_heads"] = shape.KvHeads,
            ["head_dim"] = shape.HeadDim,
            ["hidden_act"] = "silu",
            ["max_position_embeddings"] = shape.Context,
            ["rms_norm_eps"] = shape.Epsilon,
            ["rope_theta"] = shape.Theta,
            ["tie_word_embeddings"] = true,
            ["torch_dtype"] = "bfloat16",
        };
        foreach ((string key, object? value) in new[] { ("bos_token_id", begin), ("eos_token_id", end) })
        {
            if (value is not null)
            {
                config[key] = value;
            }
        }

        return JsonSerializer.Serialize(config, Pretty) + "\n";
    }

    /// <summary>The config with another one's beginning and ending tokens.</summary>
    private static string ConfigLike(LlamaShape shape, string other)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(other));
        object? Of(string key) => document.RootElement.TryGetProperty(key, out JsonElement value) ? value.Clone() : null;
        return Config(shape, Of("eos_token_id"), Of("bos_token_id"));
    }
}
