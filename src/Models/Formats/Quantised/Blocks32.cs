using System.Runtime.Intrinsics;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Quantised;

// Blocks of 32 under one F16 scale d. Layouts: ggml, src/ggml-common.h. Codes of four bits: the low halves of the bytes are weights 0 to
// 15.

/// <summary>d, 16 bytes of codes. <c>d (code - 8)</c></summary>
internal readonly unsafe struct Q4_0 : IBlock
{
    public static string Name => nameof(Q4_0);

    public static int Elements => 32;

    public static int Bytes => 18;

    public static QuantisedForm Form { get; } = new(Bits: 4, Offset: 8, Sub: 32, Wide: 32);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        Unpack.Nibbles(from + 2, to.Codes);
    }
}

/// <summary>d, m, 16 bytes of codes. <c>d code + m</c>: what is subtracted is -m.</summary>
internal readonly unsafe struct Q4_1 : IWritableBlock
{
    /// <summary>Turns the sign of an F16.</summary>
    internal const int Sign = 0x8000;

    public static string Name => nameof(Q4_1);

    public static int Elements => 32;

    public static int Bytes => 20;

    public static QuantisedForm Form { get; } = new(Bits: 4, Offset: 0, Sub: 32, Wide: 32, Mins: true);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        *to.WideMins = *(ushort*)(from + 2) ^ (uint)Sign;
        Unpack.Nibbles(from + 4, to.Codes);
    }

    /// <inheritdoc cref="Q41Search"/>
    public static void Write(float* values, byte* to) => Q41Search.Write(values, to);
}

/// <summary>d, 32 fifth bits, 16 bytes of codes. <c>d (code - 16)</c></summary>
internal readonly unsafe struct Q5_0 : IBlock
{
    public static string Name => nameof(Q5_0);

    public static int Elements => 32;

    public static int Bytes => 22;

    public static QuantisedForm Form { get; } = new(Bits: 5, Offset: 16, Sub: 32, Wide: 32);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        Unpack.Nibbles(from + 6, to.Codes);
        Unpack.FifthBits(from + 2, to.Codes);
    }
}

/// <summary>d, m, 32 fifth bits, 16 bytes of codes. <c>d code + m</c></summary>
internal readonly unsafe struct Q5_1 : IBlock
{
    public static string Name => nameof(Q5_1);

    public static int Elements => 32;

    public static int Bytes => 24;

    public static QuantisedForm Form { get; } = new(Bits: 5, Offset: 0, Sub: 32, Wide: 32, Mins: true);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        *to.WideMins = *(ushort*)(from + 2) ^ (uint)Q4_1.Sign;
        Unpack.Nibbles(from + 8, to.Codes);
        Unpack.FifthBits(from + 4, to.Codes);
    }
}

/// <summary>d, 32 signed bytes. <c>d (code - 128)</c></summary>
internal readonly unsafe struct Q8_0 : IWritableBlock
{
    public static string Name => nameof(Q8_0);

    public static int Elements => 32;

    public static int Bytes => 34;

    public static QuantisedForm Form { get; } = new(Bits: 8, Offset: 128, Sub: 32, Wide: 32);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        (Vector256.Load(from + 2) ^ Vector256.Create((byte)0x80)).Store(to.Codes);
    }

    /// <summary>
    /// <c>d = max|x| / 127, byte = x / d</c> to the nearest, ties to even; d is rounded to F16 only where it is stored, as by ggml.
    /// </summary>
    public static void Write(float* values, byte* to)
    {
        Vector256<uint> largest = default;
        for (int i = 0; i < 32; i += 8)
        {
            largest = Vector256.Max(largest, Vector256.Load((uint*)values + i) & Vector256.Create(0x7FFFFFFFu));
        }

        Vector128<uint> half = Vector128.Max(largest.GetLower(), largest.GetUpper());
        uint bits = Math.Max(Math.Max(half[0], half[1]), Math.Max(half[2], half[3]));
        float scale = BitConverter.UInt32BitsToSingle(bits) / 127;
        *(ushort*)to = Scalar.ToFloat16(scale);
        // Of scales that F16 has no number for, codes do not matter.
        Vector256<float> inverse = Vector256.Create(*(ushort*)to is 0 or >= 0x7C00 ? 0 : 1 / scale);
        Vector256.Narrow(Words(values, inverse), Words(values + 16, inverse)).Store((sbyte*)to + 2);

        static Vector256<short> Words(float* values, Vector256<float> inverse) =>
            Vector256.Narrow(Codes(values, inverse), Codes(values + 8, inverse));

        static Vector256<int> Codes(float* values, Vector256<float> inverse) =>
            Vector256.ConvertToInt32(Vector256.Round(Vector256.Load(values) * inverse));
    }
}

/// <summary>d, 16 bytes of codes: places in a table of 16 values.</summary>
internal readonly unsafe struct IQ4_NL : IBlock
{
    /// <summary>ggml's kvalues_iq4nl.</summary>
    internal static readonly sbyte[] Levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    public static string Name => nameof(IQ4_NL);

    public static int Elements => 32;

    public static int Bytes => 18;

    public static QuantisedForm Form { get; } = new(Bits: 4, Offset: 0, Sub: 32, Wide: 32, Values: Levels);

    public static void Read(byte* from, BlockParts to) => Q4_0.Read(from, to);
}

/// <summary>An exponent, 16 bytes of 4-bit floats (E2M1; their values doubled are whole). OCP Microscaling Formats 1.0.</summary>
internal readonly unsafe struct MXFP4 : IBlock
{
    /// <summary>Twice what E2M1 stands for: sign, two bits of exponent, one of mantissa.</summary>
    internal static readonly sbyte[] Levels = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    public static string Name => nameof(MXFP4);

    public static int Elements => 32;

    public static int Bytes => 17;

    public static QuantisedForm Form { get; } = new(
        Bits: 4, Offset: 0, Sub: 32, Wide: 32, Scale: ScaleType.E8M0, ScaleFactor: 0.5f, Values: Levels);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *from;
        Unpack.Nibbles(from + 1, to.Codes);
    }
}

/// <summary>
/// 64 weights: four UE4M3 scales of 16 weights each, then 8 bytes of 4-bit floats (E2M1) to each; low halves are weights 0 to 7 of the 16.
/// </summary>
internal readonly unsafe struct NVFP4 : IBlock
{
    public static string Name => nameof(NVFP4);

    public static int Elements => 64;

    public static int Bytes => 36;

    public static QuantisedForm Form { get; } = new(
        Bits: 4, Offset: 0, Sub: 16, Wide: 16, Scale: ScaleType.UE4M3, ScaleFactor: 0.5f, Values: MXFP4.Levels);

    public static void Read(byte* from, BlockParts to)
    {
        const ulong low = 0x0F0F0F0F0F0F0F0F;
        for (int sub = 0; sub < 4; sub++)
        {
            // The upper bit is not read, and what would be NaN is 0 in this format.
            uint scale = from[sub] & 0x7Fu;
            to.WideScales[sub] = scale == 0x7F ? 0 : scale;
            ulong codes = *(ulong*)(from + 4 + (8 * sub));
            *(ulong*)(to.Codes + (16 * sub)) = codes & low;
            *(ulong*)(to.Codes + (16 * sub) + 8) = (codes >> 4) & low;
        }
    }
}
