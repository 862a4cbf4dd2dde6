using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Vectors;

/// <summary>
/// How a pair of inputs of 16 outputs becomes two times sixteen floats. Packed weights have the pair in one place (see <see
/// cref="WeightMatrix"/>), keys and values (see <see cref="KvLayer"/>) have one input after the other.
/// </summary>
internal unsafe interface IWeightType
{
    /// <summary>Bytes of one pair of inputs.</summary>
    static abstract int PairBytes { get; }

    /// <summary>In front of every 32 inputs stand 16 scales, one for each output (see <see cref="ByteScales"/>).</summary>
    static virtual bool Scaled => false;

    /// <param name="oddStride">Bytes from the even to the odd input, for values only.</param>
    static abstract void Decode<T>(byte* pair, nint oddStride, out T even, out T odd)
        where T : unmanaged, ILanes<T>;
}

/// <summary>The upper half of a float.</summary>
internal readonly unsafe struct BFloat16Weights : IWeightType
{
    public static int PairBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 64;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Decode<T>(byte* pair, nint oddStride, out T even, out T odd)
        where T : unmanaged, ILanes<T>
    {
        T both = T.Load((float*)pair);
        even = both << 16;
        odd = both & T.BroadcastBits(0xFFFF0000);
    }
}

internal readonly unsafe struct Float16Weights : IWeightType
{
    public static int PairBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 64;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Decode<T>(byte* pair, nint oddStride, out T even, out T odd)
        where T : unmanaged, ILanes<T>
    {
        T both = T.Load((float*)pair);
        even = Expand(both << 16);
        odd = Expand(both & T.BroadcastBits(0xFFFF0000));
    }

    /// <summary>
    /// The float16 in the upper half of each lane, as a float. Exponent and mantissa are moved to their places and the exponent's bias is
    /// made up for by a multiplication, exact for subnormals too. Infinity and NaN, which no weight is, become 65536 and above.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Expand<T>(T upper)
        where T : unmanaged, ILanes<T>
    {
        T magnitude = ((upper & T.BroadcastBits(0x7FFF0000)) >>> 3) * T.BroadcastBits((127 + 112) << 23);
        return magnitude | (upper & T.BroadcastBits(0x80000000));
    }
}

internal readonly unsafe struct Float32Weights : IWeightType
{
    public static int PairBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 128;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Decode<T>(byte* pair, nint oddStride, out T even, out T odd)
        where T : unmanaged, ILanes<T>
    {
        even = T.Load((float*)pair);
        odd = T.Load((float*)pair + 16);
    }
}
