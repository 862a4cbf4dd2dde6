using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// gpt-oss (OpenAI, arXiv 2508.10925): experts in every layer, whose gated unit is clamped; biases on all projections, the router's and the
/// experts'; attention with sinks, a window in every other layer; rotation by YaRN whose ramp is not rounded. Experts come in MXFP4.
/// </summary>
internal sealed class GptOss : LlamaLike
{
    private const double Alpha = 1.702;
    private const double Limit = 7;

    public override string Name => "gpt_oss";

    internal override string GgufName => "gpt-oss";

    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        Sinks = "self_attn.sinks",
        Experts = [Packed with { Marks = ["mlp.experts.down_proj_blocks"] }, Packed with { Transposed = true }],
    };

    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { MlpNorm = "post_attention_norm" };

    /// <summary>Those of transformers' GptOssConfig.</summary>
    protected override string Defaults => """
        {"vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36, "num_attention_heads": 64,
         "num_key_value_heads": 8, "head_dim": 64, "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
         "sliding_window": 128, "attention_bias": true, "num_experts_per_tok": 4, "rope_theta": 150000.0,
         "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
                          "original_max_position_embeddings": 4096}}
        """;

    private static ExpertNames Packed { get; } = new()
    {
        Router = "mlp.router",
        GateUp = "mlp.experts.gate_up_proj",
        GateUpBias = "mlp.experts.gate_up_proj_bias",
        Down = "mlp.experts.down_proj",
        DownBias = "mlp.experts.down_proj_bias",
        Alternating = true,
    };

    /// <summary>Every other layer from the first on has one, unless <c>layer_types</c> says otherwise.</summary>
    protected override int[] Windows(JsonKeys config, int layers)
    {
        int window = config.Integer("sliding_window");
        int[] named = SlidingFrom(config, layers, window, first: 0);
        return config.Strings("layer_types").Length > 0 ? named : [.. named.Select((_, layer) => layer % 2 == 0 ? window : 0)];
    }

    private protected override Rotary[] Rotaries(GgufKeys keys, int headDim)
    {
        Rotary rotary = Rope.Read(keys, headDim);
        return [rotary.Scaling is YarnScaling yarn ? rotary with { Scaling = yarn with { Truncate = false } } : rotary];
    }

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        const int UsualCount = 128;
        var unit = new GatedUnit(
            Activation.Silu, (float)config.Number("swiglu_alpha", Alpha), (float)config.Number("swiglu_limit", Limit));
        ExpertsPlan experts = Plan(
            config.Integer("num_local_experts", config.Integer("num_experts", UsualCount)), config.Integer("num_experts_per_tok"),
            model.Layers[0].Mlp.Width, unit);
        return Replan(model, (layer, _) => layer with { Mlp = WithExperts(experts), Attention = layer.Attention with { Sinks = true } });
    }

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys)
    {
        int pattern = keys.Count("attention.sliding_window_pattern", 2);
        return Replan(model, (layer, number) => layer with
        {
            Attention = layer.Attention with { Sinks = true, Window = (number + 1) % pattern != 0 ? layer.Attention.Window : 0 },
        });
    }

    private protected override ExpertsPlan Experts(GgufKeys keys, int count) => Plan(
        count, keys.Count("expert_used_count"), ExpertWidth(keys), new GatedUnit(Activation.Silu, (float)Alpha, (float)Limit));

    private static ExpertsPlan Plan(int count, int used, int width, in GatedUnit unit) =>
        new(count, used, width, unit) { RouterBias = true, Bias = true };
}
