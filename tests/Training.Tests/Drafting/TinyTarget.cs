using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tokenizers;
using Understory.Training.Files;
using Understory.Training.Network;

namespace Understory.Training.Tests.Drafting;

/// <summary>A random Llama in a GGUF file, whose tokens are all bytes, all pairs of the first ten letters, and an end.</summary>
internal sealed class TinyTarget : IDisposable
{
    private const string Letters = "abcdefghij";

    private readonly TemporaryFolder _folder = new();
    private readonly IKernels _kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);

    public TinyTarget()
    {
        string[] pairs = [.. Letters.SelectMany(first => Letters.Select(second => $"{first}{second}"))];
        string[] bytes = [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Char((byte)value).ToString())];
        Keys = new Dictionary<string, object>
        {
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.tokens"] = (string[])[.. bytes, .. pairs, "<end>"],
            ["tokenizer.ggml.token_type"] = (long[])[.. Enumerable.Repeat(1L, 356), 3],
            ["tokenizer.ggml.merges"] = Array.ConvertAll(pairs, pair => $"{pair[0]} {pair[1]}"),
            ["tokenizer.ggml.eos_token_id"] = (long)End,
        };
        Path = Write("target.gguf", Keys, End + 1);
        Model = ModelLoader.Load(Path, _kernels, new LoadOptions());
    }

    public static int End => 356;

    public Dictionary<string, object> Keys { get; }

    public string Path { get; }

    public LanguageModel Model { get; }

    /// <summary>The token of a pair of letters.</summary>
    public static int Pair(char first, char second) => 256 + ((first - 'a') * Letters.Length) + second - 'a';

    /// <summary>A random model with these tokenizer keys.</summary>
    public string Write(string name, Dictionary<string, object> keys, int vocabulary)
    {
        var shape = new LlamaShape(vocabulary, 32, 1, 1, 1, 32, 64);
        var random = new Random(vocabulary);
        NetworkTensor Tensor(string tensor, params int[] sizes) => new(tensor + ".weight", sizes,
            Enumerable.Range(0, sizes.Aggregate(1, (all, size) => all * size))
                .Select(_ => sizes.Length == 1 ? 1 : random.NextSingle() - 0.5f).ToArray());
        const string Layer = "model.layers.0.";
        GgufFile.Write(_folder[name], name, shape,
        [
            Tensor("model.embed_tokens", vocabulary, 32), Tensor("model.norm", 32), Tensor(Layer + "input_layernorm", 32),
            Tensor(Layer + "post_attention_layernorm", 32), Tensor(Layer + "self_attn.q_proj", 32, 32),
            Tensor(Layer + "self_attn.k_proj", 32, 32), Tensor(Layer + "self_attn.v_proj", 32, 32),
            Tensor(Layer + "self_attn.o_proj", 32, 32), Tensor(Layer + "mlp.gate_proj", 32, 32), Tensor(Layer + "mlp.up_proj", 32, 32),
            Tensor(Layer + "mlp.down_proj", 32, 32),
        ], keys);
        return _folder[name];
    }

    public LanguageModel Load(string path) => ModelLoader.Load(path, _kernels, new LoadOptions());

    public void Dispose()
    {
        Model.Dispose();
        _kernels.Dispose();
        _folder.Dispose();
    }
}
