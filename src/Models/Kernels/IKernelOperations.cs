using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

public enum Activation
{
    None,

    /// <summary>0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): "gelu_new", "gelu_pytorch_tanh".</summary>
    GeluTanh,

    /// <summary>x / (1 + exp(-x)).</summary>
    Silu,

    /// <summary>1 / (1 + exp(-x)).</summary>
    Sigmoid,
}

/// <summary>How a head's query, key and value are changed before they are used and kept.</summary>
/// <param name="Cosine">F32 [context, RotaryDim / 2]; <c>Data</c> 0: no rotation (learned positions).</param>
/// <param name="RotaryDim">Leading dimensions of a head that are rotated; dimension i pairs with i + RotaryDim / 2.</param>
/// <param name="QueryNorm">
/// Weight of an RMSNorm before the rotation: F32 [1, HeadDim], of each head by itself (Qwen3), or F32 [1, all heads' columns], of all heads
/// together (OLMo 2); <c>Data</c> 0 for none. So has <paramref name="KeyNorm"/>.
/// </param>
/// <param name="Scale">Queries are scaled by their position behind the rotation.</param>
/// <param name="ValueNorm">Weight of an RMSNorm of each value head by itself: F32 [1, HeadDim]; <c>Data</c> 0 for none (Gemma 4).</param>
/// <param name="KeysAreValues">Keys, before their norm and rotation, are the values: nothing stands in the values' columns yet.</param>
public readonly record struct RotaryParams(
    Tensor Cosine, Tensor Sine, int RotaryDim, Tensor QueryNorm, Tensor KeyNorm, float NormEpsilon, PositionScale Scale = default,
    Tensor ValueNorm = default, bool KeysAreValues = false)
{
    /// <summary>Whether queries, keys or values are changed at all.</summary>
    public bool Turns =>
        Cosine.Data != 0 || QueryNorm.Data != 0 || KeyNorm.Data != 0 || Scale.Beta != 0 || ValueNorm.Data != 0 || KeysAreValues;
}

/// <summary>A query at position p is multiplied by <c>1 + Beta ln(1 + floor(p / Every))</c> (Llama 4, Ministral 3).</summary>
/// <param name="Beta">0: it is not.</param>
public readonly record struct PositionScale(float Beta, int Every)
{
    public float At(int position) => Beta == 0 ? 1 : (float)(1 + (Beta * Math.Log(1 + (position / Every))));
}

/// <param name="Scale">Scores are multiplied by it: usually 1 / sqrt(HeadDim).</param>
/// <param name="Window">A row at position p sees logical positions greater than p - Window; 0: all of them.</param>
/// <param name="SoftCap">Scores s become <c>SoftCap tanh(s / SoftCap)</c>; 0: they do not.</param>
/// <param name="Sinks">
/// F32 [1, Heads]: a score of each head that takes its share of the softmax and has no value; <c>Data</c> 0 for none.
/// </param>
public readonly record struct AttentionParams(
    int Heads, int KvHeads, int HeadDim, float Scale, int Window, float SoftCap = 0, Tensor Sinks = default);

/// <summary>What only some models ask of kernels, and not every set has.</summary>
[Flags]
public enum KernelFeatures
{
    None = 0,

    /// <summary>Embeddings, branches on their way back to the residual stream, or the stream behind a layer are scaled.</summary>
    Scaling = 1,

    /// <summary>A branch is normed before it goes back to the residual stream.</summary>
    NormBehind = 2,

    /// <summary>Scores of attention, or logits, are capped by a tanh or scaled.</summary>
    Capping = 4,

    /// <summary>Queries and keys are normed over all heads together.</summary>
    WholeQkNorm = 8,

    /// <summary>Queries are scaled by their position.</summary>
    PositionScale = 16,

    /// <summary>Values are normed, or are the keys.</summary>
    ValueNorm = 32,

    /// <summary>Layers read another layer's keys and values, and have none of their own.</summary>
    SharedKeyValues = 64,

    /// <summary>What a branch made is multiplied by a gate: attention's outputs, or a token's own input to a layer.</summary>
    Gates = 128,

    /// <summary>Embeddings are normed.</summary>
    EmbeddingNorm = 256,

    /// <summary>Gate and up of a gated MLP have biases.</summary>
    GatedBias = 512,

    /// <summary>Rows choose among experts.</summary>
    Experts = 1024,

    /// <summary>Attention has sinks.</summary>
    Sinks = 2048,

    /// <summary>Layers are recurrent.</summary>
    Recurrence = 4096,
}

/// <summary>
/// The operations of a forward pass over F32 activations, and the decision rule. What a device does in one kernel is one operation here;
/// sets that gain nothing by that do one thing after the other. Activations have strides that are multiples of 16 elements, and the
/// elements between <c>Columns</c> and <c>Stride</c> may be overwritten.
/// </summary>
public interface IKernelOperations
{
    /// <summary>What of these operations' options this set does not have; asked before a model that wants them is made.</summary>
    KernelFeatures Missing => KernelFeatures.None;

    /// <summary>
    /// <c>output[r] = scale table[batch.Tokens[r]] (+ positions[batch.Positions[r]])</c>. table <c>[vocabulary, d]</c>, output
    /// <c>[batch.Count, d]</c>.
    /// </summary>
    void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output, float scale = 1);

    /// <summary>Each row of x normed, as an input: see <see cref="NormKind"/>.</summary>
    void Normalize(Tensor x, in Norm norm, InputRows output);

    /// <summary>Each row of x normed, in place.</summary>
    void Normalize(Tensor x, in Norm norm);

    /// <summary>Rows of activations as inputs, as they are.</summary>
    void Take(Tensor x, InputRows output);

    /// <summary><c>y[r] = x[r] w^T + bias</c>. x <c>[rows, inputs]</c>, w <c>[outputs, inputs]</c>, y <c>[rows, outputs]</c>.</summary>
    void Multiply(in ProductSource x, Projection weights, Tensor y);

    /// <summary><c>y[r] += scale (x[r] w^T + bias)</c>: a branch goes back to the residual stream.</summary>
    void MultiplyAdd(in ProductSource x, Projection weights, Tensor y, float scale = 1);

    /// <summary><c>y[r] += norm(x[r])</c>: a branch goes back to the residual stream, normed. x and y <c>[rows, d]</c>.</summary>
    void NormalizeAdd(Tensor x, in Norm norm, Tensor y);

    /// <summary><c>y[r] = activation(x[r] w^T + bias)</c></summary>
    void MultiplyActivate(in ProductSource x, Projection weights, Activation activation, InputRows y);

    /// <summary><c>y[r] *= activation(x[r] w^T + bias)</c>: a gate in front of what stands in y.</summary>
    void MultiplyGate(in ProductSource x, Projection weights, Activation activation, InputRows y);

    /// <summary>
    /// <c>y[r] = activation(x[r] gate^T + bias) * (x[r] up^T + bias)</c>: the SwiGLU pair, each of one matrix <c>[outputs, inputs]</c>.
    /// </summary>
    void MultiplyGated(in ProductSource x, Projection gate, Projection up, Activation activation, InputRows y);

    /// <summary>Each row's experts, by its logits, and their places. logits F32 <c>[rows, experts]</c>.</summary>
    void Route(Tensor logits, in RouterParams router, Routing routing);

    /// <summary>
    /// <c>y[place] = unit(x[row] gate^T + bias, x[row] up^T + bias)</c> by the matrices of the place's expert; each matrix is read once. A
    /// place has the bits that its row has alone. x <c>[rows, inputs]</c>, y <c>[places, outputs]</c>.
    /// </summary>
    /// <param name="gathered"><c>[places, inputs]</c>: room for the rows by place.</param>
    void MultiplyExperts(
        InputRows x, Routing routing, ExpertProjection gate, ExpertProjection up, in GatedUnit unit, InputRows gathered, InputRows y);

    /// <summary><c>y[place] = x[place] w^T + bias</c> by the matrix of the place's expert.</summary>
    void MultiplyExperts(InputRows x, Routing routing, ExpertProjection weights, Tensor y);

    /// <summary><c>y[row] = sum of weight * x[place]</c> over a row's experts, ascending. x F32 <c>[places, d]</c>, y <c>[rows,
    /// d]</c>.</summary>
    void SumExperts(Tensor x, Routing routing, Tensor y);

    /// <summary><c>y[r] += scale x[r]</c>, or <c>y[r] += scale x[r] / (1 + exp(-gate[r]))</c>.</summary>
    /// <param name="gate">F32 <c>[rows, 1]</c>; <c>Data</c> 0 for none.</param>
    void Add(Tensor x, Tensor gate, float scale, Tensor y);

    /// <summary><see cref="Multiply"/>, and <see cref="StoreKeysValues"/> of what came of it.</summary>
    void MultiplyStore(in ProductSource x, Projection weights, Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer,
        ForwardBatch batch)
    {
        Multiply(x, weights, qkv);
        StoreKeysValues(qkv, heads, rotary, layer, batch);
    }

    /// <summary>
    /// Normalises and rotates the queries and keys of each row in place and stores keys and values, rounded, in the row's slot.
    /// qkv: <c>[rows, (Heads + 2 KvHeads) * HeadDim]</c>: all query heads, then all key heads, then all value heads. A layer without
    /// key-value heads stores nothing: queries alone are turned.
    /// </summary>
    void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch);

    /// <summary>
    /// Softmax attention of each row over its own logical positions (see <see cref="ForwardBatch"/>), summed in an order that is fixed by
    /// them alone, wherever their slots are. queries: <c>[rows, Heads * HeadDim]</c>; output <c>[rows, Heads * HeadDim]</c>.
    /// </summary>
    void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, InputRows output);

    /// <summary>
    /// A gated DeltaNet layer over the rows of a pass, less the projections before and behind it. Of a row with channels u, which are its
    /// queries, keys and values, and of each of its value heads:
    /// <code>
    /// (q, k, v) = silu(sum over taps of convolution[tap] * u of the row so far before it)
    /// q = q / |q| / sqrt(KeyDim);  k = k / |k|
    /// S = S exp(decay * ln(1 + exp(alpha + bias)))
    /// S = S + k (v - S^T k)^T / (1 + exp(-beta))
    /// y = norm(S^T q) * silu(z)
    /// </code>
    /// in F32, row after row as <paramref name="walk"/> says; then keeps what it says.
    /// </summary>
    /// <param name="inputs">F32 <c>[rows, InputSize]</c>: queries, keys, values, z, beta, alpha.</param>
    /// <param name="first">The first row whose output is wanted.</param>
    /// <param name="output"><c>[rows - first, ValueSize]</c></param>
    void Recur(
        Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int first, InputRows output);

    /// <summary><c>x = cap tanh(scale x / cap)</c>, in place; without a cap <c>scale x</c>.</summary>
    /// <param name="cap">0: none.</param>
    void Cap(Tensor x, float scale, float cap);

    /// <summary>The decision rule over rows of logits <c>[decision.Rows, vocabulary]</c> (see <see cref="DecisionParams"/>).</summary>
    void Decide(Tensor logits, DecisionBatch decision);
}
