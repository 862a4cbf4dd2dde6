using Understory.Models.Architecture;
using Understory.Models.Architecture.Families;
using Understory.Models.Formats;
using Understory.Models.Formats.Quantised;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Architecture;

/// <summary>The same experts in every way in which checkpoints keep them, and in memory or in their file.</summary>
public class ExpertModelTests
{
    private static readonly int[] _tokens = [.. Enumerable.Range(0, 37).Select(i => (i * 37) % 200)];

    /// <summary>Every way that some family knows.</summary>
    private static readonly ExpertNames[] _ways =
        [.. new Qwen3Moe().HuggingFaceNames.Experts, .. new Mixtral().HuggingFaceNames.Experts, .. TensorNames.Gguf.Experts,
            .. new GptOss().HuggingFaceNames.Experts];

    public static TheoryData<string> Formats => ["F32", "BF16", "Q8_0", "MXFP4"];

    [Theory]
    [MemberData(nameof(Formats))]
    public void However_a_checkpoint_keeps_its_experts_the_logits_are_the_same(string name)
    {
        WeightFormat format = Named(name);
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        foreach (bool bias in (bool[])[false, true])
        {
            ModelConfig config = Config(bias);
            float[][]? expected = null;
            foreach (
                ExpertNames way in _ways.Where(way => (!bias || way.DownBias.Length > 0) && (format is DenseFormat || !way.Transposed)))
            {
                using var source = new ExpertCheckpoint(config, Names(way), format);
                using Transformer model = Load(config, source, way, kernels, null);
                float[][] logits = model.Logits(_tokens);
                expected ??= logits;
                AssertSameBits(expected, logits, $"{way.Down}, {way.GateUp}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Experts_that_stay_in_their_file_give_the_same_bits(string name)
    {
        WeightFormat format = Named(name);
        ModelConfig config = Config(bias: true);
        foreach (string set in Kernels.Arena.FastNames)
        {
            using IKernels kernels = KernelCatalog.Create(set, 2);
            foreach (ExpertNames way in _ways.Where(way => way.DownBias.Length > 0 && (format is DenseFormat || !way.Transposed)))
            {
                using var source = new ExpertCheckpoint(config, Names(way), format);
                using Transformer packed = Load(config, source, way, kernels, null);
                float[][] expected = packed.Logits(_tokens);
                Assert.Equal(0, packed.MappedBytes);
                long least = Least(config, source, way, kernels);
                foreach (long memory in (long[])[least, least + (packed.WeightBytes / 4)])
                {
                    using Transformer mapped = Load(config, source, way, kernels, memory);
                    Assert.True(mapped.MappedBytes > 0);
                    AssertSameBits(expected, mapped.Logits(_tokens), $"{set}, {way.Down}");
                    AssertSameBits(expected, mapped.Logits(_tokens, 1), $"{set}, {way.Down}, one by one");
                }
            }
        }
    }

    [Fact]
    public void What_does_not_fit_even_so_is_refused_with_what_it_would_take()
    {
        ModelConfig config = Config(bias: false);
        ExpertNames way = new Qwen3Moe().HuggingFaceNames.Experts[0];
        using IKernels kernels = KernelCatalog.Create();
        using var source = new ExpertCheckpoint(config, Names(way), DenseFormat.BF16);
        long least = Least(config, source, way, kernels);
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => Load(config, source, way, kernels, least - 1));
        Assert.Matches(@"weights take [0-9.]+ MB of memory, [0-9.]+ MB without experts, and there is room for [0-9.]+ MB", error.Message);
        using IKernels reference = KernelCatalog.Create("reference");
        Assert.Throws<InvalidDataException>(() => Load(config, source, way, reference, least));
    }

    [Theory]
    [InlineData("Q8_0")]
    [InlineData("Q4_K")]
    public void Experts_are_quantised_while_they_are_loaded_whichever_way_they_lie(string to)
    {
        WeightFormat format = QuantisedTensors.Formats.Single(one => one.Name == to);
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        ModelConfig config = Config(bias: true);
        float[][]? expected = null;
        foreach (ExpertNames way in _ways.Where(way => way.DownBias.Length > 0))
        {
            TensorNames names = Names(way);
            using var source = new ExpertCheckpoint(config, names, DenseFormat.BF16);
            using var quantised = new QuantisedTensors(source, names.Quantised(format, 2, 6));
            using var model = new Transformer(
                config, Weights.Load(config, quantised, names.Turned(), kernels), kernels, CacheType.F32);
            float[][] logits = model.Logits(_tokens);
            expected ??= logits;
            AssertSameBits(expected, logits, $"{way.Down}, {way.GateUp}");
            using Transformer plain = Load(config, source, way, kernels, null);
            Assert.True(model.WeightBytes < 0.8 * plain.WeightBytes, $"{model.WeightBytes} of {plain.WeightBytes} bytes");
        }
    }

    [Fact]
    public void A_pass_of_one_row_reads_its_own_experts_and_wider_ones_read_more()
    {
        ModelConfig config = Config(bias: false);
        ExpertNames way = new Qwen3Moe().HuggingFaceNames.Experts[0];
        using IKernels kernels = KernelCatalog.Create();
        using var source = new ExpertCheckpoint(config, Names(way), DenseFormat.BF16);
        using Transformer model = Load(config, source, way, kernels, null);
        double experts = 2.0 * 3 * 6 * 96 * 64 * sizeof(ushort);
        Assert.Equal(model.ExpectedBytes(1) + (experts * ((5 / 9.0) - (2 / 6.0))), model.ExpectedBytes(2), 1.0);
        Assert.Equal(model.ExpectedBytes(1) + (experts * (1 - (2 / 6.0))), model.ExpectedBytes(1000), 1.0);
    }

    private static ModelConfig Config(bool bias)
    {
        var experts = new ExpertsPlan(6, 2, 96, new GatedUnit(Activation.Silu)) { Bias = bias };
        ModelConfig config = new Qwen3Moe().OfShape(64, 2, 200, 80);
        return config with
        {
            Layers =
                [.. config.Layers.Select(layer => layer with { Mlp = new MlpPlan(0, Activation.Silu, Gated: true) { Experts = experts } })],
        };
    }

    private static TensorNames Names(ExpertNames way) =>
        new Qwen3Moe().HuggingFaceNames with { Experts = [way with { Router = "router", Marks = [] }] };

    private static Transformer Load(ModelConfig config, ExpertCheckpoint source, ExpertNames way, IKernels kernels, long? memory) =>
        new(config, Weights.Load(config, source, Names(way), kernels, memory: memory), kernels, CacheType.F32);

    /// <summary>Bytes of all matrices that are no expert's.</summary>
    private static long Least(ModelConfig config, ExpertCheckpoint source, ExpertNames way, IKernels kernels)
    {
        using var loader = new WeightLoader(source, kernels);
        var weights = Weights.Describe(config, Names(way), loader);
        return loader.MatrixBytes - weights.Layers.Sum(layer =>
            layer.Experts!.Gate.Bytes + layer.Experts.Up.Bytes + layer.Experts.Down.Bytes);
    }

    private static WeightFormat Named(string name) => name switch
    {
        "F32" => DenseFormat.F32,
        "BF16" => DenseFormat.BF16,
        _ => GgufTypes.All.Values.Single(format => format.Name == name),
    };

    private static void AssertSameBits(float[][] expected, float[][] actual, string what)
    {
        for (int row = 0; row < expected.Length; row++)
        {
            Assert.All(actual[row], logit => Assert.True(float.IsFinite(logit)));
            Assert.True(Kernels.Arena.SameBits(expected[row], actual[row]), $"{what}: row {row} differs");
        }
    }
}
