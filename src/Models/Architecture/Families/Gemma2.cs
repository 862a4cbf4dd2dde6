using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// Gemma 2 (arXiv 2408.00118): scaled embeddings, norms before and behind each branch, an MLP gated by GELU, every other layer with a
/// window, scores and logits capped. Hugging Face keeps norms less 1; GGUF has the 1 in them.
/// </summary>
internal class Gemma2 : LlamaLike
{
    public override string Name => "gemma2";

    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        AttentionNormBehind = "post_attention_layernorm",
        MlpNorm = "pre_feedforward_layernorm",
        MlpNormBehind = "post_feedforward_layernorm",
        NormOffset = 1,
    };

    /// <summary>Those of transformers' Gemma2Config.</summary>
    protected override string Defaults => """
        {"vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
         "num_key_value_heads": 4,
         "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 8192, "rms_norm_eps": 1e-6,
         "tie_word_embeddings": true,
         "query_pre_attn_scalar": 256, "sliding_window": 4096, "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0}
        """;

    /// <summary>
    /// Layers of the 27B model, whose scores alone are scaled by the width over the heads: GGUF does not say so (llama.cpp knows it by
    /// this number too).
    /// </summary>
    private protected virtual int LayersOfLargest => 46;

    /// <summary>The last of so many layers sees everything; the others have a window.</summary>
    private protected virtual int Pattern(JsonKeys config) => 2;

    protected override int[] Windows(JsonKeys config, int layers)
    {
        int window = config.Integer("sliding_window");
        int pattern = Pattern(config);
        int[] named = SlidingFrom(config, layers, window, first: 0);
        return config.Strings("layer_types").Length > 0 ? named : [.. named.Select((_, layer) => (layer + 1) % pattern == 0 ? 0 : window)];
    }

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config) => Adapted(
        model, config.Number("query_pre_attn_scalar"), config.Number("attn_logit_softcapping", 0),
        config.Number("final_logit_softcapping", 0));

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys)
    {
        const int Sliding = 2;
        return Adapted(
            Alternating(model, keys.Windowed(Sliding)), QueryScalar(model), keys.Number("attn_logit_softcapping", 50),
            keys.Number("final_logit_softcapping", 30));
    }

    private protected double QueryScalar(ModelConfig model)
    {
        AttentionPlan attention = model.Layers[0].Attention;
        return model.Layers.Count == LayersOfLargest ? (double)model.HiddenSize / attention.Heads : attention.HeadDim;
    }

    private protected static ModelConfig Adapted(ModelConfig model, double queryScalar, double scoreCap, double logitCap) => Replan(
        model with { EmbeddingScale = (float)Math.Sqrt(model.HiddenSize), LogitCap = (float)logitCap },
        (layer, _) => layer with
        {
            NormBehind = true,
            Attention = layer.Attention with { Scale = (float)(1 / Math.Sqrt(queryScalar)), SoftCap = (float)scoreCap },
            Mlp = layer.Mlp with { Activation = Activation.GeluTanh },
        });
}
