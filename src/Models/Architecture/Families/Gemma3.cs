namespace Understory.Models.Architecture.Families;

/// <summary>
/// Gemma 3 (arXiv 2503.19786), its text part: a Gemma 2 with five layers with a window to one without, which turns by a table of its own,
/// heads' queries and keys normed, and nothing capped.
/// </summary>
internal sealed class Gemma3 : Gemma2
{
    private const int UsualPattern = 6;
    private const double LocalTheta = 10000;

    public override string Name => "gemma3";

    internal override string[] Types => ["gemma3_text", "gemma3"];

    protected override QkNorm QkNorm => QkNorm.Heads;

    /// <summary>Those of transformers' Gemma3TextConfig: published configs name neither heads nor vocabulary.</summary>
    protected override string Defaults => """
        {"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
         "num_key_value_heads": 4,
         "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072, "rms_norm_eps": 1e-6,
         "tie_word_embeddings": true,
         "query_pre_attn_scalar": 256, "sliding_window": 4096, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0}
        """;

    private protected override int LayersOfLargest => 62;

    private protected override int Pattern(JsonKeys config) =>
        config.Integer("_sliding_window_pattern", config.Integer("sliding_window_pattern", UsualPattern));

    /// <summary>That of layers without a window, then that of layers with one.</summary>
    private protected override Rotary[] Rotaries(JsonKeys config, int headDim, int context)
    {
        JsonKeys? parameters = config.Object("rope_parameters");
        return parameters?.Object("full_attention") is { } full && parameters.Object("sliding_attention") is { } sliding
            ? [Rope.Read(config, full, headDim, context), Rope.Read(config, sliding, headDim, context)]
            : [Rope.Read(config, headDim, context), new Rotary(headDim, config.Number("rope_local_base_freq"), RotaryScaling.None)];
    }

    private protected override Rotary[] Rotaries(GgufKeys keys, int headDim) =>
        [Rope.Read(keys, headDim), new Rotary(headDim, keys.Number("rope.freq_base_swa", LocalTheta), RotaryScaling.None)];

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config) => Turning(base.Adapt(model, config));

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) => Turning(Adapted(
        Alternating(model, keys.Windowed(UsualPattern)), QueryScalar(model), scoreCap: 0, keys.Number("final_logit_softcapping", 0)));

    private static ModelConfig Turning(ModelConfig model) => Replan(
        model, (layer, _) => layer with { Attention = layer.Attention with { Rotary = layer.Attention.Window > 0 ? 1 : 0 } });
}
