using System.Runtime.CompilerServices;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Vectors;

/// <summary>How sixteen neighbouring elements of the KV cache are read and written.</summary>
internal unsafe interface ICacheType
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Bytes { get; }

    /// <summary>Elements stand for multiples of the scale of their slot and dimensions: see <see cref="ByteScales"/>.</summary>
    static virtual bool Scaled => false;

    static abstract T Load<T>(byte* source)
        where T : unmanaged, ILanes<T>;

    /// <summary>Rounds to the nearest, ties to even.</summary>
    static abstract void Store<T>(T value, byte* target)
        where T : unmanaged, ILanes<T>;
}

internal readonly unsafe struct BFloat16Cache : ICacheType
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, ILanes<T> => T.LoadWidened((ushort*)source) << 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(T value, byte* target)
        where T : unmanaged, ILanes<T>
    {
        T upper = value >>> 16;
        T rounded = T.AddBits(T.AddBits(value, T.BroadcastBits(0x7FFF)), upper & T.BroadcastBits(1)) >>> 16;
        T.Select(T.GreaterOrEqual(value, value), rounded, upper | T.BroadcastBits(0x40)).StoreNarrowed((ushort*)target);
    }
}

internal readonly unsafe struct Float16Cache : ICacheType
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, ILanes<T> => Float16Weights.Expand(T.LoadWidened((ushort*)source) << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(T value, byte* target)
        where T : unmanaged, ILanes<T>
    {
        T magnitude = value & T.BroadcastBits(0x7FFFFFFF);
        T odd = (magnitude >>> 13) & T.BroadcastBits(1);
        T normal = T.SubtractBits(T.AddBits(T.AddBits(magnitude, T.BroadcastBits(0xFFF)), odd), T.BroadcastBits(112 << 23)) >>> 13;
        // Below 2^-14 adding 1/2 leaves the value in units of 2^-24, rounded, in the low bits.
        T subnormal = T.SubtractBits(magnitude + T.Broadcast(0.5f), T.Broadcast(0.5f));
        T rounded = T.Select(T.Greater(T.Broadcast(6.103515625e-5f), magnitude), subnormal, normal);
        rounded = T.Select(T.GreaterOrEqual(magnitude, T.Broadcast(65520)), T.BroadcastBits(0x7C00), rounded);
        rounded = T.Select(T.GreaterOrEqual(value, value), rounded, T.BroadcastBits(0x7E00));
        (rounded | ((value & T.BroadcastBits(0x80000000)) >>> 16)).StoreNarrowed((ushort*)target);
    }
}

internal readonly unsafe struct Float32Cache : ICacheType
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, ILanes<T> => T.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(T value, byte* target)
        where T : unmanaged, ILanes<T> => value.Store((float*)target);
}

/// <summary>Signed bytes.</summary>
internal readonly unsafe struct ByteCache : ICacheType
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    public static bool Scaled
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, ILanes<T> => T.ToFloat(T.LoadSigned((sbyte*)source));

    /// <summary>Rounds to the nearest, ties to even, at most 127 either way.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(T value, byte* target)
        where T : unmanaged, ILanes<T>
    {
        ushort* words = stackalloc ushort[KvLayer.BlockSlots];
        T clamped = T.Max(T.Min(value, T.Broadcast(sbyte.MaxValue)), T.Broadcast(-sbyte.MaxValue));
        (clamped + T.Broadcast(VectorMath.RoundToInteger)).StoreNarrowed(words);
        for (int i = 0; i < KvLayer.BlockSlots; i++)
        {
            target[i] = (byte)words[i];
        }
    }
}

/// <summary>The scales of <see cref="CacheType.Q8"/>.</summary>
internal static unsafe class ByteScales
{
    /// <summary>NaN with its sign set, of which <see cref="Load"/> makes NaN again.</summary>
    private const ushort NaN = 0xFE00;

    /// <summary><c>d = max |x| / 127</c> in F16; NaN where that is not finite.</summary>
    /// <param name="count">Numbers, at most 32.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort Of<T>(float* x, int count)
        where T : unmanaged, ILanes<T>
    {
        T largest = default;
        T finite = T.BroadcastBits(uint.MaxValue);
        for (int i = 0; i < count; i += KvLayer.BlockSlots)
        {
            T magnitude = VectorMath.Load<T>(x + i, Math.Min(KvLayer.BlockSlots, count - i)) & T.BroadcastBits(0x7FFFFFFF);
            largest = T.Max(largest, magnitude);
            finite &= T.Greater(T.Broadcast(float.PositiveInfinity), magnitude);
        }

        var scale = (Half)(largest.Largest() / sbyte.MaxValue);
        return finite.TopBits() == ushort.MaxValue && Half.IsFinite(scale) ? BitConverter.HalfToUInt16Bits(scale) : NaN;
    }

    /// <summary>What to divide by: <c>d</c>, or infinity where every byte is to be 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Divisor(ushort scale) => scale is 0 or NaN ? float.PositiveInfinity : Scalar.FromFloat16(scale);

    /// <summary>
    /// Sixteen scales. Exponent and mantissa are moved to their places and the exponent's bias is made up for by a multiplication, exact
    /// for subnormals too; the sign of NaN fills the bits above and makes it a NaN again. (No other scale has a sign.)
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, ILanes<T> => (T.LoadSigned((short*)source) << 13) * T.BroadcastBits((127 + 112) << 23);
}

/// <summary>A block of keys: the 16 slots of one dimension after those of the one before.</summary>
internal readonly unsafe struct Keys<TCache> : IWeightType
    where TCache : struct, ICacheType
{
    public static bool Scaled => TCache.Scaled;

    public static int PairBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * KvLayer.BlockSlots * TCache.Bytes;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Decode<T>(byte* pair, nint oddStride, out T even, out T odd)
        where T : unmanaged, ILanes<T>
    {
        even = TCache.Load<T>(pair);
        odd = TCache.Load<T>(pair + (KvLayer.BlockSlots * TCache.Bytes));
    }
}

/// <summary>Sixteen dimensions of the values of two slots.</summary>
internal readonly unsafe struct Values<TCache> : IWeightType
    where TCache : struct, ICacheType
{
    public static int PairBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Decode<T>(byte* pair, nint oddStride, out T even, out T odd)
        where T : unmanaged, ILanes<T>
    {
        even = TCache.Load<T>(pair);
        odd = TCache.Load<T>(pair + oddStride);
    }
}
