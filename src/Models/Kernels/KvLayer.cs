using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>
/// Keys and values of one layer. <c>Slots</c> is a multiple of 16. CPU layout:
/// keys <c>[KvHeads, Slots / 16, HeadDim, 16]</c> (16 slots side by side: one vector of scores per dimension),
/// values <c>[KvHeads, Slots, HeadDim]</c>. CUDA layout: blocks of 16 slots of all layers, <c>BlockStride</c> bytes apart; the first of a layer's
/// key blocks is at <c>Keys</c>, of its value blocks at <c>Values</c>, each <c>[KvHeads, 16, HeadDim]</c>. Both are rounded to <c>Type</c> before any row reads them.
/// </summary>
public readonly record struct KvLayer(DType Type, int KvHeads, int HeadDim, int Slots, nint Keys, nint Values, long BlockStride = 0)
{
    public const int BlockSlots = 16;

    /// <summary>Bytes of the keys, and as many of the values.</summary>
    public static long Bytes(DType type, int kvHeads, int headDim, int slots) => (long)kvHeads * headDim * slots * type.Size();
}
