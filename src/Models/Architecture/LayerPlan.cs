using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>
/// What one block of a decoder is made of: <c>x += attention(norm(x)); x += mlp(norm(x))</c>, where a branch has a norm behind it
/// <c>x += norm(attention(norm(x)))</c>, and without a norm before it <c>x += norm(attention(x))</c>. Parallel branches read the same rows:
/// <c>x += attention(norm(x)) + mlp(norm(x))</c>. In a recurrent layer a gated DeltaNet stands in attention's place.
/// </summary>
public sealed record LayerPlan(AttentionPlan Attention, MlpPlan Mlp)
{
    /// <summary>
    /// Shape of the gated DeltaNet in the place of attention, which is then <see cref="AttentionPlan.None"/>; null: attention.
    /// </summary>
    public RecurrentShape? Recurrent { get; init; }

    /// <summary>Columns that are projected from a row: queries, keys, values, and what a recurrent layer wants beside them.</summary>
    public int ProjectedSize => Recurrent?.InputSize ?? Attention.QkvSize;

    /// <summary>Inputs of the projection behind attention, or behind the recurrence.</summary>
    public int MixedSize => Recurrent?.ValueSize ?? Attention.QuerySize;

    public bool NormBefore { get; init; } = true;

    public bool NormBehind { get; init; }

    /// <summary>Added to the mean square by norms behind; null: as by all others.</summary>
    public float? NormBehindEpsilon { get; init; }

    /// <summary>Attention and MLP read one norm's rows, neither what the other made (Cohere).</summary>
    public bool Parallel { get; init; }

    /// <summary>Branches are scaled by it on their way back.</summary>
    public float ResidualScale { get; init; } = 1;

    /// <summary>The residual stream behind the layer is scaled by a number among the layer's tensors (Gemma 4).</summary>
    public bool OutputScale { get; init; }
}

/// <summary>Attention of one layer.</summary>
public sealed record AttentionPlan
{
    /// <summary>Of a layer that has none.</summary>
    public static AttentionPlan None { get; } = new() { Heads = 0, KvHeads = 0, HeadDim = 0 };

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads; each serves <c>Heads / KvHeads</c> query heads.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Dimensions of a head; not always the model's width over its heads.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Which of <see cref="ModelConfig.Rotaries"/> turns queries and keys; null: none does.</summary>
    public int? Rotary { get; init; }

    /// <summary>A row at position p sees positions greater than p - window; 0: all of them.</summary>
    public int Window { get; init; }

    /// <summary>Scores are multiplied by it; null: 1 / sqrt(HeadDim).</summary>
    public float? Scale { get; init; }

    /// <summary>Scores s become <c>SoftCap tanh(s / SoftCap)</c>; 0: they do not.</summary>
    public float SoftCap { get; init; }

    /// <summary>Queries are scaled by their position.</summary>
    public PositionScale PositionScale { get; init; }

    /// <summary>Queries and keys pass an RMSNorm before the rotation.</summary>
    public QkNorm QkNorm { get; init; }

    /// <summary>Each value head passes an RMSNorm without weights (Gemma 4).</summary>
    public bool ValueNorm { get; init; }

    /// <summary>Keys, before their norm and rotation, are the values: there is no projection of values (Gemma 4's larger ones).</summary>
    public bool KeysAreValues { get; init; }

    /// <summary>The earlier layer whose keys and values it reads, having none of its own; null: its own.</summary>
    public int? KeysOf { get; init; }

    /// <summary>What attention made is multiplied by <c>sigmoid(gate(norm(x)))</c> before its projection (Muse Glimmer).</summary>
    public bool Gate { get; init; }

    /// <summary>Query, key and value projections have biases.</summary>
    public bool QkvBias { get; init; }

    /// <summary>The projection after attention has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Each head has a score that takes its share of the softmax and has no value.</summary>
    public bool Sinks { get; init; }

    /// <summary>Columns of queries, keys and values side by side; of queries alone where keys are another layer's.</summary>
    public int QkvSize => (Heads + (KeysOf is null ? 2 * KvHeads : 0)) * HeadDim;

    /// <summary>Query columns, and inputs of the projection after attention.</summary>
    public int QuerySize => Heads * HeadDim;

    /// <summary>What the layer keeps of a token; no heads where it reads another layer's.</summary>
    public KvShape Cache => new(KeysOf is null ? KvHeads : 0, HeadDim);
}

/// <summary>How queries and keys are normed before they are turned.</summary>
public enum QkNorm
{
    None,

    /// <summary>Each head by itself (Qwen3).</summary>
    Heads,

    /// <summary>Each head by itself, without weights (Muse Glimmer).</summary>
    Weightless,

    /// <summary>All heads together (OLMo 2).</summary>
    Whole,
}

/// <summary>The MLP of one layer: <c>down(activation(gate x) * up x)</c> where gated, else <c>down(activation(up x))</c>.</summary>
/// <param name="Width">Between up and down; 0 where there are experts alone.</param>
/// <param name="Bias">Gate, up and down have biases.</param>
public sealed record MlpPlan(int Width, Activation Activation, bool Gated, bool Bias = false)
{
    /// <summary>Experts, beside the block above where that has a width (a "shared expert"); null: there are none.</summary>
    public ExpertsPlan? Experts { get; init; }
}

/// <summary>
/// Experts of one layer, each a gated block. Every row goes to a few of them, which the router chooses by its logits <c>router x</c>; see
/// <see cref="RouterParams"/>. <c>mlp(x) = sum over a row's experts, ascending, of weight * expert(x)</c>, and then the block that all rows
/// share is added, times <c>1 / (1 + exp(-gate x))</c> where <see cref="SharedGate"/>.
/// </summary>
/// <param name="Count">Experts.</param>
/// <param name="Used">Of them by each row.</param>
/// <param name="Width">Of each, between up and down.</param>
public sealed record ExpertsPlan(int Count, int Used, int Width, GatedUnit Unit)
{
    public RouterScore Score { get; init; } = RouterScore.Softmax;

    /// <summary>The weights of a row's experts are divided by their sum: so they are where a softmax is taken of the chosen ones.</summary>
    public bool Renormalised { get; init; } = true;

    /// <summary>The weights are multiplied by it.</summary>
    public float WeightScale { get; init; } = 1;

    /// <summary>The router has a bias.</summary>
    public bool RouterBias { get; init; }

    /// <summary>Each expert's gate, up and down have biases.</summary>
    public bool Bias { get; init; }

    /// <summary>The block beside them is weighed by a gate of its own.</summary>
    public bool SharedGate { get; init; }

    /// <summary>
    /// Router, experts and the block beside them read the stream through a norm each, and what the experts made and what the block made is
    /// normed before they are added (Gemma 4).
    /// </summary>
    public bool OwnNorms { get; init; }
}

/// <summary>
/// Per-layer embeddings (Gemma 4's small ones, after Gemma 3n): each layer gets an input of its own for each token,
/// <c>(norm(projection(e) / sqrt(hidden)) + sqrt(Width) table[token]) / sqrt(2)</c> of the scaled embedding e, and behind its branches adds
/// <c>norm(output(activation(gate(x)) * input))</c>.
/// </summary>
/// <param name="Width">Of a layer's input.</param>
/// <param name="Vocabulary">Rows of the table, at least those of the embedding.</param>
public sealed record PerLayerPlan(int Width, int Vocabulary, Activation Activation);
