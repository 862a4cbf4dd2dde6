namespace Understory.Models.Architecture.Families;

/// <summary>Qwen 3.5 and 3.6 without experts, their text part.</summary>
internal sealed class Qwen35 : QwenHybrid
{
    public override string Name => "qwen3_5";

    internal override string[] Types => ["qwen3_5_text", "qwen3_5"];

    internal override string? GgufName => "qwen35";

    protected override bool TiledInGguf => true;

    /// <summary>Those of transformers' Qwen3_5TextConfig.</summary>
    protected override string Defaults => """
        {"vocab_size": 248320, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32, "num_attention_heads": 16,
         "num_key_value_heads": 4, "head_dim": 256, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
         "partial_rotary_factor": 0.25, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
         "linear_num_key_heads": 16, "linear_num_value_heads": 32}
        """;
}
