using System.Runtime.InteropServices;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>
/// A kind of machine: its memory, its passes and its operations.
/// <para>
/// Batch invariance, the contract of every implementation: the result of a row does not depend, to the bit, on how many rows are in the
/// batch, which they are, the order of the slots, or the number of threads. Bits may differ between implementations.
/// </para>
/// Not thread-safe: one caller at a time. No operation allocates managed memory once warm.
/// </summary>
public interface IKernels : IKernelMemory, IKernelPass, IKernelOperations, IDisposable
{
    /// <summary>"avx512", "avx2", "portable", "reference", "cuda".</summary>
    string Name { get; }
}

/// <summary>Memory that kernels work on, and what lies in it: weights, inputs of products, keys and values.</summary>
public interface IKernelMemory
{
    /// <summary>Zeroed memory.</summary>
    /// <param name="sparse">Only parts of it will ever be touched: it is to take physical memory in small pages, as it is written.</param>
    MemoryBlock Allocate(long bytes, bool sparse = false);

    /// <summary>Bytes that can be allocated without others being pushed out; null: not known.</summary>
    long? FreeBytes => null;

    /// <summary>Copies F32 values (norms, biases, rotary tables) from the host to <paramref name="address"/>.</summary>
    unsafe void Write(ReadOnlySpan<float> values, nint address) => values.CopyTo(new Span<float>((void*)address, values.Length));

    /// <summary>Copies F32 values from <paramref name="address"/> to the host, behind every operation so far.</summary>
    unsafe void Read(nint address, Span<float> values) => new Span<float>((void*)address, values.Length).CopyTo(values);

    /// <summary>Copies bytes from one place of such memory to another that does not overlap, behind every operation so far.</summary>
    unsafe void Copy(nint source, nint target, long bytes) => Buffer.MemoryCopy((void*)source, (void*)target, bytes, bytes);

    /// <summary>Zeroes bytes of such memory.</summary>
    unsafe void Clear(nint target, long bytes) => NativeMemory.Clear((void*)target, (nuint)bytes);

    /// <summary>Copies one row of inputs from the host, rounded as the kernels round what they multiply.</summary>
    void Write(ReadOnlySpan<float> values, InputRows row);

    /// <summary>
    /// Copies one row of inputs to the host as F32, rounded as the kernels round what they multiply, behind every operation so far.
    /// </summary>
    void Read(InputRows row, Span<float> values);

    /// <summary>
    /// Bytes a second that memory gives at best, measured now over about so many: a read by all cores, or on a device a copy, both ways
    /// counted.
    /// </summary>
    double MeasureBandwidth(long bytes) => Cpu.ReadLoop.BytesPerSecond(bytes);

    /// <summary>Most rows of a pass that are worth their memory.</summary>
    /// <param name="bytesPerRow">What a model keeps of a row during a pass.</param>
    int WidestPass(long bytesPerRow) => 256;

    /// <summary>A matrix as these kernels will hold it, without memory yet.</summary>
    /// <param name="scaled">Some of what will be packed into it has a <see cref="StoredTensor.Scale"/>.</param>
    WeightMatrix Describe(WeightFormat format, int outputs, int inputs, bool scaled = false);

    /// <summary>The first outputs of a matrix, in the matrix's own memory: to be read once that has been packed.</summary>
    /// <param name="outputs">A multiple of 16.</param>
    /// <returns>Null: these kernels cannot.</returns>
    WeightMatrix? Leading(WeightMatrix matrix, int outputs) => null;

    /// <summary>
    /// Has a matrix that has not been placed stay in its file: <see cref="Pack"/> will only remember where its rows are, and a product
    /// brings them into these kernels' layout as it reads them, to the same bits. What holds the rows must then outlive the matrix.
    /// </summary>
    /// <returns>False: these kernels cannot.</returns>
    bool TryMap(WeightMatrix matrix) => false;

    /// <summary>
    /// Brings weights, which lie in host memory, into a matrix that has been placed. By all threads.
    /// </summary>
    /// <param name="parts">Their rows, one below the other, are the matrix's; all of its format.</param>
    void Pack(WeightMatrix matrix, params ReadOnlySpan<MatrixPart> parts);

    /// <summary>Room for inputs of products.</summary>
    /// <param name="readers">The formats of all weights that will read them.</param>
    ProductInput CreateInput(int maxRows, int columns, IReadOnlyCollection<WeightFormat> readers);

    /// <summary>The types in which keys and values can be kept.</summary>
    IReadOnlyList<CacheType> CacheTypes { get; }

    /// <summary>
    /// Memory for the keys and values of <paramref name="slots"/> slots (a multiple of 16), in the layout of these kernels, which
    /// <paramref name="layers"/> then describe. It is taken as slots are first written: see <see cref="MemoryBlock.Reach"/>.
    /// </summary>
    MemoryBlock AllocateCache(Span<KvLayer> layers, ReadOnlySpan<KvShape> shapes, CacheType type, int slots);

    /// <summary>
    /// Moves keys and values of slots <c>from[0..]</c> (ascending, each at or above its destination) to slots <c>to, to + 1, ...</c>, in
    /// all layers of a cache.
    /// </summary>
    void MoveSlots(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to);

    /// <summary>Copies slots <c>0 .. count</c> of one cache to another of the same shape (the number of slots may differ).</summary>
    void CopySlots(ReadOnlySpan<KvLayer> source, ReadOnlySpan<KvLayer> destination, int count);
}

/// <summary>The frame of a forward pass.</summary>
public interface IKernelPass
{
    /// <summary>
    /// Begins a forward pass: the operations up to <see cref="EndPass"/> are all of one batch and one cache. A set may keep what it is
    /// told once and run it again for a later pass of the same <paramref name="model"/> and shape.
    /// </summary>
    /// <param name="cache">The layers of the cache.</param>
    /// <returns>False: the pass is under way already, and its operations must not be called.</returns>
    bool BeginPass(object model, ForwardBatch batch, ReadOnlySpan<KvLayer> cache) => true;

    void EndPass()
    {
    }

    /// <summary>Waits until the operations so far have ended: they may run behind the caller. What reads results waits by itself.</summary>
    void Finish()
    {
    }
}
