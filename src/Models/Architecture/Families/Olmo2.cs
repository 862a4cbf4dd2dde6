namespace Understory.Models.Architecture.Families;

/// <summary>
/// OLMo 2 (arXiv 2501.00656): a Llama with norms behind its branches instead of before them, and queries and keys normed over all heads.
/// </summary>
internal sealed class Olmo2 : LlamaLike
{
    public override string Name => "olmo2";

    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        AttentionNormBehind = "post_attention_layernorm",
        MlpNormBehind = "post_feedforward_layernorm",
    };

    protected override QkNorm QkNorm => QkNorm.Whole;

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config) => NormedBehind(model);

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) => NormedBehind(model);

    private static ModelConfig NormedBehind(ModelConfig model) =>
        Replan(model, (layer, _) => layer with { NormBefore = false, NormBehind = true });
}
