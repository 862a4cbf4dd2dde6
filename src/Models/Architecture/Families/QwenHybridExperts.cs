using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>Hybrids whose every layer has experts, and beside them a block that all rows share, weighed by a gate of its own.</summary>
internal abstract class QwenHybridExperts : QwenHybrid
{
    internal override TensorNames HuggingFaceNames { get; } = OfHuggingFace with
    {
        Gate = "mlp.shared_expert.gate_proj",
        Up = "mlp.shared_expert.up_proj",
        Down = "mlp.shared_expert.down_proj",
        Experts =
        [
            new ExpertNames
            {
                Router = "mlp.gate",
                SharedGate = SharedGate,
                Gate = "mlp.experts.{0}.gate_proj.weight",
                Up = "mlp.experts.{0}.up_proj.weight",
                Down = "mlp.experts.{0}.down_proj.weight",
            },
            FusedExperts with { SharedGate = SharedGate },
        ],
    };

    internal override TensorNames GgufNames { get; } = OfGguf with
    {
        Gate = "ffn_gate_shexp",
        Up = "ffn_up_shexp",
        Down = "ffn_down_shexp",
    };

    private const string SharedGate = "mlp.shared_expert_gate.weight";

    private protected override ExpertsPlan Experts(GgufKeys keys, int count) => UsualExperts(keys, count) with { SharedGate = true };

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        if (config.Integer("decoder_sparse_step", 1) != 1)
        {
            throw config.Unsupported("decoder_sparse_step", "1 is");
        }

        if (config.Integers("mlp_only_layers").Length > 0)
        {
            throw config.Unsupported("mlp_only_layers", "layers that all have experts are");
        }

        // transformers 4 calls it num_experts, 5 writes num_local_experts.
        int count = config.Has("num_local_experts") ? config.Integer("num_local_experts") : config.Integer("num_experts");
        var experts = new ExpertsPlan(
            count, config.Integer("num_experts_per_tok"), config.Integer("moe_intermediate_size"),
            new GatedUnit(model.Layers[0].Mlp.Activation))
        {
            Renormalised = config.Flag("norm_topk_prob", true),
            SharedGate = true,
        };
        return WithShared(base.Adapt(model, config), experts, config.Integer("shared_expert_intermediate_size"));
    }

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) => WithShared(
        base.Adapt(model, keys),
        model.Layers[0].Mlp.Experts ?? throw new InvalidDataException($"{keys.Path}: the first layer has no experts."),
        keys.Count("expert_shared_feed_forward_length"));

    internal override ModelConfig OfShape(int hidden, int layers, int vocabulary, int context)
    {
        int width = Math.Max(64, hidden / 4 / 64 * 64);
        var experts = new ExpertsPlan(128, 8, width, new GatedUnit(Activation.Silu)) { SharedGate = true };
        return WithShared(base.OfShape(hidden, layers, vocabulary, context), experts, width);
    }

    private static ModelConfig WithShared(ModelConfig model, ExpertsPlan experts, int width) =>
        Replan(model, (layer, _) => layer with { Mlp = WithExperts(experts) with { Width = width } });
}

/// <summary>Qwen3-Next, whose projections before the recurrence stand together, key head by key head.</summary>
internal sealed class Qwen3Next : QwenHybridExperts
{
    public override string Name => "qwen3_next";

    internal override string? GgufName => "qwen3next";

    internal override TensorNames HuggingFaceNames => base.HuggingFaceNames with
    {
        Recurrent = RecurrentNames.HuggingFace with
        {
            Qkv = "",
            Gate = "",
            Beta = "",
            Alpha = "",
            QkvGate = "linear_attn.in_proj_qkvz",
            BetaAlpha = "linear_attn.in_proj_ba",
        },
    };

    internal override TensorNames GgufNames => base.GgufNames with
    {
        Recurrent = RecurrentNames.Gguf with { Beta = "", Alpha = "", BetaAlpha = "ssm_ba" },
    };

    protected override bool TiledInGguf => false;

    /// <summary>Those of transformers' Qwen3NextConfig.</summary>
    protected override string Defaults => """
        {"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 48, "num_attention_heads": 16,
         "num_key_value_heads": 2, "head_dim": 256, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
         "partial_rotary_factor": 0.25, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
         "linear_num_key_heads": 16, "linear_num_value_heads": 32, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
         "num_experts_per_tok": 10, "num_experts": 512}
        """;
}

/// <summary>Qwen 3.5 and 3.6 with experts, their text part.</summary>
internal sealed class Qwen35Moe : QwenHybridExperts
{
    public override string Name => "qwen3_5_moe";

    internal override string[] Types => ["qwen3_5_moe_text", "qwen3_5_moe"];

    internal override string? GgufName => "qwen35moe";

    protected override bool TiledInGguf => true;

    /// <summary>Those of transformers' Qwen3_5MoeTextConfig; the plain width is nobody's.</summary>
    protected override string Defaults => """
        {"vocab_size": 248320, "hidden_size": 2048, "intermediate_size": 512, "num_hidden_layers": 40, "num_attention_heads": 16,
         "num_key_value_heads": 2, "head_dim": 256, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
         "partial_rotary_factor": 0.25, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
         "linear_num_key_heads": 16, "linear_num_value_heads": 32, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
         "num_experts_per_tok": 8, "num_experts": 256}
        """;
}
