using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>32 inputs of the outputs of one vector, for some rows: the sums go on by what they add.</summary>
internal unsafe interface IStep
{
    /// <param name="records">Of the first row, see <see cref="QuantisedInput"/>.</param>
    /// <param name="words">Of the first row.</param>
    /// <param name="sums">Of the first row, at the vector's first output; 16 floats further the next row's.</param>
    static abstract void Run<T>(
        QuantisedLayout layout, byte* codes, sbyte* subScales, sbyte* subMins, float* wide, int output, byte* records, byte* words, int rows, float* sums)
        where T : unmanaged, IQuads<T>;
}

/// <summary>A number that is known when code is compiled.</summary>
internal interface INumber
{
    static abstract int Value { get; }
}

internal readonly struct Zero : INumber
{
    public static int Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 0;
    }
}

internal readonly struct One : INumber
{
    public static int Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }
}

internal readonly struct Two : INumber
{
    public static int Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }
}

internal readonly struct Four : INumber
{
    public static int Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }
}

internal readonly struct Eight : INumber
{
    public static int Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }
}
