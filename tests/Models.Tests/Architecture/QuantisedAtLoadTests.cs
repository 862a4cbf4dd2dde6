using System.Text.Json;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tests.Formats.Quantised;
using Xunit.Abstractions;

namespace Understory.Models.Tests.Architecture;

/// <summary>Models whose weights are quantised while they are loaded.</summary>
public class QuantisedAtLoadTests(ITestOutputHelper output)
{
    private static WeightFormat Eight => QuantisedTensors.Formats.Single(format => format.Name == "Q8_0");

    private static WeightFormat Four => QuantisedTensors.Formats.Single(format => format.Name == "Q4_K");

    [Theory]
    [InlineData("Q8_0", 6e-4)]
    [InlineData("Q4_K", 3e-3)]
    public void The_bundled_target_stays_near_its_own_logits(string name, double bound)
    {
        WeightFormat format = name == "Q8_0" ? Eight : Four;
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("standin", "golden.json")));
        int[] ids = [.. golden.RootElement.EnumerateArray().First(item => item.GetProperty("model").GetString() == "target")
            .GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
        using IKernels kernels = KernelCatalog.Create();
        string path = Repository.PathOf("models", "demo", "target");
        using Transformer plain = ModelLoader.LoadTransformer(path, kernels, new LoadOptions(CacheType: CacheType.F32));
        using Transformer quantised =
            ModelLoader.LoadTransformer(path, kernels, new LoadOptions(CacheType: CacheType.F32, Weights: format));
        double kl = Fidelity.MeanKl(plain.Logits(ids), quantised.Logits(ids));
        output.WriteLine($"{name}: KL {kl:F6}, {plain.WeightBytes / 1e6:F2} to {quantised.WeightBytes / 1e6:F2} MB");
        Assert.InRange(kl, 1e-9, bound);
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("gpt2/model.gguf")]
    [InlineData("llama-bf16")]
    [InlineData("qwen2-f16")]
    [InlineData("llama-llama3/model.gguf")]
    public void Checkpoints_of_every_kind_keep_near_their_logits(string checkpoint)
    {
        var golden = Golden.Read(checkpoint);
        // GPT-2's has no rows of whole blocks: nothing can be quantised, and all is turned. The others' weights are large: logits follow
        // every rounding.
        bool plain = checkpoint.StartsWith("gpt2", StringComparison.Ordinal);
        using IKernels kernels = KernelCatalog.Create();
        foreach (WeightFormat format in QuantisedTensors.Formats)
        {
            double weights = Runs.RelativeError(Widened(golden, format, kernels), golden.Logits);
            var options = new LoadOptions(golden.Context, CacheType.F32, Weights: format);
            using Transformer model = ModelLoader.LoadTransformer(golden.Path, kernels, options);
            double error = Runs.RelativeError(model.Logits(golden.Ids), golden.Logits);
            output.WriteLine($"{format}: weights alone {weights:E2}, inputs too {error:E2}");
            Assert.InRange(weights, 1e-8, plain ? 1e-4 : 0.15);
            Assert.InRange(error, 1e-8, plain ? 1e-4 : 0.18);
        }
    }

    [Theory]
    [InlineData("gpt2:256x2:512")]
    [InlineData("llama:256x2:512")]
    public void Every_set_of_kernels_gives_nearly_the_logits_of_the_plain_weights(string specification)
    {
        int[] ids = [.. Enumerable.Range(0, 20)];
        foreach (KernelSet set in KernelCatalog.Available)
        {
            using IKernels kernels = KernelCatalog.Create(set.Name);
            using Transformer plain = ModelLoader.Random(specification, kernels, 1, new LoadOptions(CacheType: CacheType.F32));
            float[][] expected = plain.Logits(ids);
            foreach ((WeightFormat format, double bound) in ((WeightFormat, double)[])[(Eight, 0.035), (Four, 0.25)])
            {
                var options = new LoadOptions(CacheType: CacheType.F32, Weights: format);
                using Transformer model = ModelLoader.Random(specification, kernels, 1, options);
                double error = Runs.RelativeError(model.Logits(ids), expected);
                output.WriteLine($"{set.Name}, {format}: {error:E2}");
                Assert.InRange(error, 1e-5, bound);
            }
        }
    }

    [Fact]
    public void Layers_have_the_format_that_was_asked_for_and_embedding_and_head_Q8_0()
    {
        using IKernels kernels = KernelCatalog.Create();
        using Transformer model = ModelLoader.Random("gpt2:256x2:512", kernels, 1, new LoadOptions(Weights: Four));
        long Bytes(WeightFormat format, int outputs, int inputs) => kernels.Describe(format, outputs, inputs).Bytes;
        long layer = Bytes(Four, 768, 256) + Bytes(Four, 256, 256) + Bytes(Four, 1024, 256) + Bytes(Four, 256, 1024);
        Assert.Equal((2 * layer) + Bytes(Eight, 512, 256), model.WeightBytes);
    }

    [Fact]
    public void Weights_quantised_twice_give_the_same_logits_whatever_the_threads()
    {
        int[] ids = [.. Enumerable.Range(0, 20)];
        Assert.Equal(Logits(1), Logits(3));

        float[][] Logits(int threads)
        {
            using IKernels kernels = KernelCatalog.Create(threads: threads);
            using Transformer model = ModelLoader.Random("gpt2:256x2:512", kernels, 1, new LoadOptions(Weights: Four));
            return model.Logits(ids);
        }
    }

    [Fact]
    public void A_copy_in_four_bits_has_embedding_and_head_in_four_bits_too_and_the_models_context_and_cache()
    {
        using IKernels kernels = KernelCatalog.Create();
        using Transformer model = ModelLoader.Random("gpt2:256x2:512", kernels, 1, new LoadOptions(Context: 100));
        using Transformer copy = ModelLoader.Random("gpt2:256x2:512", kernels, 1, new LoadOptions { CopyOf = model });
        long Bytes(int outputs, int inputs) => kernels.Describe(Four, outputs, inputs).Bytes;
        Assert.Equal((2 * (Bytes(768, 256) + Bytes(256, 256) + Bytes(1024, 256) + Bytes(256, 1024))) + Bytes(512, 256), copy.WeightBytes);
        Assert.Equal((100, model.CacheType), (copy.Config.ContextLength, copy.CacheType));
        Assert.InRange(copy.WeightBytes, 0.28 * model.WeightBytes, 0.32 * model.WeightBytes);
    }

    [Fact]
    public void A_file_of_eight_bits_is_copied_in_four_and_one_of_four_is_refused()
    {
        using IKernels kernels = KernelCatalog.Create();
        string path = Path.GetTempFileName() + ".gguf";
        try
        {
            File.WriteAllBytes(path, QuantisedModel.Llama(type: 8));
            using Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions());
            using Transformer copy = ModelLoader.LoadTransformer(path, kernels, new LoadOptions { CopyOf = model });
            Assert.InRange(copy.WeightBytes, 0.5 * model.WeightBytes, 0.6 * model.WeightBytes);
            Assert.True(copy.HeldBytes >= copy.WeightBytes);

            File.WriteAllBytes(path, QuantisedModel.Llama(type: 12));
            using Transformer four = ModelLoader.LoadTransformer(path, kernels, new LoadOptions());
            string message = Assert.Throws<ModelLoadException>(
                () => ModelLoader.LoadTransformer(path, kernels, new LoadOptions { CopyOf = four })).Message;
            Assert.Contains("--draft self: a copy in 4 bits", message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>The logits of the weights that quantising leaves, all arithmetic in F32.</summary>
    private static float[][] Widened(Golden golden, WeightFormat format, IKernels kernels)
    {
        using Checkpoint checkpoint = Checkpoint.Open(golden.Path);
        ModelConfig config = checkpoint.Config.WithContext(golden.Context).Validated();
        using var quantised = new QuantisedTensors(checkpoint.Tensors, checkpoint.Names.Quantised(format, config.Layers.Count));
        using var widened = new WidenedTensors(quantised, rounded: false);
        Weights weights = Weights.Load(config, widened, checkpoint.Names with { Transposed = false }, kernels);
        using var model = new Transformer(config, weights, kernels, CacheType.F32);
        return model.Logits(golden.Ids);
    }
}
