using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// What Llama (Touvron et al., arXiv 2302.13971) and its kin have in common: RMSNorm, rotary positions, grouped queries, a gated MLP with
/// SiLU. What each of them does otherwise it says itself.
/// </summary>
internal abstract class LlamaLike : Family
{
    internal override string? GgufName => Name;

    internal override TensorNames HuggingFaceNames => Usual;

    /// <summary>The names that most of them have.</summary>
    private protected static TensorNames Usual { get; } = new()
    {
        Base = "model.",
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

    /// <summary>Experts as transformers 5 holds them: all of a layer in a tensor each of gate and up, and of down.</summary>
    private protected static ExpertNames FusedExperts { get; } = new()
    {
        Router = "mlp.gate",
        GateUp = "mlp.experts.gate_up_proj",
        Down = "mlp.experts.down_proj",
    };

    internal override TensorNames GgufNames => TensorNames.Gguf;

    /// <summary>How queries and keys are normed.</summary>
    protected virtual QkNorm QkNorm => QkNorm.None;

    /// <summary>What the family's configs leave out, as JSON.</summary>
    protected virtual string Defaults => "{}";

    /// <summary>How the residual stream is normed; never with a bias.</summary>
    protected virtual NormKind Norm => NormKind.RmsNorm;

    /// <summary>Which projections around attention have biases, by a Hugging Face config.</summary>
    protected virtual (bool Qkv, bool Output) Biases(JsonKeys config)
    {
        bool bias = config.Flag("attention_bias", false);
        return (bias, bias);
    }

    /// <summary>
    /// The ways in which layers turn; the first one is theirs unless <see cref="Adapt(ModelConfig, JsonKeys)"/> says otherwise.
    /// </summary>
    private protected virtual Rotary[] Rotaries(JsonKeys config, int headDim, int context) => [Rope.Read(config, headDim, context)];

    /// <inheritdoc cref="Rotaries(JsonKeys, int, int)"/>
    private protected virtual Rotary[] Rotaries(GgufKeys keys, int headDim) => [Rope.Read(keys, headDim)];

    /// <summary>What the family does otherwise, by a Hugging Face config.</summary>
    private protected virtual ModelConfig Adapt(ModelConfig model, JsonKeys config) => model;

    /// <summary>What the family does otherwise, by a GGUF file.</summary>
    private protected virtual ModelConfig Adapt(ModelConfig model, GgufKeys keys) => model;

    /// <summary>The window of each layer, 0 for none; empty: no layer has one.</summary>
    protected virtual int[] Windows(JsonKeys config, int layers) => [];

    internal override ModelConfig Read(JsonKeys config)
    {
        config = config.Over(Defaults);
        int heads = config.Integer("num_attention_heads");
        int headDim = config.Has("head_dim") ? config.Integer("head_dim") : config.Quotient("hidden_size", "num_attention_heads");
        int context = config.Integer("max_position_embeddings");
        int layers = config.Integer("num_hidden_layers");
        (bool qkvBias, bool outputBias) = Biases(config);
        var mlp = new MlpPlan(config.Integer("intermediate_size"),
            ActivationOf(config, config.Has("hidden_activation") ? "hidden_activation" : "hidden_act"), Gated: true,
            Bias: config.Flag("mlp_bias", false));
        int[] windows = Windows(config, layers);
        if (windows.Length > 0 && windows.Length != layers)
        {
            throw new InvalidDataException($"The number of layer types is {windows.Length}.");
        }

        var attention = new AttentionPlan
        {
            Heads = heads,
            KvHeads = config.Integer("num_key_value_heads", heads),
            HeadDim = headDim,
            Rotary = 0,
            QkNorm = QkNorm,
            QkvBias = qkvBias,
            OutputBias = outputBias,
        };
        var model = new ModelConfig
        {
            Family = this,
            VocabularySize = config.Integer("vocab_size"),
            TrainedContext = context,
            ContextLength = context,
            HiddenSize = config.Integer("hidden_size"),
            Norm = Norm,
            NormEpsilon = (float)config.Number(Norm == NormKind.RmsNorm ? "rms_norm_eps" : "layer_norm_eps"),
            Rotaries = Rotaries(config, headDim, context),
            Layers =
                ModelConfig.Plan(layers, layer => new LayerPlan(attention with { Window = windows.Length == 0 ? 0 : windows[layer] }, mlp)),
            TiedHead = config.Flag("tie_word_embeddings", false),
        };
        return Adapt(model, config);
    }

    /// <summary>
    /// What the metadata leaves open (biases, a tied head, the norm of queries and keys) is known from the tensors that the file has.
    /// </summary>
    internal override ModelConfig Read(GgufKeys keys)
    {
        int hidden = keys.Count("embedding_length");
        Func<int, int> heads = keys.Counts("attention.head_count");
        Func<int, int> keyHeads = keys.Counts("attention.head_count_kv", heads);
        int headDim = keys.HeadDim(hidden, heads(0));
        int context = keys.Count("context_length");
        ExpertsPlan? experts = keys.Count("expert_count", 0) is > 0 and int count ? Experts(keys, count) : null;
        var attention = new AttentionPlan
        {
            Heads = 0,
            KvHeads = 0,
            HeadDim = headDim,
            Rotary = 0,
            Window = keys.Count("attention.sliding_window", 0),
            QkNorm = keys.Contains("blk.0.attn_q_norm.weight") && QkNorm == QkNorm.None ? QkNorm.Heads : QkNorm,
            QkvBias = keys.Contains("blk.0.attn_q.bias"),
            OutputBias = keys.Contains("blk.0.attn_output.bias"),
        };
        var mlp = new MlpPlan(0, Activation.Silu, Gated: true, Bias: keys.Contains("blk.0.ffn_down.bias"));
        var model = new ModelConfig
        {
            Family = this,
            VocabularySize = keys.VocabularySize,
            TrainedContext = context,
            ContextLength = context,
            HiddenSize = hidden,
            Norm = Norm,
            NormEpsilon =
                (float)keys.Number(Norm == NormKind.RmsNorm ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
            Rotaries = Rotaries(keys, headDim),
            Layers = ModelConfig.Plan(keys.Count("block_count"), layer => new LayerPlan(
                attention with { Heads = heads(layer), KvHeads = keyHeads(layer) }, Mlp(layer))),
            TiedHead = keys.TiedHead,
        };
        return Adapt(model, keys);

        // Which layers have experts is known from their routers.
        MlpPlan Mlp(int layer) => experts is not null && keys.Contains($"blk.{layer}.ffn_gate_inp.weight")
            ? WithExperts(experts) : mlp with { Width = keys.Counts("feed_forward_length")(layer) };
    }

    /// <summary>The experts of a GGUF file that has so many in a layer.</summary>
    /// <exception cref="InvalidDataException">The family has none.</exception>
    private protected virtual ExpertsPlan Experts(GgufKeys keys, int count) =>
        throw new InvalidDataException($"{keys.Path}: models of architecture \"{keys.Architecture}\" with experts are not supported.");

    /// <summary>An MLP of experts alone.</summary>
    private protected static MlpPlan WithExperts(ExpertsPlan experts) =>
        new(0, experts.Unit.Activation, Gated: true) { Experts = experts };

    /// <summary>Of each expert, between up and down: Mixtral's files say it as of a plain MLP.</summary>
    private protected static int ExpertWidth(GgufKeys keys) =>
        keys.Count("expert_feed_forward_length", 0) is > 0 and int own ? own : keys.Count("feed_forward_length");

    /// <summary>The experts of Mixtral and of what was built after it: weights are a softmax over the chosen.</summary>
    private protected static ExpertsPlan UsualExperts(GgufKeys keys, int count)
    {
        const int Softmax = 1;
        return keys.Count("expert_gating_func", Softmax) is 0 or Softmax
            ? new ExpertsPlan(
                count, keys.Count("expert_used_count"), ExpertWidth(keys), new GatedUnit(Activation.Silu))
            {
                Renormalised = keys.Flag("expert_weights_norm", true),
                WeightScale = (float)keys.Number("expert_weights_scale", 1),
            }
            : throw new InvalidDataException(
                $"{keys.Path}: the key expert_gating_func is {keys.Count("expert_gating_func")}; 1, a softmax, is supported.");
    }

    /// <summary>The model with another plan for each of its layers.</summary>
    private protected static ModelConfig Replan(ModelConfig model, Func<LayerPlan, int, LayerPlan> plan) =>
        model with { Layers = [.. model.Layers.Select(plan)] };

    /// <summary>GGUF has one window for all layers: some have none.</summary>
    private protected static ModelConfig Alternating(ModelConfig model, Func<int, bool> windowed) => Replan(
        model, (layer, number) => windowed(number) ? layer : layer with { Attention = layer.Attention with { Window = 0 } });

    internal override ModelConfig OfShape(int hidden, int layers, int vocabulary, int context)
    {
        var layer = new LayerPlan(
            new AttentionPlan { Heads = hidden / 64, KvHeads = hidden / 64, HeadDim = 64, Rotary = 0, QkNorm = QkNorm },
            new MlpPlan(8 * hidden / 3 / 64 * 64, Activation.Silu, Gated: true));
        return new ModelConfig
        {
            Family = this,
            VocabularySize = vocabulary,
            TrainedContext = context,
            ContextLength = context,
            HiddenSize = hidden,
            Norm = Norm,
            NormEpsilon = 1e-5f,
            Rotaries = [new Rotary(64, 10000, RotaryScaling.None)],
            Layers = ModelConfig.Plan(layers, _ => layer),
            TiedHead = true,
        };
    }

    /// <summary>
    /// A window in the layers that <c>layer_types</c> names; where it names none, from layer <paramref name="first"/> on.
    /// </summary>
    private protected static int[] SlidingFrom(JsonKeys config, int layers, int window, int first)
    {
        string[] types = config.Strings("layer_types");
        if (types.Except(["full_attention", "sliding_attention"]).Any())
        {
            throw config.Unsupported("layer_types", "full_attention and sliding_attention are");
        }

        return types.Length > 0 ? Array.ConvertAll(types, type => type == "sliding_attention" ? window : 0)
            : layers is < 0 or > 1 << 12 ? []
            : [.. Enumerable.Range(0, layers).Select(layer => layer >= first ? window : 0)];
    }
}
