using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>A type of wide scales, as floats; the form's factor is not in them yet. Infinity and NaN stay what they are.</summary>
internal unsafe interface IWideScale
{
    static abstract int Bytes { get; }

    /// <param name="source">Of the scale of the vector's first output; one follows the other.</param>
    static abstract T Load<T>(byte* source)
        where T : unmanaged, IQuads<T>;
}

internal readonly unsafe struct Float16Scale : IWideScale
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    /// <summary>
    /// Subnormal ones are common here; as subnormal floats they would be slow on some machines, as integers times 2^-24 they are not.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, IQuads<T>
    {
        T bits = T.LoadWords((ushort*)source);
        T magnitude = bits & T.Ints(0x7FFF);
        T subnormal = T.MultiplyFloats(T.ToFloats(magnitude), T.Floats(1f / (1 << 24)));
        T rebias = T.Ints((127 - 15) << 23);
        T normal = T.AddInts(T.ShiftLeftInts(magnitude, 13), rebias);
        normal = T.AddInts(normal, T.GreaterInts(magnitude, T.Ints(0x7BFF)) & rebias);
        return T.Select(T.GreaterInts(magnitude, T.Ints(0x3FF)), normal, subnormal) | T.ShiftLeftInts(bits & T.Ints(0x8000), 16);
    }
}

internal readonly unsafe struct BFloat16Scale : IWideScale
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, IQuads<T> => T.ShiftLeftInts(T.LoadWords((ushort*)source), 16);
}

internal readonly unsafe struct Float32Scale : IWideScale
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, IQuads<T> => T.Load(source);
}

internal readonly unsafe struct E8M0Scale : IWideScale
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, IQuads<T>
    {
        T bits = T.LoadBytes(source);
        T value = T.Select(T.GreaterInts(bits, T.Ints(0)), T.ShiftLeftInts(bits, 23), T.Ints(0x00400000));
        return T.Select(T.GreaterInts(bits, T.Ints(254)), T.Ints(0x7FC00000), value);
    }
}

internal readonly unsafe struct UE4M3Scale : IWideScale
{
    public static int Bytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(byte* source)
        where T : unmanaged, IQuads<T>
    {
        T bits = T.LoadBytes(source);
        T subnormal = T.MultiplyFloats(T.ToFloats(bits), T.Floats(1f / 512));
        T normal = T.AddInts(T.ShiftLeftInts(bits, 20), T.Ints(120 << 23));
        T value = T.Select(T.GreaterInts(bits, T.Ints(7)), normal, subnormal);
        T above = T.GreaterInts(bits, T.Ints(127));
        return T.Select(T.GreaterInts(bits, T.Ints(126)), T.Select(above, value, T.Ints(0x7FC00000)), value);
    }
}
