namespace Understory.Models.Architecture.Families;

/// <summary>Qwen3 (arXiv 2505.09388): like Qwen2, but heads' queries and keys are normed instead of biased.</summary>
internal class Qwen3 : Qwen2
{
    public override string Name => "qwen3";

    protected override QkNorm QkNorm => QkNorm.Heads;

    protected override (bool Qkv, bool Output) Biases(JsonKeys config)
    {
        bool bias = config.Flag("attention_bias", false);
        return (bias, bias);
    }
}
