using Understory.Models.Formats;

namespace Understory.Models.Architecture;

/// <summary>
/// Under which names a kind of checkpoint keeps its tensors, less ".weight" and ".bias"; names from <see cref="AttentionNorm"/> on
/// stand behind <see cref="Layer"/>, in which <c>{0}</c> is the layer's number.
/// </summary>
internal sealed record TensorNames
{
    public required string Embedding { get; init; }

    public string Positions { get; init; } = "";

    public required string FinalNorm { get; init; }

    public required string Head { get; init; }

    public required string Layer { get; init; }

    public required string AttentionNorm { get; init; }

    /// <summary>Queries, keys and values: one name for all three in one matrix, or three.</summary>
    public required string[] Qkv { get; init; }

    public string QueryNorm { get; init; } = "";

    public string KeyNorm { get; init; } = "";

    public required string AttentionOutput { get; init; }

    public required string MlpNorm { get; init; }

    public string Gate { get; init; } = "";

    public required string Up { get; init; }

    public required string Down { get; init; }

    /// <summary>Matrices of the layers are <c>[inputs, outputs]</c> (GPT-2's Conv1D).</summary>
    public bool Transposed { get; init; }

    /// <summary>Rows of a query or key head are kept for rotating neighbours (2i, 2i + 1) instead of halves (i, i + Dim / 2): llama in GGUF.</summary>
    public bool Interleaved { get; init; }

    private static TensorNames HuggingFaceGpt2 { get; } = new()
    {
        Embedding = "wte",
        Positions = "wpe",
        FinalNorm = "ln_f",
        Head = "lm_head",
        Layer = "h.{0}.",
        AttentionNorm = "ln_1",
        Qkv = ["attn.c_attn"],
        AttentionOutput = "attn.c_proj",
        MlpNorm = "ln_2",
        Up = "mlp.c_fc",
        Down = "mlp.c_proj",
        Transposed = true,
    };

    private static TensorNames HuggingFaceLlama { get; } = new()
    {
        Embedding = "embed_tokens",
        FinalNorm = "norm",
        Head = "lm_head",
        Layer = "layers.{0}.",
        AttentionNorm = "input_layernorm",
        Qkv = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        QueryNorm = "self_attn.q_norm",
        KeyNorm = "self_attn.k_norm",
        AttentionOutput = "self_attn.o_proj",
        MlpNorm = "post_attention_layernorm",
        Gate = "mlp.gate_proj",
        Up = "mlp.up_proj",
        Down = "mlp.down_proj",
    };

    private static TensorNames GgufNames { get; } = new()
    {
        Embedding = "token_embd",
        Positions = "position_embd",
        FinalNorm = "output_norm",
        Head = "output",
        Layer = "blk.{0}.",
        AttentionNorm = "attn_norm",
        Qkv = ["attn_q", "attn_k", "attn_v"],
        QueryNorm = "attn_q_norm",
        KeyNorm = "attn_k_norm",
        AttentionOutput = "attn_output",
        MlpNorm = "ffn_norm",
        Gate = "ffn_gate",
        Up = "ffn_up",
        Down = "ffn_down",
    };

    /// <summary>Hugging Face names, with the base model's prefix or without, as the checkpoint has them.</summary>
    public static TensorNames HuggingFace(ModelConfig config, ITensorSource source)
    {
        (TensorNames names, string prefix) = config.Family == "gpt2" ? (HuggingFaceGpt2, "transformer.") : (HuggingFaceLlama, "model.");
        return source.Contains(names.Embedding + ".weight") ? names : names with
        {
            Embedding = prefix + names.Embedding,
            Positions = prefix + names.Positions,
            FinalNorm = prefix + names.FinalNorm,
            Layer = prefix + names.Layer,
        };
    }

    public static TensorNames InGguf(ModelConfig config) => config.Family switch
    {
        "gpt2" => GgufNames with { Qkv = ["attn_qkv"] },
        "llama" => GgufNames with { Interleaved = true },
        _ => GgufNames,
    };
}
