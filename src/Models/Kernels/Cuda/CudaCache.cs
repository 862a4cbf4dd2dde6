using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>
/// Keys and values on the device: blocks of 16 slots of all layers, <c>KvLayer.BlockStride</c> bytes apart, so that memory grows with the
/// text. Within a block each layer has its keys <c>[KvHeads, 16, HeadDim]</c> and then its values, alike.
/// </summary>
internal static class CudaCache
{
    public static MemoryBlock Allocate(CudaDriver driver, Span<KvLayer> layers, ReadOnlySpan<KvShape> shapes, CacheType type, int slots)
    {
        // Its kernels read plain numbers.
        _ = type.Elements();
        long block = 0;
        foreach (KvShape shape in shapes)
        {
            block += 2 * shape.Bytes(type, KvLayer.BlockSlots);
        }

        var memory = new GrowingMemory(driver, block * (slots / KvLayer.BlockSlots));
        nint keys = memory.Address;
        for (int i = 0; i < layers.Length; i++)
        {
            nint part = (nint)shapes[i].Bytes(type, KvLayer.BlockSlots);
            layers[i] = new KvLayer(type, shapes[i].KvHeads, shapes[i].HeadDim, slots, keys, keys + part, block);
            keys += 2 * part;
        }

        return memory;
    }

    /// <summary>The first layers, as many as have heads of one size: what a launch can move at once.</summary>
    public static int Alike(ReadOnlySpan<KvLayer> layers)
    {
        int count = 1;
        while (count < layers.Length && layers[count].HeadDim == layers[0].HeadDim)
        {
            count++;
        }

        return count;
    }

    public static LayerArguments Describe(in KvLayer layer, nint data, nint cache) =>
        new() { Offset = data - cache, Block = layer.BlockStride, Heads = layer.KvHeads, Dims = layer.HeadDim };
}
