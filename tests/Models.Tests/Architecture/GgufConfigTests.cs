using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tests.Formats;

namespace Understory.Models.Tests.Architecture;

/// <summary>What a GGUF file's keys mean, above all those that are not there.</summary>
public sealed class GgufConfigTests : IDisposable
{
    private static readonly int[] Ids = [.. Enumerable.Range(60, 40)];

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;
    private readonly IKernels _kernels = KernelCatalog.Create("reference");

    public void Dispose()
    {
        _kernels.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_factor_without_a_type_is_linear_and_so_is_the_older_key()
    {
        float[] plain = Logits([]);
        float[] linear = Logits(new() { ["llama.rope.scaling.type"] = "linear", ["llama.rope.scaling.factor"] = 4f });
        Assert.NotEqual(plain, linear);
        Assert.Equal(linear, Logits(new() { ["llama.rope.scaling.factor"] = 4f }));
        Assert.Equal(linear, Logits(new() { ["llama.rope.scale_linear"] = 4f }));
        Assert.Equal(plain, Logits(new() { ["llama.rope.scaling.type"] = "none", ["llama.rope.scaling.factor"] = 4f }));
        Assert.Equal(plain, Logits(new() { ["llama.rope.scaling.factor"] = 0f }));
    }

    [Fact]
    public void Yarn_without_an_original_context_takes_the_whole_one()
    {
        float[] said = Logits(new()
        {
            ["llama.rope.scaling.type"] = "yarn",
            ["llama.rope.scaling.factor"] = 4f,
            ["llama.rope.scaling.original_context_length"] = 64,
        });
        Assert.Equal(said, Logits(new() { ["llama.rope.scaling.type"] = "yarn", ["llama.rope.scaling.factor"] = 4f }));
        Assert.NotEqual(said, Logits([]));
    }

    [Fact]
    public void Counts_may_be_written_for_each_layer()
    {
        Assert.Equal(Logits([]), Logits(new()
        {
            ["llama.attention.head_count_kv"] = new[] { 2, 2 },
            ["llama.feed_forward_length"] = new[] { 32, 32 },
        }));
        using LanguageModel mixed = ModelLoader.Load(
            GgufFile.Write(Path.Combine(_folder, "mixed.gguf"), kvHeads: [2, 1]), _kernels, new LoadOptions());
        Assert.Equal([2, 1], mixed.Config.Layers.Select(layer => layer.Attention.KvHeads));
        Assert.Equal(GgufFile.Vocabulary, mixed.Transformer.Logits(Ids)[^1].Length);
    }

    [Theory]
    [InlineData("llama.embedding_length", new[] { 2, 1 }, "\"llama.embedding_length\" differs from layer to layer")]
    [InlineData("llama.attention.head_count", new[] { 2, 1 }, "The number of key-value heads is 2")]
    [InlineData("llama.attention.head_count_kv", new[] { 2 }, "\"llama.attention.head_count_kv\" has no count for layer 1")]
    [InlineData("llama.rope.scaling.type", "su", "rope scaling \"su\" is not supported")]
    [InlineData("llama.attention.clamp_kqv", 8f, "\"llama.attention.clamp_kqv\" is 8")]
    [InlineData("llama.rope.scaling.alpha", 2f, "\"llama.rope.scaling.alpha\" is 2")]
    [InlineData("tokenizer.ggml.pre", "nobody", "the pre-tokenizer nobody is not supported")]
    [InlineData("tokenizer.ggml.model", "rwkv", "rwkv is not supported, only gpt2, llama and gemma4")]
    public void What_cannot_be_followed_is_refused_by_its_key(string key, object value, string message)
    {
        string path = GgufFile.Write(Path.Combine(_folder, "refused.gguf"), new Dictionary<string, object?> { [key] = value });
        string said = Assert.Throws<ModelLoadException>(() => ModelLoader.Load(path, _kernels, new LoadOptions())).Message;
        Assert.Contains(message, said, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("llama-bpe", null, true)]
    [InlineData("tekken", null, true)]
    [InlineData("qwen2", null, false)]
    [InlineData("qwen2", true, true)]
    [InlineData("llama-bpe", false, false)]
    public void Whether_a_text_begins_with_the_beginning_token_goes_by_the_pre_tokenizer(string pre, bool? said, bool begins)
    {
        string path = GgufFile.Write(Path.Combine(_folder, "bos.gguf"),
            new Dictionary<string, object?> { ["tokenizer.ggml.pre"] = pre, ["tokenizer.ggml.add_bos_token"] = said });
        using LanguageModel model = ModelLoader.Load(path, _kernels, new LoadOptions());
        Assert.Equal(begins ? [257, 256] : [256], model.Tokenizer.Encode("ab"));

        // The end by its key, and the end of a turn by its text.
        Assert.Equal([258, 259], model.Config.EosTokenIds);
    }

    private float[] Logits(Dictionary<string, object?> keys)
    {
        string path = GgufFile.Write(Path.Combine(_folder, "model.gguf"), keys);
        using LanguageModel model = ModelLoader.Load(path, _kernels, new LoadOptions());
        return model.Transformer.Logits(Ids)[^1];
    }
}
