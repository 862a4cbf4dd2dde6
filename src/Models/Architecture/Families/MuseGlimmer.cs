namespace Understory.Models.Architecture.Families;

/// <summary>
/// Muse Glimmer (Meta, 2026), its text part: embeddings normed, queries and keys normed without weights and queries then scaled, a sigmoid
/// gate on what attention made, norms behind each branch with an epsilon of their own, scaled and capped logits, and three layers with a
/// window to one without, which turns nothing.
/// </summary>
internal sealed class MuseGlimmer : LlamaLike
{
    private const int Period = 4;

    public override string Name => "muse_glimmer";

    internal override string[] Types => ["muse_glimmer_text", "muse_glimmer"];

    internal override string GgufName => "muse-glimmer";

    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        AttentionNormBehind = "post_attention_layernorm",
        MlpNorm = "pre_feedforward_layernorm",
        MlpNormBehind = "post_feedforward_layernorm",
        AttentionGate = "self_attn.gate_proj",
        NormOffset = 1,
        FinalNormOffset = 0,
    };

    /// <summary>
    /// GGUF keeps the rows of a query or key head for rotating neighbours (2i, 2i + 1), the 1 in norms, and the scale of queries as weights
    /// of their norm.
    /// </summary>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Interleaved = true };

    /// <summary>Those of transformers' MuseGlimmerTextConfig.</summary>
    protected override string Defaults => """
        {"vocab_size": 202048, "hidden_size": 6656, "intermediate_size": 19968, "num_hidden_layers": 52, "num_attention_heads": 32,
         "num_key_value_heads": 2, "head_dim": 128, "hidden_activation": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
         "sliding_window": 2048, "final_logit_softcapping": 20.0, "qk_scale_factor": 3.87, "output_multiplier": 0.19611613513818404,
         "post_norm_eps": 1e-8}
        """;

    /// <summary>Layers are counted back from the last, which has none.</summary>
    protected override int[] Windows(JsonKeys config, int layers)
    {
        int window = config.Integer("sliding_window", 0);
        int[] named = SlidingFrom(config, layers, window, first: 0);
        return config.Strings("layer_types").Length > 0
            ? named : [.. named.Select((_, layer) => (layers - 1 - layer) % Period == 0 ? 0 : window)];
    }

    /// <summary><c>layer_rope_theta</c> is 0 for each layer that turns nothing.</summary>
    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        int layers = model.Layers.Count;
        double[] thetas = config.Has("layer_rope_theta")
            ? config.Numbers("layer_rope_theta")
            : [.. Enumerable.Range(0, layers).Select(layer => (layers - 1 - layer) % Period == 0 ? 0 : model.Rotaries[0].Theta)];
        if (thetas.Length != layers)
        {
            throw new InvalidDataException($"\"layer_rope_theta\" has {thetas.Length} entries for {layers} layers.");
        }

        // transformers asks only whether it is 0: every layer that turns does so by rope_parameters.
        double scale = config.Number("qk_scale_factor");
        return Adapted(model, config.Number("post_norm_eps"), config.Number("output_multiplier"),
            config.Number("final_logit_softcapping", 0), layer => thetas[layer] != 0, attention => attention with
            {
                QkNorm = QkNorm.Weightless,
                Scale = (float)(scale / Math.Sqrt(attention.HeadDim)),
            });
    }

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys)
    {
        // No key says it; llama.cpp has it so too.
        const double EpsilonBehind = 1e-8;
        Func<int, bool> windowed = keys.Windowed(Period);
        return Adapted(Alternating(model, windowed), EpsilonBehind, keys.Number("logit_scale"),
            keys.Number("final_logit_softcapping", 30), windowed, attention => attention);
    }

    private static ModelConfig Adapted(ModelConfig model, double epsilonBehind, double logitScale, double logitCap, Func<int, bool> turns,
        Func<AttentionPlan, AttentionPlan> normed) => Replan(
        model with { EmbeddingNorm = true, LogitScale = (float)logitScale, LogitCap = (float)logitCap },
        (layer, number) => layer with
        {
            NormBehind = true,
            NormBehindEpsilon = (float)epsilonBehind,
            Attention = normed(layer.Attention) with { Gate = true, Rotary = turns(number) ? 0 : null },
        });
}
