using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// The model that a GGUF file describes. What its metadata leaves open (biases, a tied head, the norm of queries and keys) is known from the
/// tensors that it has. Architectures gpt2, llama (Mistral among it), qwen2 and qwen3.
/// </summary>
public static class GgufConfig
{
    /// <exception cref="InvalidDataException">A key is missing, of the wrong type or of a value that is not supported; names it.</exception>
    public static ModelConfig Read(Gguf file)
    {
        GgufMetadata keys = file.Metadata;
        string family = keys.Get<string>("general.architecture");
        if (family is not ("gpt2" or "llama" or "qwen2" or "qwen3"))
        {
            throw new InvalidDataException($"{keys.Path}: models of architecture \"{family}\" are not supported; gpt2, llama, qwen2 and qwen3 are.");
        }

        if (keys.GetCount($"{family}.expert_count", 0) > 0)
        {
            throw new InvalidDataException($"{keys.Path}: mixtures of experts are not supported.");
        }

        bool gpt2 = family == "gpt2";
        int hidden = keys.GetCount($"{family}.embedding_length");
        int heads = keys.GetCount($"{family}.attention.head_count");
        int layers = keys.GetCount($"{family}.block_count");
        int window = keys.GetCount($"{family}.attention.sliding_window", 0);
        int headDim = HeadDim(keys, family, hidden, heads);
        return new ModelConfig
        {
            Family = family,
            VocabularySize = keys.Get<string[]>("tokenizer.ggml.tokens").Length,
            TrainedContext = keys.GetCount($"{family}.context_length"),
            ContextLength = keys.GetCount($"{family}.context_length"),
            HiddenSize = hidden,
            Layers = layers,
            Heads = heads,
            KvHeads = keys.GetCount($"{family}.attention.head_count_kv", heads),
            HeadDim = headDim,
            IntermediateSize = keys.GetCount($"{family}.feed_forward_length"),
            Norm = gpt2 ? NormKind.LayerNorm : NormKind.RmsNorm,
            NormEpsilon = (float)keys.Get<double>($"{family}.attention.layer_norm{(gpt2 ? "" : "_rms")}_epsilon"),
            Activation = gpt2 ? Activation.GeluTanh : Activation.Silu,
            GatedMlp = !gpt2,
            Rotary = gpt2 ? null : RotaryOf(file, family, headDim),
            QkvBias = gpt2 || file.Contains("blk.0.attn_q.bias"),
            OutputBias = gpt2 || file.Contains("blk.0.attn_output.bias"),
            MlpBias = gpt2,
            QkNorm = file.Contains("blk.0.attn_q_norm.weight"),
            TiedHead = !file.Contains("output.weight"),
            Windows = window > 0 && layers <= 1 << 12 ? [.. Enumerable.Repeat(window, layers)] : [],
            EosTokenIds = [.. new[] { Token(keys, "eos"), Token(keys, "eot") }.OfType<int>().Distinct()],
            BosTokenId = Token(keys, "bos"),
        }.Validated();
    }

    private static int? Token(GgufMetadata keys, string role) =>
        keys.Contains($"tokenizer.ggml.{role}_token_id") ? keys.GetCount($"tokenizer.ggml.{role}_token_id") : null;

    private static int HeadDim(GgufMetadata keys, string family, int hidden, int heads)
    {
        string keyLength = $"{family}.attention.key_length";
        if (!keys.Contains(keyLength))
        {
            return heads > 0 && hidden % heads == 0 ? hidden / heads : throw new InvalidDataException($"{keys.Path}: {heads} heads in a width of {hidden}.");
        }

        int key = keys.GetCount(keyLength);
        int value = keys.GetCount($"{family}.attention.value_length", key);
        return key == value ? key : throw new InvalidDataException($"{keys.Path}: keys of {key} and values of {value} dimensions are not supported.");
    }

    private static Rotary RotaryOf(Gguf file, string family, int headDim)
    {
        GgufMetadata keys = file.Metadata;
        int dim = keys.GetCount($"{family}.rope.dimension_count", headDim);
        double theta = keys.Get($"{family}.rope.freq_base", 10000.0);
        const string factors = "rope_freqs.weight";
        if (file.Contains(factors))
        {
            Tensor tensor = file.Read(factors, dim / 2);
            return new Rotary(dim, theta, new FactorsScaling([.. Enumerable.Range(0, dim / 2).Select(i => ElementTypes.Get(tensor, 0, i))]));
        }

        string scaling = $"{family}.rope.scaling.";
        double factor = keys.Get(scaling + "factor", 1.0);
        return new Rotary(dim, theta, keys.Get(scaling + "type", "none") switch
        {
            "none" => RotaryScaling.None,
            "linear" => new LinearScaling(factor),
            "yarn" => new YarnScaling(
                factor,
                keys.GetCount(scaling + "original_context_length"),
                keys.Get(scaling + "yarn_beta_fast", 32.0),
                keys.Get(scaling + "yarn_beta_slow", 1.0),
                keys.Get(scaling + "attn_factor", 1.0) * YarnScaling.DefaultAttention(factor),
                Truncate: true),
            string other => throw new InvalidDataException($"{keys.Path}: rope scaling \"{other}\" is not supported; none, linear and yarn are."),
        });
    }
}
