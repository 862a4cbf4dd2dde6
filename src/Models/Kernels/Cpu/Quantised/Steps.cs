using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>The weights of 32 inputs of the outputs of one vector.</summary>
/// <param name="layout">Of the matrix.</param>
/// <param name="codes">The first line of codes, at the vector's first output.</param>
/// <param name="subScales">Of the 32 inputs of the block of 16 outputs.</param>
/// <param name="subMins">Of the 32 inputs of the block of 16 outputs.</param>
/// <param name="wide">d at the vector's first output; 16 floats further dmin, or the second d of wide blocks of 16 inputs.</param>
/// <param name="output">The vector's first output in the block.</param>
internal readonly unsafe struct StepWeights(QuantisedLayout layout, byte* codes, sbyte* subScales, sbyte* subMins, float* wide, int output)
{
    public readonly QuantisedLayout Layout = layout;
    public readonly byte* Codes = codes;
    public readonly sbyte* SubScales = subScales;
    public readonly sbyte* SubMins = subMins;
    public readonly float* Wide = wide;
    public readonly int Output = output;
}

/// <summary>32 inputs of some rows, and the rows' sums.</summary>
/// <param name="records">Of the first row, see <see cref="QuantisedInput"/>.</param>
/// <param name="words">Of the first row.</param>
/// <param name="sums">Of the first row, at the vector's first output; 16 floats further the next row's.</param>
internal readonly unsafe struct StepRows(byte* records, byte* words, int count, float* sums)
{
    public readonly byte* Records = records;
    public readonly byte* Words = words;
    public readonly int Count = count;
    public readonly float* Sums = sums;
}

/// <summary>Adds what 32 inputs of some rows give to the sums of one vector's outputs.</summary>
internal interface IStep
{
    /// <summary>Lines of codes of 32 inputs.</summary>
    static abstract int Lines { get; }

    static abstract void Run<T>(in StepWeights weights, in StepRows rows)
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
