using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Vectors;

/// <summary>Two narrower values side by side: sixteen lanes on a machine with 256-bit registers, or, twice, with 128-bit ones.</summary>
internal readonly unsafe struct Twice<T>(T lower, T upper) : ILanes<Twice<T>>
    where T : unmanaged, ILanes<T>
{
    private readonly T _lower = lower;
    private readonly T _upper = upper;

    public static int Width
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * T.Width;
    }

    public static bool ManyRegisters
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => T.ManyRegisters;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Broadcast(float value) => new(T.Broadcast(value), T.Broadcast(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> BroadcastBits(uint bits) => new(T.BroadcastBits(bits), T.BroadcastBits(bits));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Count(uint first) => new(T.Count(first), T.Count(first + (uint)T.Width));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Load(float* source) => new(T.Load(source), T.Load(source + T.Width));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> LoadWidened(ushort* source) => new(T.LoadWidened(source), T.LoadWidened(source + T.Width));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> LoadSigned(sbyte* source) => new(T.LoadSigned(source), T.LoadSigned(source + T.Width));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> LoadSigned(short* source) => new(T.LoadSigned(source), T.LoadSigned(source + T.Width));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* target)
    {
        _lower.Store(target);
        _upper.Store(target + T.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreNarrowed(ushort* target)
    {
        _lower.StoreNarrowed(target);
        _upper.StoreNarrowed(target + T.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator +(Twice<T> a, Twice<T> b) => new(a._lower + b._lower, a._upper + b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator -(Twice<T> a, Twice<T> b) => new(a._lower - b._lower, a._upper - b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator *(Twice<T> a, Twice<T> b) => new(a._lower * b._lower, a._upper * b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator /(Twice<T> a, Twice<T> b) => new(a._lower / b._lower, a._upper / b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> MultiplyAdd(Twice<T> a, Twice<T> b, Twice<T> c) =>
        new(T.MultiplyAdd(a._lower, b._lower, c._lower), T.MultiplyAdd(a._upper, b._upper, c._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Max(Twice<T> a, Twice<T> b) => new(T.Max(a._lower, b._lower), T.Max(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Min(Twice<T> a, Twice<T> b) => new(T.Min(a._lower, b._lower), T.Min(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Greater(Twice<T> a, Twice<T> b) => new(T.Greater(a._lower, b._lower), T.Greater(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> GreaterOrEqual(Twice<T> a, Twice<T> b) =>
        new(T.GreaterOrEqual(a._lower, b._lower), T.GreaterOrEqual(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Select(Twice<T> mask, Twice<T> a, Twice<T> b) =>
        new(T.Select(mask._lower, a._lower, b._lower), T.Select(mask._upper, a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator &(Twice<T> a, Twice<T> b) => new(a._lower & b._lower, a._upper & b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator |(Twice<T> a, Twice<T> b) => new(a._lower | b._lower, a._upper | b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator ^(Twice<T> a, Twice<T> b) => new(a._lower ^ b._lower, a._upper ^ b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator <<(Twice<T> a, int count) => new(a._lower << count, a._upper << count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator >>>(Twice<T> a, int count) => new(a._lower >>> count, a._upper >>> count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> AddBits(Twice<T> a, Twice<T> b) => new(T.AddBits(a._lower, b._lower), T.AddBits(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> SubtractBits(Twice<T> a, Twice<T> b) =>
        new(T.SubtractBits(a._lower, b._lower), T.SubtractBits(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> ToFloat(Twice<T> bits) => new(T.ToFloat(bits._lower), T.ToFloat(bits._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyWide(Twice<T> a, uint factor, out Twice<T> low, out Twice<T> high)
    {
        T.MultiplyWide(a._lower, factor, out T lowerLow, out T lowerHigh);
        T.MultiplyWide(a._upper, factor, out T upperLow, out T upperHigh);
        low = new(lowerLow, upperLow);
        high = new(lowerHigh, upperHigh);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Sum() => (_lower + _upper).Sum();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Largest() => T.Max(_lower, _upper).Largest();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint TopBits() => _lower.TopBits() | (_upper.TopBits() << T.Width);
}
