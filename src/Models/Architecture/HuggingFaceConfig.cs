using System.Text.Json;
using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>
/// <c>config.json</c> as Hugging Face writes it. A key that transformers always writes must be there; a default that transformers itself
/// falls back on stands visibly at the call.
/// </summary>
public static class HuggingFaceConfig
{
    /// <summary>Reads a model's config.</summary>
    /// <param name="config">config.json</param>
    /// <param name="generation">generation_config.json, whose end tokens win; null where there is none.</param>
    /// <exception cref="InvalidDataException">A key is missing, of the wrong type or of a value that is not supported; names it.</exception>
    public static ModelConfig Read(JsonElement config, JsonElement? generation = null)
    {
        var keys = new JsonKeys(config);
        if (keys.Has("quantization_config"))
        {
            throw keys.Unsupported("quantization_config", "weights must be F32, F16 or BF16");
        }

        ModelConfig model = keys.String("model_type") switch
        {
            "gpt2" => Gpt2(keys),
            "llama" or "mistral" or "qwen2" or "qwen3" => Llama(keys, keys.String("model_type")),
            string other => throw new InvalidDataException($"Models of type \"{other}\" are not supported; gpt2, llama, mistral, qwen2 and qwen3 are."),
        };
        int[] ends = keys.Integers("eos_token_id");
        if (generation is { } defaults && new JsonKeys(defaults).Integers("eos_token_id") is { Length: > 0 } wins)
        {
            ends = wins;
        }

        return (model with { EosTokenIds = ends, BosTokenId = keys.Integers("bos_token_id") is [int bos, ..] ? bos : null }).Validated();
    }

    private static ModelConfig Gpt2(JsonKeys keys)
    {
        int hidden = keys.Integer("n_embd");
        int heads = keys.Integer("n_head");
        if (!keys.Flag("scale_attn_weights", true) || keys.Flag("scale_attn_by_inverse_layer_idx", false))
        {
            throw keys.Unsupported("scale_attn_weights", "attention is scaled by 1 / sqrt(head dimension)");
        }

        return new ModelConfig
        {
            Family = "gpt2",
            VocabularySize = keys.Integer("vocab_size"),
            TrainedContext = keys.Integer("n_positions"),
            ContextLength = keys.Integer("n_positions"),
            HiddenSize = hidden,
            Layers = keys.Integer("n_layer"),
            Heads = heads,
            KvHeads = heads,
            HeadDim = keys.Quotient("n_embd", "n_head"),
            IntermediateSize = keys.Integer("n_inner", 4 * hidden),
            Norm = NormKind.LayerNorm,
            NormEpsilon = (float)keys.Number("layer_norm_epsilon"),
            Activation = ActivationOf(keys, "activation_function"),
            GatedMlp = false,
            Rotary = null,
            QkvBias = true,
            OutputBias = true,
            MlpBias = true,
            TiedHead = keys.Flag("tie_word_embeddings", true),
        };
    }

    private static ModelConfig Llama(JsonKeys keys, string family)
    {
        int heads = keys.Integer("num_attention_heads");
        int headDim = keys.Has("head_dim") ? keys.Integer("head_dim") : keys.Quotient("hidden_size", "num_attention_heads");
        int context = keys.Integer("max_position_embeddings");
        bool attentionBias = family is "llama" or "qwen3" && keys.Flag("attention_bias", false);
        return new ModelConfig
        {
            Family = family,
            VocabularySize = keys.Integer("vocab_size"),
            TrainedContext = context,
            ContextLength = context,
            HiddenSize = keys.Integer("hidden_size"),
            Layers = keys.Integer("num_hidden_layers"),
            Heads = heads,
            KvHeads = keys.Integer("num_key_value_heads", heads),
            HeadDim = headDim,
            IntermediateSize = keys.Integer("intermediate_size"),
            Norm = NormKind.RmsNorm,
            NormEpsilon = (float)keys.Number("rms_norm_eps"),
            Activation = ActivationOf(keys, "hidden_act"),
            GatedMlp = true,
            Rotary = RotaryOf(keys, headDim, context),
            QkvBias = family == "qwen2" || attentionBias,
            OutputBias = attentionBias,
            MlpBias = family == "llama" && keys.Flag("mlp_bias", false) ? throw keys.Unsupported("mlp_bias", "a gated MLP has no biases") : false,
            QkNorm = family == "qwen3",
            TiedHead = keys.Flag("tie_word_embeddings", false),
            Windows = Windows(keys, family),
        };
    }

    private static Activation ActivationOf(JsonKeys keys, string key) => keys.String(key) switch
    {
        "gelu_new" or "gelu_pytorch_tanh" => Activation.GeluTanh,
        "silu" or "swish" => Activation.Silu,
        _ => throw keys.Unsupported(key, "gelu_new, gelu_pytorch_tanh and silu are"),
    };

    /// <summary>Mistral slides in every layer; Qwen where it says so, from layer <c>max_window_layers</c> on; <c>layer_types</c> wins.</summary>
    private static int[] Windows(JsonKeys keys, string family)
    {
        int layers = keys.Integer("num_hidden_layers");
        int window = keys.Integer("sliding_window", 0);
        bool slides = window > 0 && (family == "mistral" || (family is "qwen2" or "qwen3" && keys.Flag("use_sliding_window", false)));
        if (!slides)
        {
            return [];
        }

        string[] types = keys.Strings("layer_types");
        if (types.Except(["full_attention", "sliding_attention"]).Any())
        {
            throw keys.Unsupported("layer_types", "full_attention and sliding_attention are");
        }

        if (types.Length > 0)
        {
            return Array.ConvertAll(types, type => type == "sliding_attention" ? window : 0);
        }

        int first = family == "mistral" ? 0 : keys.Integer("max_window_layers");
        return layers is < 0 or > 1 << 12 ? [] : [.. Enumerable.Range(0, layers).Select(layer => layer >= first ? window : 0)];
    }

    /// <summary>Both layouts: <c>rope_theta</c> beside <c>rope_scaling</c>, and the newer <c>rope_parameters</c> that holds all.</summary>
    private static Rotary RotaryOf(JsonKeys keys, int headDim, int context)
    {
        JsonKeys scaling = keys.Object("rope_parameters") ?? keys.Object("rope_scaling") ?? JsonKeys.Empty;
        const double llamaTheta = 10000;
        double theta = scaling.Number("rope_theta", keys.Number("rope_theta", llamaTheta));
        double part = scaling.Number("partial_rotary_factor", keys.Number("partial_rotary_factor", 1));
        string kind = scaling.Has("rope_type") ? scaling.String("rope_type") : scaling.Has("type") ? scaling.String("type") : "default";
        return new Rotary((int)(headDim * part), theta, kind switch
        {
            "default" => RotaryScaling.None,
            "linear" => new LinearScaling(scaling.Number("factor")),
            "dynamic" => new DynamicScaling(scaling.Number("factor"), context),
            "llama3" => new Llama3Scaling(
                scaling.Number("factor"),
                scaling.Number("low_freq_factor"),
                scaling.Number("high_freq_factor"),
                scaling.Integer("original_max_position_embeddings")),
            "yarn" => Yarn(scaling, context),
            _ => throw scaling.Unsupported(scaling.Has("rope_type") ? "rope_type" : "type", "default, linear, dynamic, llama3 and yarn are"),
        });
    }

    private static YarnScaling Yarn(JsonKeys scaling, int context)
    {
        double factor = scaling.Number("factor");
        double m = scaling.Number("mscale", 0);
        double mAll = scaling.Number("mscale_all_dim", 0);
        double attention = m != 0 && mAll != 0
            ? YarnScaling.DefaultAttention(factor, m) / YarnScaling.DefaultAttention(factor, mAll)
            : YarnScaling.DefaultAttention(factor);
        return new YarnScaling(
            factor,
            scaling.Integer("original_max_position_embeddings", context),
            scaling.Number("beta_fast", 32),
            scaling.Number("beta_slow", 1),
            scaling.Number("attention_factor", attention),
            scaling.Flag("truncate", true));
    }
}
