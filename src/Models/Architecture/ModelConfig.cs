using Understory.Models.Architecture.Families;
using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>
/// Everything that one forward pass needs to know about a model: shapes and a plan of each layer. Families differ in this data alone.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>The family that read it, and knows its tensors' names.</summary>
    public required Family Family { get; init; }

    /// <summary>Rows of the embedding, and logits per position.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Logits of a position: of the first tokens of the vocabulary, or as a head's own order has them; 0: of all tokens.</summary>
    public int Logits { get; init; }

    /// <summary>Columns of a row of logits.</summary>
    public int LogitsSize => Logits > 0 ? Logits : VocabularySize;

    /// <summary>It is a draft head: its stream begins from another model's states. Null: it is a model.</summary>
    public HeadPlan? Head { get; init; }

    /// <summary>The draft head that may stand in the model's own files; null: the family has none.</summary>
    public ModelConfig? DraftHead { get; init; }

    /// <summary>Positions that the model was trained for; rows of learned positions.</summary>
    public required int TrainedContext { get; init; }

    /// <summary>Tokens that a sequence may hold here.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    public required NormKind Norm { get; init; }

    /// <summary>Added to the variance, or to the mean square.</summary>
    public required float NormEpsilon { get; init; }

    /// <summary>Norms have biases (GPT-2).</summary>
    public bool NormBias { get; init; }

    /// <summary>A learned vector for each position is added to the embedding (GPT-2).</summary>
    public bool LearnedPositions { get; init; }

    /// <summary>The ways in which layers turn queries and keys.</summary>
    public IReadOnlyList<Rotary> Rotaries { get; init; } = [];

    public required IReadOnlyList<LayerPlan> Layers { get; init; }

    /// <summary>Embeddings are multiplied by it.</summary>
    public float EmbeddingScale { get; init; } = 1;

    /// <summary>Embeddings, scaled, pass an RMSNorm without weights.</summary>
    public bool EmbeddingNorm { get; init; }

    /// <summary>An input of its own for each layer; null: there is none.</summary>
    public PerLayerPlan? PerLayer { get; init; }

    /// <summary>Logits are multiplied by it.</summary>
    public float LogitScale { get; init; } = 1;

    /// <summary>Logits l become <c>LogitCap tanh(l / LogitCap)</c>; 0: they do not.</summary>
    public float LogitCap { get; init; }

    /// <summary>The embedding is also the output head.</summary>
    public required bool TiedHead { get; init; }

    /// <summary>Tokens that end a text.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>
    /// The token that stands for one that is not known yet, where a model was trained to guess several at once (PARD); null: it was not.
    /// </summary>
    public int? MaskToken { get; init; }

    /// <summary>The token that begins a text, where the model has one.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>Tokens that are never chosen, such as those that stand for pictures in a prompt.</summary>
    public IReadOnlyList<int> SuppressedTokens { get; init; } = [];

    /// <summary>Tokens that an answer does not begin with.</summary>
    public IReadOnlyList<int> SuppressedAtBegin { get; init; } = [];

    /// <summary>The longest <see cref="ContextLength"/> that makes sense.</summary>
    public long MaxContext => Rotaries.Select(rotary => rotary.Scaling.MaxContext(TrainedContext)).DefaultIfEmpty(TrainedContext).Max();

    /// <summary>Bytes of the states of recurrent layers, of one sequence.</summary>
    public long StateBytes => Layers.Sum(layer => (layer.Recurrent?.StateSize ?? 0L) * sizeof(float));

    /// <summary>Some layers are recurrent.</summary>
    public bool IsHybrid => Layers.Any(layer => layer.Recurrent is not null);

    /// <summary>What the model asks of kernels beyond what every set has.</summary>
    internal KernelFeatures Features
    {
        get
        {
            KernelFeatures features = EmbeddingScale != 1 ? KernelFeatures.Scaling : 0;
            features |= EmbeddingNorm || Head is not null ? KernelFeatures.EmbeddingNorm : 0;
            features |= PerLayer is not null ? KernelFeatures.Scaling | KernelFeatures.NormBehind | KernelFeatures.Gates : 0;
            features |= LogitScale != 1 || LogitCap != 0 ? KernelFeatures.Capping : 0;
            foreach (LayerPlan layer in Layers)
            {
                features |= layer.ResidualScale != 1 || layer.OutputScale ? KernelFeatures.Scaling : 0;
                features |= layer.NormBehind ? KernelFeatures.NormBehind : 0;
                features |= layer.Recurrent is not null ? KernelFeatures.Recurrence : 0;
                features |= layer.Attention.SoftCap != 0 ? KernelFeatures.Capping : 0;
                features |= layer.Attention.QkNorm == QkNorm.Whole ? KernelFeatures.WholeQkNorm : 0;
                features |= layer.Attention.PositionScale.Beta != 0 ? KernelFeatures.PositionScale : 0;
                features |= layer.Attention.ValueNorm || layer.Attention.KeysAreValues ? KernelFeatures.ValueNorm : 0;
                features |= layer.Attention.KeysOf is not null ? KernelFeatures.SharedKeyValues : 0;
                features |= layer.Attention.Gate ? KernelFeatures.Gates : 0;
                features |= layer.Mlp is { Gated: true, Bias: true } ? KernelFeatures.GatedBias : 0;
                features |= layer.Attention.Sinks ? KernelFeatures.Sinks : 0;
                features |= layer.Mlp.Experts is not null ? KernelFeatures.Experts : 0;
                features |= layer.Mlp.Experts is { OwnNorms: true } ? KernelFeatures.NormBehind : 0;
            }

            return features;
        }
    }

    /// <exception cref="InvalidDataException">The kernels lack something that the model asks for; names it.</exception>
    internal void RequireOf(IKernels kernels)
    {
        if ((Features & kernels.Missing) is not 0 and var missing)
        {
            throw new InvalidDataException($"The {kernels.Name} kernels cannot run this model yet: they lack {missing}; --device cpu "
                + "runs it.");
        }
    }

    /// <summary>The same model for sequences of <paramref name="tokens"/> tokens.</summary>
    /// <exception cref="InvalidDataException">The model does not reach that far.</exception>
    public ModelConfig WithContext(int? tokens) => tokens switch
    {
        null => this,
        >= 1 when tokens <= MaxContext => this with
        {
            ContextLength = tokens.Value,
            DraftHead = DraftHead is null ? null : DraftHead with { ContextLength = tokens.Value },
        },
        _ => throw new InvalidDataException($"A context of {tokens:N0} tokens was asked for; this model's is at most {MaxContext:N0}."),
    };

    /// <summary>A plan for each of so many layers.</summary>
    /// <exception cref="InvalidDataException">No model has so many.</exception>
    internal static LayerPlan[] Plan(int layers, Func<int, LayerPlan> plan)
    {
        Require(layers is > 0 and <= 1 << 12, "number of layers", layers);
        return [.. Enumerable.Range(0, layers).Select(plan)];
    }

    /// <summary>Refuses numbers that fit no model, so that nothing is allocated by them.</summary>
    /// <exception cref="InvalidDataException">Names the number.</exception>
    internal ModelConfig Validated()
    {
        Require(VocabularySize is > 0 and <= 1 << 22, "vocabulary size", VocabularySize);
        Require(TrainedContext is > 0 and <= 1 << 24, "context length", TrainedContext);
        Require(HiddenSize is > 0 and <= 1 << 18, "hidden size", HiddenSize);
        Require(float.IsFinite(NormEpsilon) && NormEpsilon >= 0, "norm epsilon", NormEpsilon);
        Require(MaskToken is not { } mask || (uint)mask < VocabularySize, "mask token", MaskToken ?? 0);
        Require(float.IsFinite(EmbeddingScale), "embedding scale", EmbeddingScale);
        Require(float.IsFinite(LogitScale) && float.IsFinite(LogitCap) && LogitCap >= 0, "scale or cap of logits", LogitCap);
        // Embedding and state stand side by side in whole vectors.
        Require(Head is null || HiddenSize % 16 == 0, "hidden size of a draft head, which must be a multiple of 16,", HiddenSize);
        Require(Logits >= 0 && Logits <= VocabularySize, "draft vocabulary size", Logits);
        _ = DraftHead?.Validated();
        if (PerLayer is { } own)
        {
            Require(own.Width is > 0 and <= 1 << 14 && own.Width * Layers.Count <= 1 << 24, "width of per-layer inputs", own.Width);
            Require(own.Vocabulary >= VocabularySize && own.Vocabulary <= 1 << 22, "per-layer vocabulary size", own.Vocabulary);
        }

        for (int number = 0; number < Layers.Count; number++)
        {
            LayerPlan layer = Layers[number];
            AttentionPlan attention = layer.Attention;
            RequireMlp(layer.Mlp);
            Require(layer.Mlp.Experts is not { } experts || (!layer.Parallel && (layer.NormBefore || !experts.OwnNorms)),
                "number of norms around experts", 0);
            if (layer.Recurrent is { } recurrent)
            {
                RequireRecurrent(recurrent);
                continue;
            }

            Require(attention.Heads is > 0 and <= 1 << 14, "number of heads", attention.Heads);
            Require(attention.KvHeads > 0 && attention.Heads % attention.KvHeads == 0, "number of key-value heads", attention.KvHeads);
            Require(attention.HeadDim is > 0 and <= 1 << 12, "head dimension", attention.HeadDim);
            Require(attention.Window >= 0, "sliding window", attention.Window);
            Require(float.IsFinite(attention.Scale ?? 1) && float.IsFinite(layer.ResidualScale), "scale of a layer", attention.Scale
                ?? layer.ResidualScale);
            Require(float.IsFinite(attention.SoftCap) && attention.SoftCap >= 0, "soft cap of attention", attention.SoftCap);
            Require(attention.PositionScale.Beta == 0 || attention.PositionScale.Every > 0, "step of the position scale",
                attention.PositionScale.Every);
            Require(layer.NormBefore || (layer.NormBehind && !layer.Parallel), "number of norms of a layer", 0);
            Require(float.IsFinite(layer.NormBehindEpsilon ?? 0), "norm epsilon", layer.NormBehindEpsilon ?? 0);
            RequireKeys(number, attention);
            if (attention.Rotary is { } turned)
            {
                int dim = Rotaries[turned].Dim;
                Require(dim > 0 && dim <= attention.HeadDim && dim % 2 == 0, "number of rotary dimensions", dim);
            }
        }

        foreach (Rotary rotary in Rotaries)
        {
            Require(double.IsFinite(rotary.Theta) && rotary.Theta > 1, "rope theta", rotary.Theta);
            double bad = Array.Find(rotary.Frequencies(ContextLength), frequency => !double.IsFinite(frequency) || frequency < 0);
            Require(bad == 0 && double.IsFinite(rotary.Scaling.AttentionFactor), "rope scaling's frequency", bad);
        }

        return this;
    }

    private static void RequireMlp(MlpPlan mlp)
    {
        Require(mlp.Width is >= 0 and <= 1 << 20 && (mlp.Width > 0 || mlp.Experts is not null), "intermediate size", mlp.Width);
        if (mlp.Experts is { } experts)
        {
            Require(experts.Count is > 0 and <= 1 << 14, "number of experts", experts.Count);
            Require(experts.Used > 0 && experts.Used <= experts.Count, "number of experts of a token", experts.Used);
            Require(experts.Width is > 0 and <= 1 << 20, "intermediate size of experts", experts.Width);
            Require(float.IsFinite(experts.WeightScale), "scale of experts' weights", experts.WeightScale);
            Require(float.IsFinite(experts.Unit.Alpha) && float.IsFinite(experts.Unit.Limit) && experts.Unit.Limit >= 0,
                "limit of experts' activation", experts.Unit.Limit);
        }
    }

    private void RequireRecurrent(in RecurrentShape shape)
    {
        const int MostTaps = 64;
        Require(shape.KeyHeads is > 0 and <= 1 << 10, "number of recurrent key heads", shape.KeyHeads);
        Require(shape.ValueHeads is > 0 and <= 1 << 10 && shape.ValueHeads % shape.KeyHeads == 0, "number of recurrent value heads",
            shape.ValueHeads);
        Require(shape.KeyDim is > 0 and <= 1 << 10, "recurrent key dimension", shape.KeyDim);
        Require(shape.ValueDim is > 0 and <= 1 << 10 && shape.ValueDim % RecurrentShape.Block == 0,
            $"recurrent value dimension, which must be a multiple of {RecurrentShape.Block},", shape.ValueDim);
        int taps = shape.Taps;
        Require(taps is > 1 and <= MostTaps && Layers.All(layer => layer.Recurrent is not { } other || other.Taps == taps),
            "width of a convolution", taps);
    }

    /// <summary>A layer that reads another's keys and values reads such as it could have made itself.</summary>
    private void RequireKeys(int number, AttentionPlan attention)
    {
        if (attention.KeysOf is { } earlier)
        {
            bool fits = earlier >= 0 && earlier < number && Layers[earlier].Attention is { KeysOf: null } other
                && (other.KvHeads, other.HeadDim) == (attention.KvHeads, attention.HeadDim);
            Require(fits, $"layer whose keys layer {number} reads", earlier);
        }
    }

    private static void Require(bool holds, string what, double value)
    {
        if (!holds)
        {
            throw new InvalidDataException($"The {what} is {value}.");
        }
    }
}
