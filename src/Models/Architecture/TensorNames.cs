using System.Globalization;
using Understory.Models.Formats;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// Under which names a kind of checkpoint keeps its tensors, less ".weight" and ".bias"; names from <see cref="AttentionNorm"/> on
/// stand behind <see cref="Layer"/>, in which <c>{0}</c> is the layer's number.
/// </summary>
internal sealed record TensorNames
{
    /// <summary>What may stand before the names of the base model: those up to <see cref="Layer"/>, but for <see cref="Head"/>.</summary>
    public string Base { get; init; } = "";

    public required string Embedding { get; init; }

    /// <summary>The table of per-layer embeddings.</summary>
    public string PerLayerTable { get; init; } = "";

    /// <summary>From the embedding to the inputs of all layers.</summary>
    public string PerLayerProjection { get; init; } = "";

    /// <summary>The norm behind it.</summary>
    public string PerLayerProjectionNorm { get; init; } = "";

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

    /// <summary>The norm behind attention, where there is one.</summary>
    public string AttentionNormBehind { get; init; } = "";

    /// <summary>The norm behind the MLP.</summary>
    public string MlpNormBehind { get; init; } = "";

    /// <summary>Gate and up are one tensor, of this name: all of the gate's rows, then all of up's (Phi-3).</summary>
    public string GateUp { get; init; } = "";

    /// <summary>What is added to the weights of RMSNorms: Hugging Face's Gemmas keep them less 1.</summary>
    public float NormOffset { get; init; }

    /// <summary>What is added to those of the last one; null: as to all others.</summary>
    public float? FinalNormOffset { get; init; }

    /// <summary>The gate of what attention made.</summary>
    public string AttentionGate { get; init; } = "";

    /// <summary>From the residual stream to the gate of a layer's own input.</summary>
    public string PerLayerGate { get; init; } = "";

    /// <summary>From a layer's own input back to the residual stream.</summary>
    public string PerLayerOutput { get; init; } = "";

    /// <summary>The norm behind it.</summary>
    public string PerLayerNorm { get; init; } = "";

    /// <summary>The number that scales the stream behind a layer, with its ending.</summary>
    public string OutputScale { get; init; } = "";

    /// <summary>The gate of what attention made has no name of its own: its rows follow each query head's (Qwen3-Next).</summary>
    public bool QueryGates { get; init; }

    /// <summary>Null where no layer is recurrent.</summary>
    public RecurrentNames? Recurrent { get; init; }

    public string Gate { get; init; } = "";

    public required string Up { get; init; }

    public required string Down { get; init; }

    /// <summary>The scores of attention without values, whole.</summary>
    public string Sinks { get; init; } = "";

    /// <summary>The ways in which checkpoints keep experts: the first whose tensors are there counts.</summary>
    public ExpertNames[] Experts { get; init; } = [];

    /// <summary>Names of a draft head: of what these are, or of what may stand beside; null: there is none.</summary>
    public HeadNames? DraftHead { get; init; }

    /// <summary>Matrices of the layers are <c>[inputs, outputs]</c> (GPT-2's Conv1D).</summary>
    public bool Transposed { get; init; }

    /// <summary>
    /// Rows of a query or key head that turn are kept for rotating neighbours (2i, 2i + 1) instead of halves (i, i + Dim / 2): llama in
    /// GGUF, Cohere and GLM everywhere.
    /// </summary>
    public bool Interleaved { get; init; }

    /// <summary>The names that most families have in GGUF files.</summary>
    public static TensorNames Gguf { get; } = new()
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
        AttentionNormBehind = "post_attention_norm",
        MlpNormBehind = "post_ffw_norm",
        Gate = "ffn_gate",
        Up = "ffn_up",
        Down = "ffn_down",
        PerLayerTable = "per_layer_token_embd",
        PerLayerProjection = "per_layer_model_proj",
        PerLayerProjectionNorm = "per_layer_proj_norm",
        AttentionGate = "attn_gate",
        PerLayerGate = "inp_gate",
        PerLayerOutput = "proj",
        PerLayerNorm = "post_norm",
        OutputScale = "layer_output_scale.weight",
        Sinks = "attn_sinks.weight",
        Experts =
        [
            new ExpertNames
            {
                Router = "ffn_gate_inp",
                SharedGate = "ffn_gate_inp_shexp.weight",
                Gate = "ffn_gate_exps.weight",
                Up = "ffn_up_exps.weight",
                Down = "ffn_down_exps.weight",
                GateBias = "ffn_gate_exps.bias",
                UpBias = "ffn_up_exps.bias",
                DownBias = "ffn_down_exps.bias",
            },
            new ExpertNames
            {
                Router = "ffn_gate_inp",
                SharedGate = "ffn_gate_inp_shexp.weight",
                GateUp = "ffn_gate_up_exps.weight",
                Down = "ffn_down_exps.weight",
                GateUpBias = "ffn_gate_up_exps.bias",
                DownBias = "ffn_down_exps.bias",
            },
            // Files of 2023: a tensor for each expert.
            new ExpertNames
            {
                Router = "ffn_gate_inp",
                Gate = "ffn_gate.{0}.weight",
                Up = "ffn_up.{0}.weight",
                Down = "ffn_down.{0}.weight",
            },
        ],
    };

    /// <summary>The begin of the names of layer <paramref name="number"/>.</summary>
    public string Prefix(int number) => Layer.Replace("{0}", number.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    /// <summary>
    /// What becomes of each matrix where a model is quantised to a format while it is loaded: the layers' are of this format, the embedding
    /// and the head, which tell tokens apart, of Q8_0. Those that are transposed are turned.
    /// </summary>
    /// <param name="experts">Most of a layer.</param>
    public Func<string, MatrixPlan> Quantised(WeightFormat format, int layers, int experts = 0)
    {
        string[] matrices = [.. Qkv, AttentionGate, AttentionOutput, Gate, Up, GateUp, Down, PerLayerGate, PerLayerOutput,
            .. Recurrent?.Matrices ?? []];
        string[] prefixes = [.. Enumerable.Range(0, layers).Select(Prefix)];
        HashSet<string> inLayers = [.. prefixes.SelectMany(prefix => matrices.Select(name => $"{prefix}{name}.weight"))];
        Dictionary<string, bool> ofExperts = [];
        foreach (ExpertNames names in Experts.Reverse())
        {
            foreach (string name in names.Matrices(experts).SelectMany(name => prefixes.Select(prefix => prefix + name)))
            {
                ofExperts[name] = names.Transposed;
            }
        }

        return name =>
            inLayers.Contains(name) ? new MatrixPlan(format, Transposed)
            : ofExperts.TryGetValue(name, out bool turned) ? new MatrixPlan(format, turned)
            : name == PerLayerProjection + ".weight" || name == DraftHead?.Projection + ".weight" ? new MatrixPlan(format)
            : new[] { Embedding, Head, PerLayerTable }.Any(table => name == table + ".weight") ? new MatrixPlan(BlockFormat<Q8_0>.Instance)
            : default;
    }

    /// <summary>The names of a draft head whose layer is named as these layers are.</summary>
    public TensorNames OfHead(HeadNames names) => this with
    {
        Embedding = names.Embedding,
        FinalNorm = names.FinalNorm,
        Head = names.Head,
        Layer = names.Layer,
        DraftHead = names,
    };

    /// <summary>These names for matrices that are shown as <c>[outputs, inputs]</c>, whatever the file has.</summary>
    public TensorNames Turned() =>
        this with { Transposed = false, Experts = Array.ConvertAll(Experts, names => names with { Transposed = false }) };

    /// <summary>As above, for a model and the draft head in its files.</summary>
    public Func<string, MatrixPlan> Quantised(ModelConfig config, WeightFormat format)
    {
        int experts = config.Layers.Max(layer => layer.Mlp.Experts?.Count ?? 0);
        Func<string, MatrixPlan> own = Quantised(format, config.Layers.Count, experts);
        if (config.DraftHead is null || DraftHead is null)
        {
            return own;
        }

        Func<string, MatrixPlan> head = OfHead(DraftHead.Of(config.Layers.Count)).Quantised(format, 1, experts);
        return name => own(name) is var plan && plan != default ? plan : head(name);
    }

    /// <summary>These names, but only such ways to keep experts as a checkpoint has, where it has any.</summary>
    public TensorNames WithExpertsOf(ITensorSource source, int layers)
    {
        string[] ofHead = DraftHead is { } head ? [head.Of(layers).Layer] : [];
        string[] prefixes = [.. Enumerable.Range(0, layers).Select(Prefix), .. ofHead];
        ExpertNames[] there = Array.FindAll(Experts, names =>
            Array.Exists(prefixes, prefix => Array.TrueForAll(names.Marks, mark => source.Contains(prefix + mark))));
        return there.Length > 0 ? this with { Experts = there } : this;
    }

    /// <summary>These names, with the base model's prefix or without, as a checkpoint has them.</summary>
    public TensorNames In(ITensorSource source)
    {
        // A model that also sees pictures keeps the language model under a name of its own.
        const string within = "language_model.";
        string prefix = new[] { "", Base, within + Base, Base + within }.FirstOrDefault(prefix =>
            source.Contains(prefix + Embedding + ".weight")) ?? Base;
        return this with
        {
            Embedding = prefix + Embedding,
            Positions = prefix + Positions,
            PerLayerTable = prefix + PerLayerTable,
            PerLayerProjection = prefix + PerLayerProjection,
            PerLayerProjectionNorm = prefix + PerLayerProjectionNorm,
            FinalNorm = prefix + FinalNorm,
            Layer = prefix + Layer,
            Head = source.Contains(within + Head + ".weight") && !source.Contains(Head + ".weight") ? within + Head : Head,
        };
    }
}
