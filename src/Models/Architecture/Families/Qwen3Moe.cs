using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// Qwen3's mixtures of experts (arXiv 2505.09388): a Qwen3 with experts for an MLP, in every layer unless its config says otherwise.
/// </summary>
internal sealed class Qwen3Moe : Qwen3
{
    public override string Name => "qwen3_moe";

    internal override string? GgufName => "qwen3moe";

    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        Experts =
        [
            new ExpertNames
            {
                Router = "mlp.gate",
                Gate = "mlp.experts.{0}.gate_proj.weight",
                Up = "mlp.experts.{0}.up_proj.weight",
                Down = "mlp.experts.{0}.down_proj.weight",
            },
            FusedExperts,
        ],
    };

    /// <summary>Those of transformers' Qwen3MoeConfig.</summary>
    protected override string Defaults => """
        {"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24, "num_attention_heads": 32,
         "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "sliding_window": 4096,
         "max_window_layers": 28, "moe_intermediate_size": 768, "num_experts_per_tok": 8, "decoder_sparse_step": 1}
        """;

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        const int UsualCount = 128;
        // transformers 4 calls it num_experts, 5 writes num_local_experts.
        int count = config.Integer("num_experts", config.Integer("num_local_experts", UsualCount));
        int step = config.Integer("decoder_sparse_step");
        int[] dense = config.Integers("mlp_only_layers");
        if (step < 1)
        {
            throw config.Unsupported("decoder_sparse_step", "1 and above are");
        }

        var experts = new ExpertsPlan(
            count, config.Integer("num_experts_per_tok"), config.Integer("moe_intermediate_size"),
            new GatedUnit(model.Layers[0].Mlp.Activation))
        {
            Renormalised = config.Flag("norm_topk_prob", false),
        };
        return Replan(model, (layer, number) => count == 0 || dense.Contains(number) || (number + 1) % step != 0
            ? layer : layer with { Mlp = WithExperts(experts) });
    }

    private protected override ExpertsPlan Experts(GgufKeys keys, int count) => UsualExperts(keys, count);

    /// <summary>128 experts, of which a row uses 8, together half as wide again as a plain MLP would be.</summary>
    internal override ModelConfig OfShape(int hidden, int layers, int vocabulary, int context)
    {
        var experts = new ExpertsPlan(128, 8, Math.Max(64, hidden * 3 / 8 / 64 * 64), new GatedUnit(Activation.Silu));
        return Replan(base.OfShape(hidden, layers, vocabulary, context), (layer, _) => layer with { Mlp = WithExperts(experts) });
    }
}
