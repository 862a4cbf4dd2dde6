using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019): learned positions, LayerNorm, a plain MLP, biases
/// everywhere.
/// </summary>
internal sealed class Gpt2 : Family
{
    public override string Name => "gpt2";

    internal override string GgufName => "gpt2";

    internal override TensorNames HuggingFaceNames { get; } = new()
    {
        Base = "transformer.",
        Embedding = "wte",
        Positions = "wpe",
        FinalNorm = "ln_f",
        Head = "lm_head",
        Layer = "h.{0}.",
        AttentionNorm = "ln_1",
        Qkv = ["attn.c_attn"],
        AttentionOutput = "attn.c_proj",
        MlpNorm = "ln_2",
        Up = "mlp.c_fc",
        Down = "mlp.c_proj",
        Transposed = true,
    };

    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Qkv = ["attn_qkv"] };

    internal override ModelConfig Read(JsonKeys config)
    {
        if (!config.Flag("scale_attn_weights", true) || config.Flag("scale_attn_by_inverse_layer_idx", false))
        {
            throw config.Unsupported("scale_attn_weights", "attention is scaled by 1 / sqrt(head dimension)");
        }

        int hidden = config.Integer("n_embd");
        return Of(
            hidden, config.Integer("n_layer"), config.Integer("n_head"), config.Quotient("n_embd", "n_head"),
            config.Integer("n_inner", 4 * hidden),
            ActivationOf(config, "activation_function")) with
        {
            VocabularySize = config.Integer("vocab_size"),
            TrainedContext = config.Integer("n_positions"),
            ContextLength = config.Integer("n_positions"),
            NormEpsilon = (float)config.Number("layer_norm_epsilon"),
            TiedHead = config.Flag("tie_word_embeddings", true),
        };
    }

    internal override ModelConfig Read(GgufKeys keys)
    {
        int hidden = keys.Count("embedding_length");
        int heads = keys.Count("attention.head_count");
        return Of(hidden, keys.Count("block_count"), heads, keys.HeadDim(hidden, heads), keys.Count("feed_forward_length"),
            Activation.GeluTanh) with
        {
            VocabularySize = keys.VocabularySize,
            TrainedContext = keys.Count("context_length"),
            ContextLength = keys.Count("context_length"),
            NormEpsilon = (float)keys.Number("attention.layer_norm_epsilon"),
            TiedHead = keys.TiedHead,
        };
    }

    internal override ModelConfig OfShape(int hidden, int layers, int vocabulary, int context) =>
        Of(hidden, layers, hidden / 64, 64, 4 * hidden, Activation.GeluTanh) with
        {
            VocabularySize = vocabulary,
            TrainedContext = context,
            ContextLength = context,
        };

    private ModelConfig Of(int hidden, int layers, int heads, int headDim, int width, Activation activation) => new()
    {
        Family = this,
        VocabularySize = 0,
        TrainedContext = 0,
        ContextLength = 0,
        HiddenSize = hidden,
        Norm = NormKind.LayerNorm,
        NormBias = true,
        NormEpsilon = 1e-5f,
        LearnedPositions = true,
        Layers = ModelConfig.Plan(layers, _ => new LayerPlan(
            new AttentionPlan { Heads = heads, KvHeads = heads, HeadDim = headDim, QkvBias = true, OutputBias = true },
            new MlpPlan(width, activation, Gated: false, Bias: true))),
        TiedHead = true,
    };
}
