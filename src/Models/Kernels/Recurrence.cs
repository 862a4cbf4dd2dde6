using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>Shape of a gated DeltaNet layer (Yang et al., "Gated Delta Networks", arXiv 2412.06464, as Qwen3-Next builds it).</summary>
/// <param name="KeyHeads">Heads of queries and keys; each serves <c>ValueHeads / KeyHeads</c> value heads.</param>
/// <param name="KeyDim">Dimensions of a query or key: rows of a head's state.</param>
/// <param name="ValueDim">Dimensions of a value, a multiple of 16: columns of a head's state.</param>
/// <param name="Taps">Width of the convolution.</param>
/// <param name="Tiled">Value head h is served by key head <c>h mod KeyHeads</c>; else by <c>h / (ValueHeads / KeyHeads)</c>.</param>
public readonly record struct RecurrentShape(int KeyHeads, int ValueHeads, int KeyDim, int ValueDim, int Taps, bool Tiled)
{
    /// <summary>Columns of a state that are worked on together: they know nothing of each other.</summary>
    public const int Block = 16;

    /// <summary>Columns of all queries and keys.</summary>
    public int QueryKeySize => 2 * KeyHeads * KeyDim;

    /// <summary>Columns of all values, and of the layer's output.</summary>
    public int ValueSize => ValueHeads * ValueDim;

    /// <summary>Columns that are convolved: queries, keys and values.</summary>
    public int Channels => QueryKeySize + ValueSize;

    /// <summary>
    /// Columns of the layer's inputs: queries, keys, values, gates of the output (z), and beta and alpha of each value head.
    /// </summary>
    public int InputSize => Channels + ValueSize + (2 * ValueHeads);

    /// <summary>What is kept of a row until it is applied: its channels before the convolution, beta and alpha; whole vectors.</summary>
    public int RowSize => (Channels + (2 * ValueHeads) + Block - 1) / Block * Block;

    /// <summary>Elements of the states of all heads: <c>[ValueHeads, ValueDim / 16, KeyDim, 16]</c>.</summary>
    public int StateSize => ValueHeads * KeyDim * ValueDim;

    public int KeyHead(int valueHead) => Tiled ? valueHead % KeyHeads : valueHead / (ValueHeads / KeyHeads);
}

/// <summary>What a cache keeps of one recurrent layer.</summary>
/// <param name="State">F32 <c>[StateSize]</c>: behind the applied positions.</param>
/// <param name="Kept">
/// F32 <c>[rows, RowSize]</c>: rows before the state's position, as the convolution reads them, and rows behind it.
/// </param>
public readonly record struct RecurrentLayer(RecurrentShape Shape, nint State, nint Kept);

/// <summary>Weights of a gated DeltaNet layer that are no projections.</summary>
/// <param name="Convolution">F32 <c>[Taps, Channels]</c>, the oldest tap first.</param>
/// <param name="TimeBias">F32 <c>[1, ValueHeads]</c>, added to alpha.</param>
/// <param name="Decay">F32 <c>[1, ValueHeads]</c>: <c>-exp(A_log)</c>.</param>
/// <param name="Norm">F32 <c>[1, ValueDim]</c>: of each head's output.</param>
public readonly record struct RecurrentParams(Tensor Convolution, Tensor TimeBias, Tensor Decay, Norm Norm)
{
    /// <summary>Added to the sum of squares of a query or key before it is brought to length 1.</summary>
    public const float LengthEpsilon = 1e-6f;

    private const float Least = 7.8886090522101181e-31f;

    /// <summary>Weight of what a row writes: <c>1 / (1 + exp(-beta))</c>. In double precision, so that all sets have the same.</summary>
    public static float Beta(float beta) => (float)(1 / (1 + Math.Exp(-(double)beta)));

    /// <summary>
    /// What is left of a state: <c>exp(decay ln(1 + exp(alpha + bias)))</c>, <c>decay = -exp(A_log)</c>; 0 below 2^-100, so that no time
    /// goes into numbers too small to be normal.
    /// </summary>
    public static float Kept(float alpha, float bias, float decay)
    {
        double x = alpha + bias;
        // ln(1 + e^x) = x to the last bit of a float.
        double softplus = x > 20 ? x : Math.Log(1 + Math.Exp(x));
        float kept = (float)Math.Exp(decay * softplus);
        return kept < Least ? 0 : kept;
    }
}
