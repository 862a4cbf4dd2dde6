using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>
/// Where the CPU sets keep keys and values, in elements: keys <c>[KvHeads, Slots / 16, HeadDim, 16]</c> (16 slots side by side: one vector of scores per
/// dimension), values <c>[KvHeads, Slots, HeadDim]</c>.
/// </summary>
internal static unsafe class CacheLayout
{
    private const int Alignment = 64;

    /// <summary>Memory for layers one behind the other, keys before values.</summary>
    public static MemoryBlock Allocate(Span<KvLayer> layers, ReadOnlySpan<KvShape> shapes, DType type, int slots)
    {
        long bytes = 0;
        foreach (KvShape shape in shapes)
        {
            bytes += 2 * Aligned(shape, type, slots);
        }

        var block = new NativeMemoryBlock(bytes, sparse: true);
        nint keys = block.Address;
        for (int i = 0; i < layers.Length; i++)
        {
            nint values = keys + (nint)Aligned(shapes[i], type, slots);
            layers[i] = new KvLayer(type, shapes[i].KvHeads, shapes[i].HeadDim, slots, keys, values);
            keys = values + (nint)Aligned(shapes[i], type, slots);
        }

        return block;
    }

    /// <summary>Where a key's element is, from <see cref="KvLayer.Keys"/>.</summary>
    public static long KeyIndex(in KvLayer layer, int kvHead, int slot, int dim) =>
        ((((long)kvHead * (layer.Slots / KvLayer.BlockSlots)) + (slot / KvLayer.BlockSlots)) * layer.HeadDim * KvLayer.BlockSlots)
        + ((long)dim * KvLayer.BlockSlots) + (slot % KvLayer.BlockSlots);

    /// <summary>Where a value's element is, from <see cref="KvLayer.Values"/>.</summary>
    public static long ValueIndex(in KvLayer layer, int kvHead, int slot, int dim) =>
        ((((long)kvHead * layer.Slots) + slot) * layer.HeadDim) + dim;

    public static void MoveSlots(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to)
    {
        foreach (ref readonly KvLayer layer in layers)
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

    public static void CopySlots(ReadOnlySpan<KvLayer> source, ReadOnlySpan<KvLayer> destination, int count)
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

    private static long Aligned(KvShape shape, DType type, int slots) => (shape.Bytes(type, slots) + Alignment - 1) / Alignment * Alignment;

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
                    CopyKey(keys + KeyIndex(layer, head, from[i], 0), keys + KeyIndex(layer, head, to + i, 0), layer.HeadDim);
                    Copy(values + ValueIndex(layer, head, from[i], 0), values + ValueIndex(layer, head, to + i, 0), layer.HeadDim);
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
            Copy((T*)source.Keys + KeyIndex(source, head, 0, 0), (T*)destination.Keys + KeyIndex(destination, head, 0, 0), whole * source.HeadDim);
            for (int slot = whole; slot < count; slot++)
            {
                CopyKey(
                    (T*)source.Keys + KeyIndex(source, head, slot, 0),
                    (T*)destination.Keys + KeyIndex(destination, head, slot, 0), source.HeadDim);
            }

            Copy((T*)source.Values + ValueIndex(source, head, 0, 0), (T*)destination.Values + ValueIndex(destination, head, 0, 0), count * source.HeadDim);
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
