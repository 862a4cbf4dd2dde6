using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Vectors;

/// <summary>How sixteen neighbouring elements of the KV cache are read and written.</summary>
internal unsafe interface ICacheType
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Bytes { get; }

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

/// <summary>A block of keys: the 16 slots of one dimension after those of the one before.</summary>
internal readonly unsafe struct Keys<TCache> : IWeightType
    where TCache : struct, ICacheType
{
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
