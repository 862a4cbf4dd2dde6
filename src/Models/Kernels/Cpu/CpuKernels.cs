using System.Runtime.CompilerServices;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>
/// What all CPU sets share: one weight layout (<see cref="WeightMatrix"/>), one cache layout (<see cref="KvLayer"/>), and the operations that only move bytes.
/// </summary>
internal abstract unsafe class CpuKernels : IKernels
{
    public abstract string Name { get; }

    public MemoryBlock Allocate(long bytes, bool sparse) => new NativeMemoryBlock(bytes, sparse);

    public MemoryBlock AllocateCache(Span<KvLayer> layers, DType type, int kvHeads, int headDim, int slots)
    {
        const int Alignment = 64;
        long bytes = (KvLayer.Bytes(type, kvHeads, headDim, slots) + Alignment - 1) / Alignment * Alignment;
        MemoryBlock block = Allocate(2 * bytes * layers.Length, sparse: true);
        for (int i = 0; i < layers.Length; i++)
        {
            nint keys = block.Address + (nint)(2 * bytes * i);
            layers[i] = new KvLayer(type, kvHeads, headDim, slots, keys, keys + (nint)bytes);
        }

        return block;
    }

    public long PackedBytes(DType type, int outputs, int inputs) => WeightMatrix.PackedBytes(type, outputs, inputs);

    public WeightMatrix Pack(Tensor rows, bool transposed, MemoryBlock target, long offset)
    {
        (int outputs, int inputs) = transposed ? (rows.Columns, rows.Rows) : (rows.Rows, rows.Columns);
        long bytes = PackedBytes(rows.Type, outputs, inputs);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + bytes, target.Bytes);
        if (offset % 64 != 0)
        {
            throw new ArgumentException($"A packed matrix must begin at a multiple of 64 bytes, not at {offset}.", nameof(offset));
        }

        WeightMatrix packed = new(rows.Type, outputs, inputs, target.Address + (nint)offset, bytes);
        long outputStride = transposed ? 1 : rows.Stride;
        long inputStride = transposed ? rows.Stride : 1;
        if (rows.Type == DType.F32)
        {
            Parallel.For(0, packed.Blocks, block => PackBlock<uint>(packed, block, rows.Data, outputStride, inputStride, together: 1));
        }
        else
        {
            Parallel.For(0, packed.Blocks, block => PackBlock<ushort>(packed, block, rows.Data, outputStride, inputStride, together: 2));
        }

        return packed;
    }

    public abstract void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output);

    public abstract void LayerNorm(Tensor x, Tensor weight, Tensor bias, float epsilon, Tensor output);

    public abstract void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor output);

    public abstract void MatMul(WeightMatrix weights, Tensor x, Tensor y, in Epilogue epilogue);

    public abstract void GatedMatMul(WeightMatrix gate, WeightMatrix up, Tensor x, Tensor y, Activation activation);

    public abstract void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch);

    public abstract void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output);

    public abstract void Decide(Tensor logits, DecisionBatch decision);

    public void MoveSlots(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to)
    {
        foreach (KvLayer layer in layers)
        {
            if (layer.Type == DType.F32)
            {
                MoveSlots<uint>(layer, from, to);
            }
            else
            {
                MoveSlots<ushort>(layer, from, to);
            }
        }
    }

    public void CopySlots(ReadOnlySpan<KvLayer> source, ReadOnlySpan<KvLayer> destination, int count)
    {
        for (int i = 0; i < source.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(count, source[i].Slots);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(count, destination[i].Slots);
            if (source[i].Type == DType.F32)
            {
                CopySlots<uint>(source[i], destination[i], count);
            }
            else
            {
                CopySlots<ushort>(source[i], destination[i], count);
            }
        }
    }

    public virtual void Dispose() => GC.SuppressFinalize(this);

    /// <param name="together">Inputs that lie side by side for each output: 2 of a 16-bit type, 1 of F32.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackBlock<T>(WeightMatrix packed, int block, nint rows, long outputStride, long inputStride, int together)
        where T : unmanaged
    {
        T* target = (T*)(packed.Data + (nint)(block * packed.BlockBytes));
        int first = block * WeightMatrix.BlockRows;
        int lanes = Math.Min(WeightMatrix.BlockRows, packed.Rows - first);
        T* source = (T*)rows + (first * outputStride);
        for (int input = 0; input < packed.PaddedColumns; input += together)
        {
            int inputs = Math.Min(together, packed.Columns - input);
            for (int lane = 0; lane < WeightMatrix.BlockRows; lane++)
            {
                for (int i = 0; i < together; i++)
                {
                    *target++ = lane < lanes && i < inputs ? source[(lane * outputStride) + ((input + i) * inputStride)] : default;
                }
            }
        }
    }

    private static void MoveSlots<T>(in KvLayer layer, ReadOnlySpan<int> from, int to)
        where T : unmanaged
    {
        T* keys = (T*)layer.Keys;
        T* values = (T*)layer.Values;
        for (int head = 0; head < layer.KvHeads; head++)
        {
            for (int i = 0; i < from.Length; i++)
            {
                if (from[i] != to + i)
                {
                    CopyKey(keys + Elements.KeyIndex(layer, head, from[i], 0), keys + Elements.KeyIndex(layer, head, to + i, 0), layer.HeadDim);
                    Copy(values + Elements.ValueIndex(layer, head, from[i], 0), values + Elements.ValueIndex(layer, head, to + i, 0), layer.HeadDim);
                }
            }
        }
    }

    private static void CopySlots<T>(in KvLayer source, in KvLayer destination, int count)
        where T : unmanaged
    {
        int whole = count / KvLayer.BlockSlots * KvLayer.BlockSlots;
        for (int head = 0; head < source.KvHeads; head++)
        {
            Copy((T*)source.Keys + Elements.KeyIndex(source, head, 0, 0), (T*)destination.Keys + Elements.KeyIndex(destination, head, 0, 0), whole * source.HeadDim);
            for (int slot = whole; slot < count; slot++)
            {
                CopyKey(
                    (T*)source.Keys + Elements.KeyIndex(source, head, slot, 0),
                    (T*)destination.Keys + Elements.KeyIndex(destination, head, slot, 0), source.HeadDim);
            }

            Copy((T*)source.Values + Elements.ValueIndex(source, head, 0, 0), (T*)destination.Values + Elements.ValueIndex(destination, head, 0, 0), count * source.HeadDim);
        }
    }

    private static void Copy<T>(T* from, T* to, int elements)
        where T : unmanaged
    {
        long bytes = (long)elements * sizeof(T);
        Buffer.MemoryCopy(from, to, bytes, bytes);
    }

    private static void CopyKey<T>(T* from, T* to, int headDim)
        where T : unmanaged
    {
        for (int d = 0; d < headDim; d++)
        {
            to[d * KvLayer.BlockSlots] = from[d * KvLayer.BlockSlots];
        }
    }
}
