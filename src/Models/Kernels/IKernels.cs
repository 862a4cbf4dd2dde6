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

/// <summary>What happens to a product on its way out: <c>y = activation(x w^T + bias) [+ y]</c>.</summary>
/// <param name="Bias">[1, outputs] F32, <c>Data</c> 0 for none.</param>
/// <param name="AddToOutput">Adds to what <c>y</c> holds: the residual.</param>
public readonly record struct Epilogue(Tensor Bias = default, Activation Activation = Activation.None, bool AddToOutput = false);

/// <summary>How a head's query and key are rotated.</summary>
/// <param name="Cosine">F32 [context, RotaryDim / 2]; <c>Data</c> 0: no rotation (learned positions).</param>
/// <param name="RotaryDim">Leading dimensions of a head that are rotated; dimension i pairs with i + RotaryDim / 2.</param>
/// <param name="QueryNorm">F32 [1, HeadDim] weight of a per-head RMSNorm before the rotation; <c>Data</c> 0 for none (Qwen3 has it).</param>
public readonly record struct RotaryParams(Tensor Cosine, Tensor Sine, int RotaryDim, Tensor QueryNorm, Tensor KeyNorm, float NormEpsilon);

/// <param name="Scale">Scores are multiplied by it: usually 1 / sqrt(HeadDim).</param>
/// <param name="Window">A row at position p sees logical positions greater than p - Window; 0: all of them.</param>
public readonly record struct AttentionParams(int Heads, int KvHeads, int HeadDim, float Scale, int Window);

/// <summary>
/// The operations of a forward pass, over F32 activations, and the decision rule. One implementation per kind of machine.
/// <para>
/// Batch invariance, the contract of every implementation: the result of a row does not depend, to the bit, on how many rows are in the
/// batch, which they are, the order of the slots, or the number of threads. Bits may differ between implementations.
/// </para>
/// Not thread-safe: one caller at a time. Activations have strides that are multiples of 16 elements, and the elements between
/// <c>Columns</c> and <c>Stride</c> may be overwritten. No operation allocates managed memory once warm.
/// </summary>
public interface IKernels : IDisposable
{
    /// <summary>"avx512", "avx2", "portable", "reference", "cuda".</summary>
    string Name { get; }

    /// <summary>Zeroed memory that these kernels can work on.</summary>
    /// <param name="sparse">Only parts of it will ever be touched: it is to take physical memory in small pages, as it is written.</param>
    MemoryBlock Allocate(long bytes, bool sparse = false);

    /// <summary>
    /// Memory for the keys and values of <paramref name="slots"/> slots (a multiple of 16), in the layout of these kernels, which
    /// <paramref name="layers"/> then describe. It is taken as slots are first written: see <see cref="MemoryBlock.Reach"/>.
    /// </summary>
    MemoryBlock AllocateCache(Span<KvLayer> layers, DType type, int kvHeads, int headDim, int slots);

    /// <summary>Most rows of a pass that are worth their memory.</summary>
    /// <param name="bytesPerRow">What a model keeps of a row during a pass.</param>
    int WidestPass(long bytesPerRow) => 256;

    /// <summary>Bytes a second that memory gives at best, measured now over about so many: a read by all cores, or on a device a copy, both ways counted.</summary>
    double MeasureBandwidth(long bytes) => Cpu.ReadLoop.BytesPerSecond(bytes);

    /// <summary>The type in which the inputs of a product with weights of this type are held.</summary>
    DType ProductInput(DType weights) => DType.F32;

    /// <summary>Copies F32 values (norms, biases, rotary tables) from the host to <paramref name="address"/> in such memory.</summary>
    unsafe void Write(ReadOnlySpan<float> values, nint address) => values.CopyTo(new Span<float>((void*)address, values.Length));

    /// <summary>Copies F32 values from <paramref name="address"/> in such memory to the host, behind every operation so far.</summary>
    unsafe void Read(nint address, Span<float> values) => new Span<float>((void*)address, values.Length).CopyTo(values);

    /// <summary>Waits until the operations so far have ended: they may run behind the caller. <see cref="Decide"/> and <see cref="Read"/> wait by themselves.</summary>
    void Finish()
    {
    }

    /// <summary>
    /// Begins a forward pass: the operations up to <see cref="EndPass"/> are all of one batch and one cache. A set may keep what it is told once and
    /// run it again for a later pass of the same <paramref name="model"/> and shape.
    /// </summary>
    /// <param name="cache">The layers of the cache.</param>
    /// <returns>False: the pass is under way already, and its operations must not be called.</returns>
    bool BeginPass(object model, ForwardBatch batch, ReadOnlySpan<KvLayer> cache) => true;

    void EndPass()
    {
    }

    /// <summary>
    /// Brings weights into the layout of these kernels, into <paramref name="target"/> at <paramref name="offset"/> (64-byte aligned, room for
    /// <see cref="PackedBytes"/>). <paramref name="rows"/> is host memory: <c>[outputs, inputs]</c>, or
    /// <c>[inputs, outputs]</c> where <paramref name="transposed"/> (Conv1D).
    /// </summary>
    WeightMatrix Pack(Tensor rows, bool transposed, MemoryBlock target, long offset);

    long PackedBytes(DType type, int outputs, int inputs);

    /// <summary><c>output[r] = table[batch.Tokens[r]] (+ positions[batch.Positions[r]])</c>. table <c>[vocabulary, d]</c>, output <c>[batch.Count, d]</c>.</summary>
    void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output);

    /// <summary>Per row: <c>(x - mean) / sqrt(var + epsilon) * weight + bias</c>. weight, bias: F32 [1, d].</summary>
    void LayerNorm(Tensor x, Tensor weight, Tensor bias, float epsilon, Tensor output);

    /// <summary>Per row: <c>x / sqrt(mean(x^2) + epsilon) * weight</c>. weight: F32 [1, d].</summary>
    void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor output);

    /// <summary><c>y[r] = activation(x[r] w^T + bias) [+ y[r]]</c>. x <c>[rows, inputs]</c>, w <c>[outputs, inputs]</c>, y <c>[rows, outputs]</c>.</summary>
    void MatMul(WeightMatrix weights, Tensor x, Tensor y, in Epilogue epilogue);

    /// <summary><c>y[r] = activation(x[r] gate^T) * (x[r] up^T)</c>: the SwiGLU pair. gate and up <c>[outputs, inputs]</c>.</summary>
    void GatedMatMul(WeightMatrix gate, WeightMatrix up, Tensor x, Tensor y, Activation activation);

    /// <summary>
    /// Normalises and rotates the queries and keys of each row in place and stores keys and values, rounded, in the row's slot.
    /// qkv: <c>[rows, (Heads + 2 KvHeads) * HeadDim]</c>: all query heads, then all key heads, then all value heads.
    /// </summary>
    void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch);

    /// <summary>
    /// Softmax attention of each row over its own logical positions (see <see cref="ForwardBatch"/>), summed in an order that is fixed by them
    /// alone, wherever their slots are. queries: <c>[rows, Heads * HeadDim]</c>; output <c>[rows, Heads * HeadDim]</c>.
    /// </summary>
    void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output);

    /// <summary>The decision rule over rows of logits <c>[decision.Rows, vocabulary]</c> (see <see cref="DecisionParams"/>).</summary>
    void Decide(Tensor logits, DecisionBatch decision);

    /// <summary>Moves keys and values of slots <c>from[0..]</c> (ascending, each at or above its destination) to slots <c>to, to + 1, ...</c>, in all layers of a cache.</summary>
    void MoveSlots(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to);

    /// <summary>Copies slots <c>0 .. count</c> of one cache to another of the same shape (the number of slots may differ).</summary>
    void CopySlots(ReadOnlySpan<KvLayer> source, ReadOnlySpan<KvLayer> destination, int count);
}
