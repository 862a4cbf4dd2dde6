using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// Ministral 3 and Mistral Small from 3.1 on, as GGUF calls them: a Mistral whose queries are scaled by their position beyond the first
/// training's context.
/// </summary>
internal sealed class Ministral3 : LlamaLike
{
    public override string Name => "ministral3";

    internal override string GgufName => "mistral3";

    /// <summary>GGUF keeps the rows of a query or key head for rotating neighbours (2i, 2i + 1).</summary>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Interleaved = true };

    protected override int[] Windows(JsonKeys config, int layers) =>
        config.Integer("sliding_window", 0) is > 0 and int window ? SlidingFrom(config, layers, window, first: 0) : [];

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config) =>
        config.Object("rope_parameters") is { } rope && rope.Has("llama_4_scaling_beta")
            ? Scaled(model, rope.Number("llama_4_scaling_beta"), rope.Integer("original_max_position_embeddings"))
            : model;

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) =>
        keys.Number("attention.temperature_scale", 0) is not 0 and double beta
            ? Scaled(model, beta, keys.Count("rope.scaling.original_context_length"))
            : model;

    private static ModelConfig Scaled(ModelConfig model, double beta, int every) => Replan(
        model, (layer, _) => layer with { Attention = layer.Attention with { PositionScale = new PositionScale((float)beta, every) } });
}
