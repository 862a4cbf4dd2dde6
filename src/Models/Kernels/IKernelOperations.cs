using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

public enum Activation
{
    None,

    /// <summary>0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): "gelu_new", "gelu_pytorch_tanh".</summary>
    GeluTanh,

    /// <summary>x / (1 + exp(-x)).</summary>
    Silu,
}

/// <summary>How a head's query and key are rotated.</summary>
/// <param name="Cosine">F32 [context, RotaryDim / 2]; <c>Data</c> 0: no rotation (learned positions).</param>
/// <param name="RotaryDim">Leading dimensions of a head that are rotated; dimension i pairs with i + RotaryDim / 2.</param>
/// <param name="QueryNorm">F32 [1, HeadDim] weight of a per-head RMSNorm before the rotation; <c>Data</c> 0 for none (Qwen3 has it).</param>
public readonly record struct RotaryParams(Tensor Cosine, Tensor Sine, int RotaryDim, Tensor QueryNorm, Tensor KeyNorm, float NormEpsilon)
{
    /// <summary>Whether queries and keys are changed at all.</summary>
    public bool Turns => Cosine.Data != 0 || QueryNorm.Data != 0 || KeyNorm.Data != 0;
}

/// <param name="Scale">Scores are multiplied by it: usually 1 / sqrt(HeadDim).</param>
/// <param name="Window">A row at position p sees logical positions greater than p - Window; 0: all of them.</param>
public readonly record struct AttentionParams(int Heads, int KvHeads, int HeadDim, float Scale, int Window);

/// <summary>
/// The operations of a forward pass over F32 activations, and the decision rule. What a device does in one kernel is one operation here; sets that gain
/// nothing by that do one thing after the other. Activations have strides that are multiples of 16 elements, and the elements between
/// <c>Columns</c> and <c>Stride</c> may be overwritten.
/// </summary>
public interface IKernelOperations
{
    /// <summary><c>output[r] = table[batch.Tokens[r]] (+ positions[batch.Positions[r]])</c>. table <c>[vocabulary, d]</c>, output <c>[batch.Count, d]</c>.</summary>
    void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output);

    /// <summary>Each row of x normed, as an input: see <see cref="NormKind"/>.</summary>
    void Normalize(Tensor x, in Norm norm, InputRows output);

    /// <summary><c>y[r] = x[r] w^T + bias</c>. x <c>[rows, inputs]</c>, w <c>[outputs, inputs]</c>, y <c>[rows, outputs]</c>.</summary>
    void Multiply(in ProductSource x, Projection weights, Tensor y);

    /// <summary><c>y[r] += x[r] w^T + bias</c>: a branch goes back to the residual stream.</summary>
    void MultiplyAdd(in ProductSource x, Projection weights, Tensor y);

    /// <summary><c>y[r] = activation(x[r] w^T + bias)</c></summary>
    void MultiplyActivate(in ProductSource x, Projection weights, Activation activation, InputRows y);

    /// <summary><c>y[r] = activation(x[r] gate^T) * (x[r] up^T)</c>: the SwiGLU pair. gate and up <c>[outputs, inputs]</c>.</summary>
    void MultiplyGated(in ProductSource x, WeightMatrix gate, WeightMatrix up, Activation activation, InputRows y);

    /// <summary><see cref="Multiply"/>, and <see cref="StoreKeysValues"/> of what came of it.</summary>
    void MultiplyStore(in ProductSource x, Projection weights, Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch)
    {
        Multiply(x, weights, qkv);
        StoreKeysValues(qkv, heads, rotary, layer, batch);
    }

    /// <summary>
    /// Normalises and rotates the queries and keys of each row in place and stores keys and values, rounded, in the row's slot.
    /// qkv: <c>[rows, (Heads + 2 KvHeads) * HeadDim]</c>: all query heads, then all key heads, then all value heads.
    /// </summary>
    void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch);

    /// <summary>
    /// Softmax attention of each row over its own logical positions (see <see cref="ForwardBatch"/>), summed in an order that is fixed by them
    /// alone, wherever their slots are. queries: <c>[rows, Heads * HeadDim]</c>; output <c>[rows, Heads * HeadDim]</c>.
    /// </summary>
    void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, InputRows output);

    /// <summary>The decision rule over rows of logits <c>[decision.Rows, vocabulary]</c> (see <see cref="DecisionParams"/>).</summary>
    void Decide(Tensor logits, DecisionBatch decision);
}
