using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>
/// Inputs of products with quantised weights, <c>[rows, columns]</c>: for each block of 32 inputs, and in it for each row, a record of
/// 32 signed bytes <c>q</c>, the sums of the first and of the last 16 of them as two 16-bit words, and the scale <c>s</c>;
/// <c>x = q s</c>, roughly. Behind the records lie the bytes once more as words, for 8-bit weights: of every four the first and third,
/// then of every four the second and fourth.
/// </summary>
/// <param name="data">Aligned to 64 bytes.</param>
/// <param name="columns">A multiple of 32.</param>
internal readonly unsafe struct QuantisedInput(nint data, int rows, int columns)
{
    /// <summary>Largest magnitude of a byte.</summary>
    public const int Largest = 127;

    /// <summary>Bytes of a record.</summary>
    public const int Record = 40;

    /// <summary>Where the sums lie in it.</summary>
    public const int Sums = 32;

    /// <summary>Where the scale lies in it.</summary>
    public const int Scale = 36;

    /// <summary>Bytes of a block's words.</summary>
    public const int WordRecord = 64;

    /// <summary>Smaller blocks are all zero: 2^-100.</summary>
    private const uint SmallestBits = (127 - 100) << 23;

    private const uint InfinityBits = 0x7F800000;

    public int Rows { get; } = rows;

    public int Columns { get; } = columns;

    /// <summary>Of the memory of such a matrix.</summary>
    public static long Bytes(int rows, int columns) =>
        RecordBytes(rows, columns) + ((long)rows * columns / QuantisedLayout.Inputs * WordRecord);

    /// <summary>The record of a row in the first block; the row's next one lies <see cref="BlockStride"/> further on.</summary>
    public byte* RecordsOf(int row) => (byte*)data + ((long)row * Record);

    /// <summary>From one block's records to the next one's.</summary>
    public nint BlockStride => (nint)Rows * Record;

    /// <summary>The words of a row in the first block; the row's next ones lie <see cref="WordStride"/> further on.</summary>
    public byte* WordsOf(int row) => (byte*)data + RecordBytes(Rows, Columns) + ((long)row * WordRecord);

    /// <inheritdoc cref="BlockStride"/>
    public nint WordStride => (nint)Rows * WordRecord;

    /// <summary>
    /// Of each 32 inputs, <c>a = max |x|</c>: <c>s = a / 127</c> and <c>q = x (127 / a)</c>, rounded to the nearest, ties to even.
    /// Below 2^-100 all is zero. Where an input is not finite, s is NaN, and so is every product with the row.
    /// </summary>
    public void Quantise(ReadOnlySpan<float> x, int row)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Length, Columns);
        fixed (float* values = x)
        {
            Quantise(values, row);
        }
    }

    /// <inheritdoc cref="Quantise(ReadOnlySpan{float}, int)"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Quantise(float* x, int row)
    {
        byte* record = RecordsOf(row);
        byte* words = WordsOf(row);
        for (int i = 0; i < Columns; i += QuantisedLayout.Inputs)
        {
            Quantise(x + i, record, words);
            record += BlockStride;
            words += WordStride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quantise(float* x, byte* record, byte* words)
    {
        uint largest = LargestBits(x);
        float scale = 0;
        float inverse = 0;
        if (largest >= InfinityBits)
        {
            scale = float.NaN;
        }
        else if (largest >= SmallestBits)
        {
            float a = BitConverter.UInt32BitsToSingle(largest);
            scale = a / Largest;
            inverse = Largest / a;
        }

        int first = Quantise16(x, inverse, (sbyte*)record, words, words + 32);
        int second = Quantise16(x + 16, inverse, (sbyte*)record + 16, words + 16, words + 48);
        *(uint*)(record + Sums) = (uint)(ushort)first | ((uint)second << 16);
        *(float*)(record + Scale) = scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint LargestBits(float* x)
    {
        Vector128<uint> largest = default;
        for (int i = 0; i < QuantisedLayout.Inputs; i += 4)
        {
            largest = Vector128.Max(largest, Vector128.Load((uint*)x + i) & Vector128.Create(0x7FFFFFFFu));
        }

        largest = Vector128.Max(largest, Vector128.Shuffle(largest, Vector128.Create(2u, 3, 0, 1)));
        return Math.Max(largest[0], largest[1]);
    }

    /// <returns>The sum of the bytes.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Quantise16(float* x, float inverse, sbyte* bytes, byte* even, byte* odd)
    {
        Vector128<short> low = Vector128.NarrowWithSaturation(Round(x, inverse), Round(x + 4, inverse));
        Vector128<short> high = Vector128.NarrowWithSaturation(Round(x + 8, inverse), Round(x + 12, inverse));
        Vector128<sbyte> all = Vector128.NarrowWithSaturation(low, high);
        all.Store(bytes);
        ((all.AsInt16() << 8) >> 8).Store((short*)even);
        (all.AsInt16() >> 8).Store((short*)odd);
        return Vector128.Sum(low + high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Round(float* x, float inverse)
    {
        // Adding 1.5 2^23 leaves no bits behind the point: the machine rounds to the nearest, ties to even.
        // Where the inverse is 0 the result is 0, even if an input is not finite.
        Vector128<float> scaled = Vector128.Load(x) * inverse;
        Vector128<float> point = Vector128.Create(12582912f);
        return ((scaled + point).AsInt32() - point.AsInt32()) & (inverse == 0 ? Vector128<int>.Zero : Vector128<int>.AllBitsSet);
    }

    private static long RecordBytes(int rows, int columns) => (((long)rows * columns / QuantisedLayout.Inputs * Record) + 63) & ~63L;
}
