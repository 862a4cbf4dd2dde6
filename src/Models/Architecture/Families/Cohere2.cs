using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// Command R7B and Command A (Cohere, 2024 and 2025): attention and MLP side by side behind one LayerNorm without biases, scaled logits,
/// and three layers with a window, which turn, to one without, which does not.
/// </summary>
internal sealed class Cohere2 : LlamaLike
{
    private const int Period = 4;

    public override string Name => "cohere2";

    /// <summary>The rows of a query or key head are kept for rotating neighbours (2i, 2i + 1).</summary>
    internal override TensorNames HuggingFaceNames { get; } = Usual with { Interleaved = true };

    /// <inheritdoc cref="HuggingFaceNames"/>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Interleaved = true };

    protected override NormKind Norm => NormKind.LayerNorm;

    /// <summary>Those of transformers' Cohere2Config.</summary>
    protected override string Defaults => """
        {"vocab_size": 256000, "hidden_size": 8192, "intermediate_size": 22528, "logit_scale": 0.0625, "num_hidden_layers": 40,
         "num_attention_heads": 64, "hidden_act": "silu", "max_position_embeddings": 8192, "layer_norm_eps": 1e-5,
         "tie_word_embeddings": true, "sliding_window": 4096}
        """;

    protected override int[] Windows(JsonKeys config, int layers)
    {
        int window = config.Integer("sliding_window", 0);
        int period = config.Integer("_sliding_window_pattern", config.Integer("sliding_window_pattern", Period));
        int[] named = SlidingFrom(config, layers, window, first: 0);
        return config.Strings("layer_types").Length > 0
            ? named : [.. named.Select((_, layer) => (layer + 1) % period == 0 ? 0 : window)];
    }

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config) => Adapted(model, config.Number("logit_scale"));

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) =>
        Adapted(Alternating(model, keys.Windowed(Period)), keys.Number("logit_scale"));

    private static ModelConfig Adapted(ModelConfig model, double logitScale) => Replan(
        model with { LogitScale = (float)logitScale },
        (layer, _) => layer with
        {
            Parallel = true,
            Attention = layer.Attention with { Rotary = layer.Attention.Window > 0 ? 0 : null },
        });
}
