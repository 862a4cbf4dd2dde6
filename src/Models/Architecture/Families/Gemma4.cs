using System.Globalization;
using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// Gemma 4 (Google, 2026), its text part: layers with a window and global ones, which differ in head size, key-value heads and rotation;
/// values normed without weights; scores unscaled. The small ones have per-layer embeddings, and last layers that read earlier layers' keys
/// and values and may have MLPs twice as wide; the large ones' global layers take keys for values, and one has experts beside its MLPs.
/// </summary>
internal sealed class Gemma4 : LlamaLike
{
    private const int UsualPattern = 6;

    public override string Name => "gemma4";

    internal override string[] Types => ["gemma4_text", "gemma4", "gemma4_unified_text", "gemma4_unified"];

    internal override TensorNames HuggingFaceNames { get; } = Usual with
    {
        AttentionNormBehind = "post_attention_layernorm",
        MlpNorm = "pre_feedforward_layernorm",
        MlpNormBehind = "post_feedforward_layernorm",
        PerLayerTable = "embed_tokens_per_layer",
        PerLayerProjection = "per_layer_model_projection",
        PerLayerProjectionNorm = "per_layer_projection_norm",
        PerLayerGate = "per_layer_input_gate",
        PerLayerOutput = "per_layer_projection",
        PerLayerNorm = "post_per_layer_input_norm",
        OutputScale = "layer_scalar",
        Experts =
        [
            new ExpertNames
            {
                Router = "router.proj",
                GateUp = "experts.gate_up_proj",
                Down = "experts.down_proj",
                RouterNorm = "router.scale",
                NormBefore = "pre_feedforward_layernorm_2.weight",
                NormBehind = "post_feedforward_layernorm_2.weight",
                SharedNormBehind = "post_feedforward_layernorm_1.weight",
                Scales = "router.per_expert_scale",
            },
        ],
    };

    /// <summary>The scale of each expert stands beside its matrices, as a file's own.</summary>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with
    {
        Experts = Array.ConvertAll(TensorNames.Gguf.Experts, names => names with
        {
            RouterNorm = "ffn_gate_inp.scale",
            NormBefore = "pre_ffw_norm_2.weight",
            NormBehind = "post_ffw_norm_2.weight",
            SharedNormBehind = "post_ffw_norm_1.weight",
        }),
    };

    protected override QkNorm QkNorm => QkNorm.Heads;

    /// <summary>Those of transformers' Gemma4TextConfig.</summary>
    protected override string Defaults => """
        {"vocab_size": 262144, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30, "num_attention_heads": 8,
         "num_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512, "hidden_activation": "gelu_pytorch_tanh",
         "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "sliding_window": 512,
         "vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256,
         "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0}}}
        """;

    /// <summary>What Gemma4UnifiedTextConfig has otherwise (the 12B model).</summary>
    private static string UnifiedDefaults => """
        {"max_position_embeddings": 262144, "sliding_window": 1024, "hidden_size_per_layer_input": 0}
        """;

    internal override ModelConfig Read(JsonKeys config) => base.Read(
        config.String("model_type").StartsWith("gemma4_unified", StringComparison.Ordinal) ? config.Over(UnifiedDefaults) : config);

    /// <summary>The last layer is a global one, whatever the config says.</summary>
    protected override int[] Windows(JsonKeys config, int layers)
    {
        int window = config.Integer("sliding_window") is > 0 and int size ? size : throw config.Unsupported("sliding_window", "sizes are");
        int[] named = SlidingFrom(config, layers, window, first: 0);
        int[] windows = config.Strings("layer_types").Length > 0
            ? named : [.. named.Select((_, layer) => (layer + 1) % UsualPattern == 0 ? 0 : window)];
        windows.AsSpan(Math.Max(0, windows.Length - 1)).Clear();
        return windows;
    }

    private protected override Rotary[] Rotaries(JsonKeys config, int headDim, int context) => [];

    private protected override Rotary[] Rotaries(GgufKeys keys, int headDim) => [];

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        if (config.Has("use_bidirectional_attention") && config.String("use_bidirectional_attention") == "all")
        {
            throw config.Unsupported("use_bidirectional_attention", "text is read from left to right");
        }

        int shared = config.Integer("num_kv_shared_layers", 0);
        int firstShared = model.Layers.Count - shared;
        bool keysAreValues = config.Flag("attention_k_eq_v", false);
        ExpertsPlan? experts = config.Flag("enable_moe_block", false)
            ? Plan(
                config.Integer("num_experts"), config.Integer("top_k_experts"), config.Integer("moe_intermediate_size"),
                model.Layers[0].Mlp)
            : null;
        bool doubleWide = config.Flag("use_double_wide_mlp", false);
        JsonKeys? plans = config.Object("per_layer_config");
        JsonKeys ropes = config.Object("rope_parameters")!;
        return Adapted(model, firstShared, config.Number("final_logit_softcapping", 0), PerLayer(), (layer, number) =>
        {
            AttentionPlan attention = layer.Attention;
            bool global = attention.Window == 0;
            JsonKeys? own = plans?.Object(number.ToString(CultureInfo.InvariantCulture));
            int headDim = own is not null ? own.Integer("head_dim", attention.HeadDim)
                : global && plans is null ? config.Integer("global_head_dim") : attention.HeadDim;
            int keyHeads = own is not null ? own.Integer("num_key_value_heads", attention.KvHeads)
                : global && plans is null && keysAreValues ? config.Integer("num_global_key_value_heads", attention.KvHeads)
                : attention.KvHeads;
            string type = global ? "full_attention" : "sliding_attention";
            JsonKeys rope = ropes.Object(type)
                ?? throw new InvalidDataException($"\"rope_parameters\" has no \"{type}\", and layer {number} is of that type.");
            bool wide = doubleWide && number >= firstShared && firstShared > 0;
            return (
                layer with
                {
                    OutputScale = true,
                    Attention = attention with { HeadDim = headDim, KvHeads = keyHeads, KeysAreValues = keysAreValues && global },
                    Mlp = layer.Mlp with { Width = layer.Mlp.Width * (wide ? 2 : 1), Experts = experts },
                },
                Rope.Read(config, rope, headDim, model.ContextLength));
        });

        PerLayerPlan? PerLayer() => config.Integer("hidden_size_per_layer_input") is > 0 and int width
            ? new PerLayerPlan(width, config.Integer("vocab_size_per_layer_input"), model.Layers[0].Mlp.Activation) : null;
    }

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys)
    {
        // What llama.cpp's loader takes where the key is not there.
        const double UsualCap = 30;
        const double UsualLocalTheta = 10000;
        Func<int, bool> windowed = keys.Windowed(UsualPattern);
        Func<int, int> mlpWidth = keys.Counts("feed_forward_length");
        int headDim = model.Layers[0].Attention.HeadDim;
        int localDim = keys.Count("attention.key_length_swa", headDim);
        if (keys.Count("attention.value_length_swa", localDim) is var values && values != localDim)
        {
            throw new InvalidDataException($"{keys.Path}: keys of {localDim} and values of {values} dimensions are not supported.");
        }

        Rotary global = Rope.Read(keys, headDim);
        var local = new Rotary(
            keys.Count("rope.dimension_count_swa", localDim), keys.Number("rope.freq_base_swa", UsualLocalTheta), RotaryScaling.None);
        int width = keys.Count("embedding_length_per_layer_input", 0);
        PerLayerPlan? perLayer = width > 0 ? new PerLayerPlan(width, model.VocabularySize, Activation.GeluTanh) : null;
        int firstShared = model.Layers.Count - keys.Count("attention.shared_kv_layers", 0);
        return Adapted(model, firstShared, keys.Number("final_logit_softcapping", UsualCap), perLayer, (layer, number) =>
        {
            string prefix = GgufNames.Prefix(number);
            AttentionPlan attention = windowed(number)
                ? layer.Attention with { HeadDim = localDim } : layer.Attention with { Window = 0 };
            return (
                layer with
                {
                    OutputScale = keys.Contains(prefix + GgufNames.OutputScale),
                    Attention = attention with { KeysAreValues = number < firstShared && !keys.Contains(prefix + "attn_v.weight") },
                    Mlp = layer.Mlp with { Width = mlpWidth(number), Activation = Activation.GeluTanh },
                },
                windowed(number) ? local : global);
        });
    }

    private protected override ExpertsPlan Experts(GgufKeys keys, int count) => Plan(
        count, keys.Count("expert_used_count"), keys.Count("expert_feed_forward_length"), new MlpPlan(0, Activation.GeluTanh, Gated: true));

    /// <summary>Experts that are weighed by a softmax over the chosen ones.</summary>
    /// <param name="mlp">The block beside them, whose activation they have.</param>
    private static ExpertsPlan Plan(int count, int used, int width, MlpPlan mlp) =>
        new(count, used, width, new GatedUnit(mlp.Activation)) { OwnNorms = true };

    /// <param name="firstShared">From this layer on, each reads keys and values of the last one of its kind before it.</param>
    /// <param name="plan">A layer's plan and how it turns.</param>
    private static ModelConfig Adapted(
        ModelConfig model, int firstShared, double logitCap, PerLayerPlan? perLayer, Func<LayerPlan, int, (LayerPlan, Rotary)> plan)
    {
        if (firstShared < 1)
        {
            throw new InvalidDataException(
                $"{model.Layers.Count - firstShared} of {model.Layers.Count} layers read other layers' keys and values.");
        }

        var rotaries = new List<Rotary>();
        var layers = new List<LayerPlan>();
        foreach ((LayerPlan layer, Rotary rotary) in model.Layers.Select(plan))
        {
            if (!rotaries.Contains(rotary))
            {
                rotaries.Add(rotary);
            }

            int? keysOf = null;
            if (layers.Count >= firstShared)
            {
                bool global = layer.Attention.Window == 0;
                keysOf = layers.FindLastIndex(firstShared - 1, other => other.Attention.Window == 0 == global);
            }

            layers.Add(layer with
            {
                NormBehind = true,
                Attention = layer.Attention with
                {
                    Scale = 1,
                    ValueNorm = true,
                    KeysOf = keysOf,
                    Rotary = rotaries.IndexOf(rotary),
                },
            });
        }

        return model with
        {
            EmbeddingScale = (float)Math.Sqrt(model.HiddenSize),
            LogitCap = (float)logitCap,
            PerLayer = perLayer,
            Rotaries = rotaries,
            Layers = layers,
        };
    }
}
