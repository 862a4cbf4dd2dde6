using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>Mixtral (arXiv 2401.04088): a Mistral with experts for an MLP in every layer. Its GGUF files are Llama's.</summary>
internal sealed class Mixtral : Mistral
{
    public override string Name => "mixtral";

    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        Experts =
        [
            new ExpertNames
            {
                Router = "block_sparse_moe.gate",
                Gate = "block_sparse_moe.experts.{0}.w1.weight",
                Up = "block_sparse_moe.experts.{0}.w3.weight",
                Down = "block_sparse_moe.experts.{0}.w2.weight",
            },
            FusedExperts,
        ],
    };

    /// <summary>Those of transformers' MixtralConfig.</summary>
    protected override string Defaults => """
        {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
         "num_experts_per_tok": 2, "rope_theta": 1000000.0}
        """;

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        const int UsualCount = 8;
        var experts = new ExpertsPlan(
            config.Integer("num_local_experts", config.Integer("num_experts", UsualCount)), config.Integer("num_experts_per_tok"),
            model.Layers[0].Mlp.Width, new GatedUnit(model.Layers[0].Mlp.Activation));
        return Replan(model, (layer, _) => layer with { Mlp = WithExperts(experts) });
    }
}
