using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>
/// Where the CPU sets keep keys and values: of each head block after block of 16 slots, so that memory grows as slots are written.
/// <list type="bullet">
/// <item>A block of keys: for each 32 dimensions their scales <c>[16]</c>, if the type has any, and then the keys <c>[32, 16]</c> (16 slots
/// side by side: one vector of scores per dimension); without scales that is <c>[HeadDim, 16]</c>.</item>
/// <item>A block of values: all scales <c>[HeadDim / 32, 16]</c>, and then the values <c>[16, HeadDim]</c>.</item>
/// </list>
/// </summary>
internal static unsafe class CacheLayout
{
    private const int Alignment = 64;

    /// <summary>Memory for layers one behind the other, keys before values.</summary>
    public static MemoryBlock Allocate(Span<KvLayer> layers, ReadOnlySpan<KvShape> shapes, CacheType type, int slots)
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

    /// <summary>Bytes of a head's keys of 16 slots, and as many of its values.</summary>
    public static int BlockBytes(in KvLayer layer) => KvLayer.BlockSlots * layer.Type.Bytes(layer.HeadDim);

    /// <summary>Bytes of one element.</summary>
    public static int ElementBytes(CacheType type) => type == CacheType.Q8 ? 1 : type.Elements().Size();

    /// <summary>Bytes of the 16 slots' scales of the same dimensions; 0: the type has none.</summary>
    public static int ScaleBytes(CacheType type) => type == CacheType.Q8 ? KvLayer.BlockSlots * sizeof(ushort) : 0;

    /// <summary>Where a head's keys of slot <c>16 block</c> and the next begin.</summary>
    public static byte* KeyBlock(in KvLayer layer, int kvHead, int block) => (byte*)layer.Keys + BlockOffset(layer, kvHead, block);

    /// <inheritdoc cref="KeyBlock"/>
    public static byte* ValueBlock(in KvLayer layer, int kvHead, int block) => (byte*)layer.Values + BlockOffset(layer, kvHead, block);

    /// <summary>One element of a key.</summary>
    public static byte* Key(in KvLayer layer, int kvHead, int slot, int dim) =>
        KeyBlock(layer, kvHead, slot / KvLayer.BlockSlots) + (((dim / CacheTypes.ScaledDims) + 1) * ScaleBytes(layer.Type))
        + (((dim * KvLayer.BlockSlots) + (slot % KvLayer.BlockSlots)) * ElementBytes(layer.Type));

    /// <summary>Its scale.</summary>
    public static ushort* KeyScale(in KvLayer layer, int kvHead, int slot, int dim) =>
        (ushort*)Key(layer, kvHead, slot / KvLayer.BlockSlots * KvLayer.BlockSlots, dim / CacheTypes.ScaledDims * CacheTypes.ScaledDims)
        - KvLayer.BlockSlots + (slot % KvLayer.BlockSlots);

    /// <summary>One element of a value.</summary>
    public static byte* Value(in KvLayer layer, int kvHead, int slot, int dim) =>
        ValueBlock(layer, kvHead, slot / KvLayer.BlockSlots) + (layer.Type.Scales(layer.HeadDim) * ScaleBytes(layer.Type))
        + (((slot % KvLayer.BlockSlots * layer.HeadDim) + dim) * ElementBytes(layer.Type));

    /// <summary>Its scale.</summary>
    public static ushort* ValueScale(in KvLayer layer, int kvHead, int slot, int dim) =>
        (ushort*)ValueBlock(layer, kvHead, slot / KvLayer.BlockSlots)
        + (dim / CacheTypes.ScaledDims * KvLayer.BlockSlots) + (slot % KvLayer.BlockSlots);

    public static void MoveSlots(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to)
    {
        foreach (ref readonly KvLayer layer in layers)
        {
            for (int head = 0; head < layer.KvHeads; head++)
            {
                for (int i = 0; i < from.Length; i++)
                {
                    if (from[i] != to + i)
                    {
                        CopySlot(layer, from[i], layer, to + i, head);
                    }
                }
            }
        }
    }

    public static void CopySlots(ReadOnlySpan<KvLayer> source, ReadOnlySpan<KvLayer> destination, int count)
    {
        int blocks = count / KvLayer.BlockSlots;
        for (int i = 0; i < source.Length; i++)
        {
            KvLayer from = source[i];
            KvLayer to = destination[i];
            ArgumentOutOfRangeException.ThrowIfGreaterThan(count, from.Slots);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(count, to.Slots);
            long bytes = (long)blocks * BlockBytes(from);
            for (int head = 0; head < from.KvHeads; head++)
            {
                Buffer.MemoryCopy(KeyBlock(from, head, 0), KeyBlock(to, head, 0), bytes, bytes);
                Buffer.MemoryCopy(ValueBlock(from, head, 0), ValueBlock(to, head, 0), bytes, bytes);
                for (int slot = blocks * KvLayer.BlockSlots; slot < count; slot++)
                {
                    CopySlot(from, slot, to, slot, head);
                }
            }
        }
    }

    /// <summary>One slot's key and value of one head, with their scales.</summary>
    private static void CopySlot(in KvLayer from, int slot, in KvLayer to, int target, int head)
    {
        for (int dim = 0; dim < from.HeadDim; dim += CacheTypes.ScaledDims)
        {
            int dims = Math.Min(CacheTypes.ScaledDims, from.HeadDim - dim);
            byte* key = Key(from, head, slot, dim);
            byte* targetKey = Key(to, head, target, dim);
            switch (ElementBytes(from.Type))
            {
                case 1:
                    CopyKey(key, targetKey, dims);
                    break;
                case 2:
                    CopyKey((ushort*)key, (ushort*)targetKey, dims);
                    break;
                default:
                    CopyKey((uint*)key, (uint*)targetKey, dims);
                    break;
            }

            if (ScaleBytes(from.Type) > 0)
            {
                *KeyScale(to, head, target, dim) = *KeyScale(from, head, slot, dim);
                *ValueScale(to, head, target, dim) = *ValueScale(from, head, slot, dim);
            }
        }

        long bytes = (long)from.HeadDim * ElementBytes(from.Type);
        Buffer.MemoryCopy(Value(from, head, slot, 0), Value(to, head, target, 0), bytes, bytes);
    }

    private static void CopyKey<T>(T* from, T* to, int dims)
        where T : unmanaged
    {
        for (int d = 0; d < dims; d++)
        {
            to[d * KvLayer.BlockSlots] = from[d * KvLayer.BlockSlots];
        }
    }

    private static long BlockOffset(in KvLayer layer, int kvHead, int block) =>
        (((long)kvHead * (layer.Slots / KvLayer.BlockSlots)) + block) * BlockBytes(layer);

    private static long Aligned(KvShape shape, CacheType type, int slots) =>
        (shape.Bytes(type, slots) + Alignment - 1) / Alignment * Alignment;
}
