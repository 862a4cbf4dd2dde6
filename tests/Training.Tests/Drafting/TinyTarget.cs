using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tokenizers;
using Understory.Training.Files;
using Understory.Training.Network;

namespace Understory.Training.Tests.Drafting;

/// <summary>A random Llama, whose tokens are all bytes, all pairs of the first ten letters, and an end.</summary>
internal sealed class TinyTarget : IDisposable
{
    private const string Letters = "abcdefghij";

    private readonly TemporaryFolder _folder = new();
    private readonly IKernels _kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
    private readonly bool _asFolder;

    /// <param name="folder">A folder of safetensors; else a GGUF file.</param>
    public TinyTarget(bool folder)
    {
        _asFolder = folder;
        string[] pairs = [.. Letters.SelectMany(first => Letters.Select(second => $"{first}{second}"))];
        string[] tokens = [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Char((byte)value).ToString()), .. pairs];
        string[] merges = Array.ConvertAll(pairs, pair => $"{pair[0]} {pair[1]}");
        var keys = new Dictionary<string, object>
        {
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.tokens"] = (string[])[.. tokens, "<end>"],
            ["tokenizer.ggml.token_type"] = (long[])[.. Enumerable.Repeat(1L, 356), 3],
            ["tokenizer.ggml.merges"] = merges,
            ["tokenizer.ggml.eos_token_id"] = (long)End,
        };
        var json = new JsonObject
        {
            ["added_tokens"] = new JsonArray(new JsonObject { ["id"] = End, ["content"] = "<end>", ["special"] = true }),
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = false },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = new JsonObject(tokens.Select((token, id) => KeyValuePair.Create(token, (JsonNode?)id))),
                ["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)merge)]),
            },
        };
        Model = Load(Write("target", new CutTokenizer(null!, [End], null, keys, JsonSerializer.SerializeToUtf8Bytes(json)), End + 1));
    }

    public static int End => 356;

    public LanguageModel Model { get; }

    /// <summary>The token of a pair of letters.</summary>
    public static int Pair(char first, char second) => 256 + ((first - 'a') * Letters.Length) + second - 'a';

    /// <summary>A random model with this tokenizer.</summary>
    /// <returns>Its path.</returns>
    public string Write(string name, CutTokenizer tokenizer, int vocabulary)
    {
        var shape = new LlamaShape(vocabulary, 32, 1, 1, 1, 32, 64);
        var random = new Random(vocabulary);
        NetworkTensor Tensor(string tensor, params int[] sizes) => new(tensor + ".weight", sizes,
            Enumerable.Range(0, sizes.Aggregate(1, (all, size) => all * size))
                .Select(_ => sizes.Length == 1 ? 1 : random.NextSingle() - 0.5f).ToArray());
        const string Layer = "model.layers.0.";
        NetworkTensor[] tensors =
        [
            Tensor("model.embed_tokens", vocabulary, 32), Tensor("model.norm", 32), Tensor(Layer + "input_layernorm", 32),
            Tensor(Layer + "post_attention_layernorm", 32), Tensor(Layer + "self_attn.q_proj", 32, 32),
            Tensor(Layer + "self_attn.k_proj", 32, 32), Tensor(Layer + "self_attn.v_proj", 32, 32),
            Tensor(Layer + "self_attn.o_proj", 32, 32), Tensor(Layer + "mlp.gate_proj", 32, 32), Tensor(Layer + "mlp.up_proj", 32, 32),
            Tensor(Layer + "mlp.down_proj", 32, 32),
        ];
        string path = _folder[_asFolder ? name : name + ".gguf"];
        if (!_asFolder)
        {
            GgufFile.Write(path, name, shape, tensors, tokenizer.Keys!);
            return path;
        }

        Directory.CreateDirectory(path);
        File.WriteAllBytes(Path.Combine(path, "tokenizer.json"), tokenizer.Json!);
        File.WriteAllText(Path.Combine(path, "config.json"), ModelFiles.Config(shape, tokenizer.EndIds, tokenizer.BosId));
        SafetensorsFile.Write(Path.Combine(path, "model.safetensors"), tensors);
        return path;
    }

    public LanguageModel Load(string path) => ModelLoader.Load(path, _kernels, new LoadOptions());

    public void Dispose()
    {
        Model.Dispose();
        _kernels.Dispose();
        _folder.Dispose();
    }
}
