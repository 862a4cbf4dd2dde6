namespace Understory.Models.Architecture.Families;

/// <summary>
/// Phi-3 and Phi-4 (arXiv 2404.14219, 2412.08905): a Llama whose queries, keys and values are one tensor, and gate and up another; long
/// contexts by LongRoPE.
/// </summary>
internal sealed class Phi3 : LlamaLike
{
    public override string Name => "phi3";

    internal override TensorNames HuggingFaceNames { get; } = Usual with { Qkv = ["self_attn.qkv_proj"], GateUp = "mlp.gate_up_proj" };

    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Qkv = ["attn_qkv"], GateUp = "ffn_up" };

    protected override int[] Windows(JsonKeys config, int layers) =>
        config.Integer("sliding_window", 0) is > 0 and int window ? SlidingFrom(config, layers, window, first: 0) : [];
}
