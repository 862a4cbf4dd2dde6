using Understory.Models.Architecture;
using Understory.Models.Architecture.Families;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.PtxEmulator;

namespace Understory.Models.Tests.Architecture;

/// <summary>
/// Layers may differ in heads, head size, window, rotary table and width: caches, activations and attention follow the plan of each.
/// </summary>
public class LayerPlanTests
{
    private static readonly ModelConfig _mixed = new Llama().OfShape(64, 1, 200, 120) with
    {
        Rotaries = [new Rotary(16, 10000, RotaryScaling.None), new Rotary(8, 500, new LinearScaling(2))],
        Layers =
        [
            new(new AttentionPlan { Heads = 4, KvHeads = 2, HeadDim = 16, Rotary = 0, Window = 9 },
                new MlpPlan(96, Activation.Silu, Gated: true)),
            new(new AttentionPlan { Heads = 2, KvHeads = 1, HeadDim = 40, Rotary = 1 },
                new MlpPlan(48, Activation.GeluTanh, Gated: false, Bias: true)),
            new(new AttentionPlan { Heads = 6, KvHeads = 3, HeadDim = 16, QkNorm = QkNorm.Heads, QkvBias = true },
                new MlpPlan(160, Activation.GeluTanh, Gated: true)),
            new(new AttentionPlan { Heads = 1, KvHeads = 1, HeadDim = 40, Rotary = 1, OutputBias = true },
                new MlpPlan(16, Activation.Silu, Gated: true)),
        ],
    };

    /// <summary>All that only some families ask for.</summary>
    private static readonly ModelConfig _special = _mixed with
    {
        // It has names for the most of it.
        Family = new Gemma4(),
        EmbeddingScale = 3,
        EmbeddingNorm = true,
        PerLayer = new PerLayerPlan(20, 210, Activation.GeluTanh),
        LogitScale = 0.5f,
        LogitCap = 4,
        Layers =
        [
            _mixed.Layers[0] with { NormBehind = true, Attention = _mixed.Layers[0].Attention with { SoftCap = 2, Scale = 0.4f } },
            _mixed.Layers[1] with { ResidualScale = 0.3f,
                Attention = _mixed.Layers[1].Attention with { PositionScale = new PositionScale(0.2f, 8) } },
            _mixed.Layers[2] with { NormBefore = false, NormBehind = true,
                Attention = _mixed.Layers[2].Attention with { QkNorm = QkNorm.Whole, Rotary = 0 } },
            _mixed.Layers[0] with { NormBehind = true, OutputScale = true, NormBehindEpsilon = 1e-3f,
                Attention = _mixed.Layers[0].Attention with { QkNorm = QkNorm.Weightless, ValueNorm = true, Gate = true } },
            _mixed.Layers[1] with { Parallel = true,
                Attention = _mixed.Layers[1].Attention with { QkNorm = QkNorm.Heads, ValueNorm = true, KeysAreValues = true } },
            _mixed.Layers[0] with { Attention = _mixed.Layers[0].Attention with { Heads = 6, KeysOf = 3, Rotary = 1 },
                Mlp = new MlpPlan(80, Activation.Silu, Gated: true, Bias: true) },
            _mixed.Layers[1] with { Attention = _mixed.Layers[1].Attention with { KeysOf = 4, QkNorm = QkNorm.Heads, Gate = true } },
            new(_mixed.Layers[0].Attention with { Sinks = true }, new MlpPlan(0, Activation.Silu, Gated: true)
            {
                Experts = new ExpertsPlan(11, 3, 24, new GatedUnit(Activation.Silu, 1.702f, 0.2f)) { RouterBias = true, Bias = true },
            }) { ResidualScale = 0.7f },
            new(_mixed.Layers[1].Attention with { Sinks = true }, new MlpPlan(40, Activation.GeluTanh, Gated: true)
            {
                Experts = new ExpertsPlan(5, 2, 33, new GatedUnit(Activation.GeluTanh))
                {
                    Score = RouterScore.Sigmoid, Renormalised = false, WeightScale = 1.5f, SharedGate = true,
                },
            }) { NormBehind = true },
            _mixed.Layers[2] with { NormBehind = true, Mlp = new MlpPlan(40, Activation.GeluTanh, Gated: true)
            {
                Experts = new ExpertsPlan(7, 3, 24, new GatedUnit(Activation.GeluTanh)) { OwnNorms = true },
            } },
        ],
    };

    /// <summary>Branches side by side behind one norm that has no bias.</summary>
    private static readonly ModelConfig _parallel = _mixed with
    {
        Norm = NormKind.LayerNorm,
        Layers = [.. _mixed.Layers.Select(layer => layer with { Parallel = true })],
    };

    /// <summary>Recurrent layers of both ways to share keys, whole vectors and not, the last one among them; and gated attention.</summary>
    private static readonly ModelConfig _hybrid = new Qwen35().OfShape(64, 1, 200, 120) with
    {
        Rotaries = _mixed.Rotaries,
        Layers =
        [
            Recurrent(new RecurrentShape(2, 6, 24, 32, 4, Tiled: false)),
            _mixed.Layers[0] with { Attention = _mixed.Layers[0].Attention with { Gate = true } },
            Recurrent(new RecurrentShape(3, 3, 16, 16, 4, Tiled: false)),
            Recurrent(new RecurrentShape(2, 4, 35, 16, 4, Tiled: true)),
        ],
    };

    private static readonly string[] _sets = [.. KernelCatalog.Available.Select(set => set.Name), "cuda"];

    public static TheoryData<string> Sets => [.. _sets];

    public static TheoryData<string> ProcessorSets => [.. _sets.Where(set => set != "cuda")];

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_model_of_unlike_layers_gives_the_same_bits_in_chunks_in_trees_and_behind_moved_slots(string set) =>
        AssertInvariant(set, _mixed);

    [Theory]
    [MemberData(nameof(Sets))]
    public void So_does_one_whose_branches_lie_side_by_side(string set) => AssertInvariant(set, _parallel);

    [Theory]
    [MemberData(nameof(ProcessorSets))]
    public void So_does_a_model_with_all_that_only_some_families_ask_for(string set) => AssertInvariant(set, _special);

    [Theory]
    [MemberData(nameof(ProcessorSets))]
    public void So_does_a_hybrid(string set) => AssertInvariant(set, _hybrid);

    [Fact]
    public void What_the_kernels_of_a_device_lack_is_named_before_anything_is_loaded()
    {
        using IKernels kernels = Create("cuda");
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => ModelLoader.Random(
            _special with { Layers = [.. _special.Layers, _hybrid.Layers[0]] }, "special", kernels, 3));
        Assert.All(Enum.GetValues<KernelFeatures>().Skip(1), feature =>
            Assert.Contains(feature.ToString(), error.Message, StringComparison.Ordinal));
        Assert.Contains("--device cpu", error.Message, StringComparison.Ordinal);
    }

    private static void AssertInvariant(string set, ModelConfig config)
    {
        using IKernels kernels = Create(set);
        using Transformer model = ModelLoader.Random(config, "mixed", kernels, 3);
        Invariance.AssertHolds(model);
    }

    [Fact]
    public void The_fast_sets_agree_with_the_reference_on_unlike_layers() => AssertNearReference(_mixed, _sets);

    [Fact]
    public void They_agree_with_it_on_branches_side_by_side() => AssertNearReference(_parallel, _sets);

    [Fact]
    public void They_agree_with_it_on_all_that_only_some_families_ask_for() =>
        AssertNearReference(_special, [.. _sets.Where(set => set != "cuda")]);

    [Fact]
    public void They_agree_with_it_on_recurrent_layers() => AssertNearReference(_hybrid, [.. _sets.Where(set => set != "cuda")]);

    private static LayerPlan Recurrent(RecurrentShape shape) =>
        new(AttentionPlan.None, new MlpPlan(96, Activation.Silu, Gated: true)) { Recurrent = shape };

    private static void AssertNearReference(ModelConfig config, string[] sets)
    {
        int[] tokens = [.. Enumerable.Range(0, 45).Select(i => (i * 53) % 200)];
        using IKernels reference = KernelCatalog.Create("reference");
        using Transformer truth = ModelLoader.Random(config, "mixed", reference, 3, new LoadOptions(CacheType: CacheType.F32));
        float[][] expected = truth.Logits(tokens);
        foreach (string set in sets)
        {
            using IKernels kernels = Create(set);
            using Transformer model = ModelLoader.Random(config, "mixed", kernels, 3, new LoadOptions(CacheType: CacheType.F32));
            double error = Runs.RelativeError(model.Logits(tokens), expected);
            Assert.True(error < (set == "cuda" ? 2e-2 : 1e-5), $"{set}: {error:E2}");
        }
    }

    private static IKernels Create(string set) => set == "cuda" ? new CudaKernels(new EmulatedDriver()) : KernelCatalog.Create(set, 2);
}
