using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;
using Understory.PtxEmulator;

namespace Understory.Models.Tests.Architecture;

public sealed class ModelLoaderTests : IDisposable
{
    private readonly IKernels _kernels = KernelCatalog.Create("reference");

    public void Dispose() => _kernels.Dispose();

    [Fact]
    public void A_folder_becomes_a_model_with_a_tokenizer()
    {
        var seen = new List<LoadProgress>();
        using LanguageModel model = ModelLoader.Load(Standin.Draft, _kernels,
            new LoadOptions(Progress: (_, done) => seen.Add(done)));
        Assert.Equal("draft", model.Name);
        Assert.Equal("gpt2", model.Config.Family.Name);
        Assert.Equal([0], model.Config.EosTokenIds);
        Assert.Equal("<|endoftext|>", model.Tokenizer.TokenText(model.Config.EosTokenIds[0]));
        Assert.True(Path.IsPathRooted(model.Path));
        Assert.Equal("def f():", model.Tokenizer.Decode(model.Tokenizer.Encode("def f():")));
        Assert.Equal(seen[^1].Total, seen[^1].Bytes);
        Assert.Equal(seen.OrderBy(done => done.Bytes), seen);
    }

    [Fact]
    public void A_gguf_file_becomes_a_model_with_a_tokenizer()
    {
        using LanguageModel model = ModelLoader.Load(Repository.Fixture("golden", "gpt2", "model.gguf"), _kernels, new LoadOptions());
        Assert.Equal("model", model.Name);
        Assert.Equal([262], model.Config.EosTokenIds);
        Assert.Equal(new GenerationDefaults(), model.Defaults);
        int[] ids = model.Tokenizer.Encode("def f(the é)");
        Assert.Equal(257, ids[0]);
        Assert.Equal("def f(the é)", model.Tokenizer.Decode(ids));
        Assert.Equal(263, model.Transformer.Logits(ids)[^1].Length);
    }

    [Fact]
    public void A_tokenizer_with_more_tokens_than_the_model_is_refused()
    {
        string folder = Directory.CreateTempSubdirectory("understory-").FullName;
        try
        {
            foreach (string file in (string[])["config.json", "model.safetensors"])
            {
                File.Copy(Repository.Fixture("golden", "gpt2", file), Path.Combine(folder, file));
            }

            File.Copy(Standin.TokenizerFile, Path.Combine(folder, "tokenizer.json"));
            ModelLoadException error = Assert.Throws<ModelLoadException>(() => ModelLoader.Load(folder, _kernels, new LoadOptions()));
            Assert.All(["4,096", "263", folder], part => Assert.Contains(part, error.Message, StringComparison.Ordinal));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_context_can_be_made_smaller_but_not_larger_than_the_model_s()
    {
        string path = Standin.Draft;
        using Transformer model = ModelLoader.LoadTransformer(path, _kernels, new LoadOptions(Context: 100));
        Assert.Equal(100, model.Config.ContextLength);
        ModelLoadException error =
            Assert.Throws<ModelLoadException>(() => ModelLoader.LoadTransformer(path, _kernels, new LoadOptions(Context: 1025)));
        Assert.Contains("1,025", error.Message, StringComparison.Ordinal);
        Assert.Contains("1,024", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt2:64x2:100")]
    [InlineData("llama:128x1:96:32")]
    public void A_random_model_is_the_same_for_a_seed_and_another_for_another(string specification)
    {
        int[] tokens = [1, 2, 3, 95, 4];
        Assert.Equal(Logits(1), Logits(1));
        Assert.NotEqual(Logits(1), Logits(2));

        float[][] Logits(ulong seed)
        {
            using Transformer model = ModelLoader.Random(specification, _kernels, seed);
            Assert.All(model.Logits(tokens).SelectMany(row => row), logit => Assert.True(float.IsFinite(logit)));
            return model.Logits(tokens);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("gpt2")]
    [InlineData("gpt2:768x12")]
    [InlineData("gpt2:65x2:10")]
    [InlineData("gpt2:64x0:10")]
    [InlineData("gpt2:64:2x10")]
    [InlineData("gpt2:0x2:10")]
    [InlineData("gpt2:64x2:10:0")]
    [InlineData("opt:64x2:10")]
    [InlineData("gpt2:64x2:10:5:5")]
    [InlineData("gpt2:64x2:99999999999")]
    [InlineData("gpt2:64000000x2:10")]
    public void A_specification_that_makes_no_sense_is_refused(string specification) =>
        Assert.Throws<ModelLoadException>(() => ModelLoader.Random(specification, _kernels, 1));

    [Fact]
    public void Bytes_of_a_pass_are_those_of_the_matrices_that_it_reads()
    {
        using Transformer model = ModelLoader.Random("gpt2:64x2:96:32", _kernels, 1);
        const int layer = (3 * 64 * 64) + (64 * 64) + (2 * 4 * 64 * 64);
        Assert.Equal(2 * ((2 * layer) + (96 * 64)), model.WeightBytes);
    }

    [Fact]
    public void A_cache_has_room_for_the_tokens_and_the_spare_slots()
    {
        using Transformer model = ModelLoader.Random("gpt2:64x2:96:32", _kernels, 1);
        using KvCache cache = model.CreateCache(30, 7);
        Assert.Equal(48, cache.Slots);
        Assert.Equal(30, cache.Tokens);
        Assert.Equal(2 * 2 * 64 * DType.BF16.Size(), cache.BytesPerSlot);
    }

    [Theory]
    [InlineData(CacheType.F32, 256)]
    [InlineData(CacheType.F16, 128)]
    [InlineData(CacheType.BF16, 128)]
    [InlineData(CacheType.Q8, 68)]
    public void A_cache_says_what_its_slots_and_the_pages_of_its_tokens_take(CacheType type, int headBytes)
    {
        const int Layers = 3;
        const int Page = 4096;
        using Transformer model = ModelLoader.Random("gpt2:64x3:96:2048", _kernels, 1, new LoadOptions(CacheType: type));
        using KvCache cache = model.CreateCache(2000);
        Assert.Equal(2 * Layers * headBytes, cache.BytesPerSlot);
        Assert.Equal(0, cache.BytesFor(0));

        // A head's keys, or values, of 1,000 tokens take 1,008 slots, and begin anywhere in a page.
        int pages = ((1008 * headBytes) + (2 * Page) - 1) / Page;
        Assert.Equal(2L * Layers * pages * Page, cache.BytesFor(1000));
        Assert.InRange(cache.BytesFor(2000), 2000 * cache.BytesPerSlot, cache.Slots * cache.BytesPerSlot);
    }

    [Fact]
    public void Kernels_that_cannot_keep_keys_and_values_so_are_named_with_what_they_can()
    {
        using var cuda = new CudaKernels(new EmulatedDriver());
        var options = new LoadOptions(CacheType: CacheType.Q8);
        var refusal = Assert.Throws<ModelLoadException>(() => ModelLoader.Random("gpt2:64x1:96:32", cuda, 1, options));
        Assert.Contains("--kv q8_0: the cuda kernels", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("--kv bf16 or f16", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("--device cpu", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("Q8_0")]
    public void A_survey_tells_without_loading_what_loading_finds(string? weights)
    {
        string path = Standin.Draft;
        LoadOptions options = new(Context: 512, Weights: QuantisedTensors.Formats.FirstOrDefault(format => format.Name == weights));
        var survey = ModelLoader.Survey(path, _kernels, options);
        using LanguageModel model = ModelLoader.Load(path, _kernels, options);
        Assert.Equal(model.Transformer.Parameters, survey.Parameters);
        Assert.Equal(model.Transformer.CacheBytesPerToken, survey.CacheBytesPerToken);
        Assert.Equal(512, survey.Config.ContextLength);
        Assert.Equal(model.Tokenizer.Fingerprint, survey.Tokenizer.Fingerprint);
        Assert.True(survey.MemoryBytes > survey.WeightBytes + (512 * survey.CacheBytesPerToken));
        // The embedding is the head too and counts once; learned positions are no part of a pass.
        long numbers = (4096 * 64L) + (1024 * 64L);
        Assert.True(survey.Parameters > numbers);
        Assert.Contains(path, Assert.Throws<ModelLoadException>(() =>
            ModelLoader.Survey(path, _kernels, options with { Context = 1 << 20 })).Message);
    }
}
