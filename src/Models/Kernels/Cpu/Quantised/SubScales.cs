using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>How many scales (or mins) of 8 bits there are in a block of 32 inputs, and how they lie.</summary>
internal unsafe interface ISubScales
{
    /// <summary>0, 1 or 2; -1 where there is nothing to scale at all (no mins).</summary>
    static abstract int PerBlock { get; }

    /// <summary>As the words <c>(s0, s1)</c> of each lane, or <c>(s, s)</c> where there is one; ones where there is none.</summary>
    /// <param name="scales">The block's: 16 or 32 bytes, one or two per output.</param>
    /// <param name="output">First output of the vector.</param>
    static abstract T Load<T>(sbyte* scales, int output)
        where T : unmanaged, IQuads<T>;
}

internal readonly unsafe struct NoSubScale : ISubScales
{
    public static int PerBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(sbyte* scales, int output)
        where T : unmanaged, IQuads<T> => T.Words(1);
}

internal readonly unsafe struct OneSubScale : ISubScales
{
    public static int PerBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(sbyte* scales, int output)
        where T : unmanaged, IQuads<T> => T.LoadTwice(scales + output);
}

internal readonly unsafe struct TwoSubScales : ISubScales
{
    public static int PerBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(sbyte* scales, int output)
        where T : unmanaged, IQuads<T> => T.LoadPairs(scales + (2 * output));
}

/// <summary>Two scales of 4 bits, unsigned, each with its min in the upper nibble.</summary>
internal readonly unsafe struct LowNibbles : ISubScales
{
    public static int PerBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(sbyte* scales, int output)
        where T : unmanaged, IQuads<T> => T.LoadPairs(scales + (2 * output)) & T.Words(15);
}

/// <summary>The mins beside <see cref="LowNibbles"/>.</summary>
internal readonly unsafe struct HighNibbles : ISubScales
{
    public static int PerBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(sbyte* scales, int output)
        where T : unmanaged, IQuads<T> => T.ShiftRight(T.LoadPairs(scales + (2 * output)), 4) & T.Words(15);
}

/// <summary>The mins of forms that have none.</summary>
internal readonly unsafe struct NoMin : ISubScales
{
    public static int PerBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(sbyte* scales, int output)
        where T : unmanaged, IQuads<T> => default;
}

/// <summary>Sub-scales of sums that are integers already.</summary>
internal static unsafe class SubScales<T, TScales>
    where T : unmanaged, IQuads<T>
    where TScales : struct, ISubScales
{
    /// <summary>The scales of the first and the second 16 inputs, as integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ints(sbyte* scales, int output, out T first, out T second)
    {
        // The words (s0, s1) times (1, 0) and (0, 1).
        T pairs = TScales.PerBlock > 0 ? TScales.Load<T>(scales, output) : default;
        first = TScales.PerBlock > 0 ? T.MultiplyWords(pairs, T.Ints(1)) : default;
        second = TScales.PerBlock == 2 ? T.MultiplyWords(pairs, T.Ints(1 << 16)) : default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply(T first, T second, T firstScale, T secondScale) => TScales.PerBlock switch
    {
        0 => T.AddInts(first, second),
        1 => T.MultiplyInts(T.AddInts(first, second), firstScale),
        _ => T.AddInts(T.MultiplyInts(first, firstScale), T.MultiplyInts(second, secondScale)),
    };
}
