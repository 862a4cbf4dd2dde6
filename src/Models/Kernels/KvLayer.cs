namespace Understory.Models.Kernels;

/// <summary>What one layer keeps of a token: keys and values of so many heads of so many dimensions.</summary>
public readonly record struct KvShape(int KvHeads, int HeadDim)
{
    /// <summary>Bytes of the keys of so many slots, and as many of the values.</summary>
    public long Bytes(CacheType type, int slots) => (long)KvHeads * type.Bytes(HeadDim) * slots;
}

/// <summary>
/// Keys and values of one layer, rounded to <c>Type</c> before any row reads them. The layout is the kernel set's own
/// (<c>Cpu.CacheLayout</c>, <c>Cuda.CudaCache</c>); every one of them goes in blocks of 16 slots.
/// </summary>
/// <param name="Slots">A multiple of 16.</param>
/// <param name="Keys">The first key's first byte.</param>
/// <param name="Values">The first value's.</param>
/// <param name="BlockStride">Bytes from one block of slots to the next, where all layers' blocks stand together; else 0.</param>
public readonly record struct KvLayer(CacheType Type, int KvHeads, int HeadDim, int Slots, nint Keys, nint Values, long BlockStride = 0)
{
    public const int BlockSlots = 16;
}
