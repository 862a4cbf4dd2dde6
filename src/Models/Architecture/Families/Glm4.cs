namespace Understory.Models.Architecture.Families;

/// <summary>
/// GLM-4 of 2025 (Zhipu AI; the 9B and 32B models of 0414): a Llama with norms behind its branches too, of whose heads half the dimensions
/// turn, and whose gate and up are one tensor.
/// </summary>
internal sealed class Glm4 : LlamaLike
{
    public override string Name => "glm4";

    /// <summary>The rows of a query or key head that turn are kept for rotating neighbours (2i, 2i + 1).</summary>
    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        AttentionNormBehind = "post_self_attn_layernorm",
        MlpNormBehind = "post_mlp_layernorm",
        GateUp = "mlp.gate_up_proj",
        Interleaved = true,
    };

    /// <inheritdoc cref="HuggingFaceNames"/>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { GateUp = "ffn_up", Interleaved = true };

    /// <summary>Those of transformers' Glm4Config.</summary>
    protected override string Defaults => """
        {"vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40, "num_attention_heads": 32,
         "num_key_value_heads": 2, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1.5625e-7,
         "partial_rotary_factor": 0.5, "attention_bias": true}
        """;

    protected override (bool Qkv, bool Output) Biases(JsonKeys config) => (config.Flag("attention_bias"), false);

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config) => NormedBehind(model);

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) => NormedBehind(model);

    private static ModelConfig NormedBehind(ModelConfig model) => Replan(model, (layer, _) => layer with { NormBehind = true });
}
