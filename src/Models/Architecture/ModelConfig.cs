using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

public enum NormKind
{
    /// <summary>Mean and variance, with weight and bias (GPT-2).</summary>
    LayerNorm,

    /// <summary>Root mean square, with weight (Llama).</summary>
    RmsNorm,
}

/// <summary>Everything that one forward pass needs to know about a model. Families differ in this data alone.</summary>
public sealed record ModelConfig
{
    /// <summary>"gpt2", "llama", "mistral", "qwen2" or "qwen3": what the checkpoint calls itself.</summary>
    public required string Family { get; init; }

    /// <summary>Rows of the embedding, and logits per position.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Positions that the model was trained for; rows of learned positions.</summary>
    public required int TrainedContext { get; init; }

    /// <summary>Tokens that a sequence may hold here.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads; each serves <c>Heads / KvHeads</c> query heads.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Dimensions of a head; not always <c>HiddenSize / Heads</c>.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Width inside the MLP.</summary>
    public required int IntermediateSize { get; init; }

    public required NormKind Norm { get; init; }

    /// <summary>Added to the variance, or to the mean square.</summary>
    public required float NormEpsilon { get; init; }

    /// <summary>The MLP's non-linearity.</summary>
    public required Activation Activation { get; init; }

    /// <summary>True: <c>down(activation(gate x) * up x)</c>; false: <c>down(activation(up x))</c>.</summary>
    public required bool GatedMlp { get; init; }

    /// <summary>How heads are rotated; null: learned positions are added to the embedding instead.</summary>
    public required Rotary? Rotary { get; init; }

    /// <summary>Query, key and value projections have biases.</summary>
    public bool QkvBias { get; init; }

    /// <summary>The projection after attention has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>The MLP's projections have biases.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Each head's query and key pass an RMSNorm of their own before the rotation (Qwen3).</summary>
    public bool QkNorm { get; init; }

    /// <summary>The embedding is also the output head.</summary>
    public required bool TiedHead { get; init; }

    /// <summary>Per layer: a row at position p sees positions greater than p - window; 0: all of them. Empty: 0 for every layer.</summary>
    public IReadOnlyList<int> Windows { get; init; } = [];

    /// <summary>Tokens that end a text.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>The token that begins a text, where the model has one.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>Columns of queries, keys and values side by side.</summary>
    public int QkvSize => (Heads + (2 * KvHeads)) * HeadDim;

    /// <summary>Query columns, and inputs of the projection after attention.</summary>
    public int QuerySize => Heads * HeadDim;

    /// <summary>The longest <see cref="ContextLength"/> that makes sense.</summary>
    public long MaxContext => Rotary?.Scaling.MaxContext(TrainedContext) ?? TrainedContext;

    public int Window(int layer) => Windows.Count == 0 ? 0 : Windows[layer];

    /// <summary>The same model for sequences of <paramref name="tokens"/> tokens.</summary>
    /// <exception cref="InvalidDataException">The model does not reach that far.</exception>
    public ModelConfig WithContext(int? tokens) => tokens switch
    {
        null => this,
        >= 1 when tokens <= MaxContext => this with { ContextLength = tokens.Value },
        _ => throw new InvalidDataException($"A context of {tokens:N0} tokens was asked for; this model's is at most {MaxContext:N0}."),
    };

    /// <summary>Refuses numbers that fit no model, so that nothing is allocated by them.</summary>
    /// <exception cref="InvalidDataException">Names the number.</exception>
    internal ModelConfig Validated()
    {
        Require(VocabularySize is > 0 and <= 1 << 22, "vocabulary size", VocabularySize);
        Require(TrainedContext is > 0 and <= 1 << 24, "context length", TrainedContext);
        Require(HiddenSize is > 0 and <= 1 << 18, "hidden size", HiddenSize);
        Require(Layers is > 0 and <= 1 << 12, "number of layers", Layers);
        Require(Heads is > 0 and <= 1 << 14, "number of heads", Heads);
        Require(KvHeads > 0 && Heads % KvHeads == 0, "number of key-value heads", KvHeads);
        Require(HeadDim is > 0 and <= 1 << 12, "head dimension", HeadDim);
        Require(IntermediateSize is > 0 and <= 1 << 20, "intermediate size", IntermediateSize);
        Require(float.IsFinite(NormEpsilon) && NormEpsilon >= 0, "norm epsilon", NormEpsilon);
        Require(Windows.Count == 0 || Windows.Count == Layers, "number of layer types", Windows.Count);
        foreach (int window in Windows)
        {
            Require(window >= 0, "sliding window", window);
        }

        if (Rotary is { } rotary)
        {
            Require(rotary.Dim > 0 && rotary.Dim <= HeadDim && rotary.Dim % 2 == 0, "number of rotary dimensions", rotary.Dim);
            Require(double.IsFinite(rotary.Theta) && rotary.Theta > 1, "rope theta", rotary.Theta);
            double bad = Array.Find(rotary.Frequencies(ContextLength), frequency => !double.IsFinite(frequency) || frequency < 0);
            Require(bad == 0 && double.IsFinite(rotary.Scaling.AttentionFactor), "rope scaling's frequency", bad);
        }

        return this;

        static void Require(bool holds, string what, double value)
        {
            if (!holds)
            {
                throw new InvalidDataException($"The {what} is {value}.");
            }
        }
    }
}
