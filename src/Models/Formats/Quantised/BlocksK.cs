using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Quantised;

// Blocks of 256 under one F16 scale d (and one F16 min dmin), with sub-blocks of 16 or 32 that have small whole scales. Layouts: ggml,
// src/ggml-common.h.

/// <summary>
/// 16 bytes of sub-scale (low half) and sub-min (high), 64 bytes of codes, d, dmin. Sub-blocks of 16. Codes of two bits: a byte l of the
/// first 32 has weights l, 32 + l, 64 + l, 96 + l, lowest bits first; the next 32 bytes have the other 128.
/// </summary>
internal readonly unsafe struct Q2_K : IBlock
{
    public static string Name => nameof(Q2_K);

    public static int Elements => 256;

    public static int Bytes => 84;

    public static QuantisedForm Form { get; } = new(Bits: 2, Offset: 0, Sub: 16, Wide: 256, SubScales: true, Mins: true, SubMins: true);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)(from + 80);
        *to.WideMins = *(ushort*)(from + 82);
        Vector128<byte> pairs = Vector128.Load(from);
        (pairs & Vector128.Create((byte)15)).Store((byte*)to.Scales);
        Unpack.ShiftRight(pairs, 4, 15).Store((byte*)to.Mins);
        for (int half = 0; half < 2; half++)
        {
            Vector256<byte> codes = Vector256.Load(from + 16 + (32 * half));
            byte* target = to.Codes + (128 * half);
            (codes & Vector256.Create((byte)3)).Store(target);
            Unpack.ShiftRight(codes, 2, 3).Store(target + 32);
            Unpack.ShiftRight(codes, 4, 3).Store(target + 64);
            Unpack.ShiftRight(codes, 6, 3).Store(target + 96);
        }
    }
}

/// <summary>
/// 32 bytes of third bits (bit j of byte l: weight 32 j + l), 64 bytes of two bits as in Q2_K, 12 bytes of 16 sub-scales, d. Sub-blocks of
/// 16. <c>d (scale - 32) (code - 4)</c>. Sub-scales of six bits: four in the halves of bytes 0 to 7 (scales 0 to 7 in the low ones), two in
/// bytes 8 to 11 (scale i in byte 8 + i mod 4, bits 2 (i / 4)).
/// </summary>
internal readonly unsafe struct Q3_K : IBlock
{
    public static string Name => nameof(Q3_K);

    public static int Elements => 256;

    public static int Bytes => 110;

    public static QuantisedForm Form { get; } = new(Bits: 3, Offset: 4, Sub: 16, Wide: 256, SubScales: true);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)(from + 108);
        ReadScales(from + 96, to.Scales);
        Vector256<byte> third = Vector256.Load(from);
        for (int j = 0; j < 8; j++)
        {
            Vector256<byte> low = Unpack.ShiftRight(Vector256.Load(from + 32 + (32 * (j / 4))), 2 * (j % 4), 3);
            Vector256<byte> high = Unpack.ShiftLeft(Unpack.ShiftRight(third, j, 1), 2, 4);
            (low | high).Store(to.Codes + (32 * j));
        }
    }

    private static void ReadScales(byte* from, sbyte* to)
    {
        const uint low = 0x0F0F0F0F;
        const uint top = 0x30303030;
        (uint first, uint second, uint upper) = (*(uint*)from, *(uint*)(from + 4), *(uint*)(from + 8));
        Vector128<uint> scales = Vector128.Create(
            (first & low) | ((upper << 4) & top),
            (second & low) | ((upper << 2) & top),
            ((first >> 4) & low) | (upper & top),
            ((second >> 4) & low) | ((upper >> 2) & top));
        (scales.AsSByte() - Vector128.Create((sbyte)32)).Store(to);
    }
}

/// <summary>
/// d, dmin, 12 bytes of sub-scales and sub-mins, 128 bytes of codes: 32 bytes have sub-block 2i in their low halves and 2i + 1 in the high
/// ones.
/// </summary>
internal readonly unsafe struct Q4_K : IWritableBlock
{
    public static string Name => nameof(Q4_K);

    public static int Elements => 256;

    public static int Bytes => 144;

    public static QuantisedForm Form { get; } = new(Bits: 4, Offset: 0, Sub: 32, Wide: 256, SubScales: true, Mins: true, SubMins: true);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Read(byte* from, BlockParts to)
    {
        ReadScales(from, to);
        for (int pair = 0; pair < 4; pair++)
        {
            Vector256<byte> codes = Vector256.Load(from + 16 + (32 * pair));
            (codes & Vector256.Create((byte)15)).Store(to.Codes + (64 * pair));
            Unpack.ShiftRight(codes, 4, 15).Store(to.Codes + (64 * pair) + 32);
        }
    }

    public static void Write(float* values, byte* to) => Q4KSearch.Write(values, to);

    /// <summary>
    /// d, dmin, and eight scales and mins of six bits in 12 bytes: the low six bits of bytes 0 to 3 are scales 0 to 3, those of 4 to 7 mins
    /// 0 to 3. Scales 4 to 7 have the low halves of bytes 8 to 11 below the upper two bits of bytes 0 to 3, mins 4 to 7 the high halves
    /// below those of bytes 4 to 7.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ReadScales(byte* from, BlockParts to)
    {
        const uint six = 0x3F3F3F3F;
        const uint low = 0x0F0F0F0F;
        const uint top = 0x30303030;
        *to.WideScales = *(ushort*)from;
        *to.WideMins = *(ushort*)(from + 2);
        (uint scales, uint mins, uint others) = (*(uint*)(from + 4), *(uint*)(from + 8), *(uint*)(from + 12));
        *(uint*)to.Scales = scales & six;
        *(uint*)to.Mins = mins & six;
        *(uint*)(to.Scales + 4) = (others & low) | ((scales >> 2) & top);
        *(uint*)(to.Mins + 4) = ((others >> 4) & low) | ((mins >> 2) & top);
    }
}

/// <summary>As Q4_K, with 32 bytes of fifth bits before the codes: bit i of byte l belongs to weight 32 i + l.</summary>
internal readonly unsafe struct Q5_K : IBlock
{
    public static string Name => nameof(Q5_K);

    public static int Elements => 256;

    public static int Bytes => 176;

    public static QuantisedForm Form { get; } = new(Bits: 5, Offset: 0, Sub: 32, Wide: 256, SubScales: true, Mins: true, SubMins: true);

    public static void Read(byte* from, BlockParts to)
    {
        Q4_K.ReadScales(from, to);
        Vector256<byte> fifth = Vector256.Load(from + 16);
        for (int pair = 0; pair < 4; pair++)
        {
            Vector256<byte> codes = Vector256.Load(from + 48 + (32 * pair));
            Vector256<byte> bits = Unpack.ShiftRight(fifth, 2 * pair, 3);
            ((codes & Vector256.Create((byte)15)) | Unpack.ShiftLeft(bits, 4, 16)).Store(to.Codes + (64 * pair));
            (Unpack.ShiftRight(codes, 4, 15) | Unpack.ShiftLeft(bits, 3, 16)).Store(to.Codes + (64 * pair) + 32);
        }
    }
}

/// <summary>
/// 128 bytes of four bits, 64 bytes of two bits, 16 signed sub-scales, d. Sub-blocks of 16. <c>d scale (code - 32)</c>. Of the first 128
/// weights, the low halves of bytes 0 to 63 are weights 0 to 63, the high ones 64 to 127; the upper bits of weights l, 32 + l, 64 + l and
/// 96 + l lie in one byte, lowest first.
/// </summary>
internal readonly unsafe struct Q6_K : IBlock
{
    public static string Name => nameof(Q6_K);

    public static int Elements => 256;

    public static int Bytes => 210;

    public static QuantisedForm Form { get; } = new(Bits: 6, Offset: 32, Sub: 16, Wide: 256, SubScales: true);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)(from + 208);
        Vector128.Load(from + 192).Store((byte*)to.Scales);
        for (int half = 0; half < 2; half++)
        {
            Vector256<byte> first = Vector256.Load(from + (64 * half));
            Vector256<byte> second = Vector256.Load(from + (64 * half) + 32);
            Vector256<byte> upper = Vector256.Load(from + 128 + (32 * half));
            byte* target = to.Codes + (128 * half);
            var low = Vector256.Create((byte)15);
            ((first & low) | Unpack.ShiftLeft(upper, 4, 0x30)).Store(target);
            ((second & low) | Unpack.ShiftLeft(upper, 2, 0x30)).Store(target + 32);
            (Unpack.ShiftRight(first, 4, 15) | (upper & Vector256.Create((byte)0x30))).Store(target + 64);
            (Unpack.ShiftRight(second, 4, 15) | Unpack.ShiftRight(upper, 2, 0x30)).Store(target + 96);
        }
    }
}

/// <summary>
/// d, two upper bits of eight sub-scales (16 bits), four lower bits of each (4 bytes), 128 bytes of codes as in IQ4_NL, 16 to a sub-block.
/// <c>d (scale - 32) table[code]</c>
/// </summary>
internal readonly unsafe struct IQ4_XS : IBlock
{
    public static string Name => nameof(IQ4_XS);

    public static int Elements => 256;

    public static int Bytes => 136;

    public static QuantisedForm Form { get; } = new(Bits: 4, Offset: 0, Sub: 32, Wide: 256, SubScales: true, Values: IQ4_NL.Levels);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        uint upper = *(ushort*)(from + 2);
        uint lower = *(uint*)(from + 4);
        for (int sub = 0; sub < 8; sub++)
        {
            to.Scales[sub] = (sbyte)((int)((lower & 15) | ((upper & 3) << 4)) - 32);
            lower >>= 4;
            upper >>= 2;
            Unpack.Nibbles(from + 8 + (16 * sub), to.Codes + (32 * sub));
        }
    }
}

/// <summary>64 bytes of codes as in Q2_K, d. <c>d (code - 1)</c></summary>
internal readonly unsafe struct TQ2_0 : IBlock
{
    public static string Name => nameof(TQ2_0);

    public static int Elements => 256;

    public static int Bytes => 66;

    public static QuantisedForm Form { get; } = new(Bits: 2, Offset: 1, Sub: 32, Wide: 256);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)(from + 64);
        for (int j = 0; j < 8; j++)
        {
            Unpack.ShiftRight(Vector256.Load(from + (32 * (j / 4))), 2 * (j % 4), 3).Store(to.Codes + (32 * j));
        }
    }
}

/// <summary>
/// 48 bytes of five ternary digits, 4 bytes of four, d. <c>d (digit - 1)</c>. A byte b is a fraction b / 256 in base three: digit n is the
/// whole part of 3 frac(3^n b / 256). Digit n of bytes 0 to 31 has weights 32 n and on, of bytes 32 to 47 weights 160 + 16 n, of the last
/// four 240 + 4 n.
/// </summary>
internal readonly unsafe struct TQ1_0 : IBlock
{
    private static Vector128<ushort> Low => Vector128.Create((ushort)0xFF);

    public static string Name => nameof(TQ1_0);

    public static int Elements => 256;

    public static int Bytes => 54;

    public static QuantisedForm Form => TQ2_0.Form;

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)(from + 52);
        for (int i = 0; i < 3; i++)
        {
            // Of the even and the odd bytes, each in 16 bits: 3 f has the digit above the byte, and in it the fraction that is left.
            var bytes = Vector128.Load(from + (16 * i)).AsUInt16();
            (Vector128<ushort> even, Vector128<ushort> odd) = (bytes & Low, bytes >>> 8);
            for (int n = 0; n < 5; n++)
            {
                (even, odd) = (even + even + even, odd + odd + odd);
                byte* target = to.Codes + (i < 2 ? (32 * n) + (16 * i) : 160 + (16 * n));
                ((even >>> 8) | (odd & ~Low)).AsByte().Store(target);
                (even, odd) = (even & Low, odd & Low);
            }
        }

        for (int i = 0; i < 4; i++)
        {
            uint fraction = from[48 + i];
            for (int n = 0; n < 4; n++)
            {
                fraction *= 3;
                to.Codes[240 + (4 * n) + i] = (byte)(fraction >> 8);
                fraction &= 0xFF;
            }
        }
    }
}
