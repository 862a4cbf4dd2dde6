namespace Understory.Models.Architecture.Families;

/// <summary>Granite 3 (IBM, 2024): a Llama with multipliers on embeddings, scores, branches and logits.</summary>
internal sealed class Granite : LlamaLike
{
    public override string Name => "granite";

    /// <summary>GGUF keeps the rows of a query or key head for rotating neighbours (2i, 2i + 1).</summary>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Interleaved = true };

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config) => Multiplied(
        model, config.Number("embedding_multiplier", 1), config.Number("attention_multiplier", 1), config.Number("residual_multiplier", 1),
        config.Number("logits_scaling", 1));

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) => Multiplied(
        model, keys.Number("embedding_scale", 1), keys.Number("attention.scale", 1), keys.Number("residual_scale", 1),
        keys.Number("logit_scale", 1));

    /// <param name="logits">Logits are divided by it.</param>
    private static ModelConfig Multiplied(ModelConfig model, double embedding, double attention, double residual, double logits) => Replan(
        model with { EmbeddingScale = (float)embedding, LogitScale = (float)(1 / logits) },
        (layer, _) => layer with { Attention = layer.Attention with { Scale = (float)attention }, ResidualScale = (float)residual });
}
