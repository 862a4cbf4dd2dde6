using System.Numerics;
using System.Runtime.CompilerServices;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Quantised;

// Blocks of 256 under one F16 scale d, whose weights are points of a code book (CodeBooks), eight or four at a time. Layouts: ggml,
// src/ggml-common.h. A weight's code is its digit in the book, plus 8 where its sign (IQ1: the sign of its group's shift) is negative.
// Sub-scales are odd: 2 s + 1.

/// <summary>Points become codes.</summary>
internal static unsafe class Grid
{
    /// <summary>8 in every byte.</summary>
    private const ulong Eights = 0x0808080808080808;

    /// <summary>The values of digits 0, 1, … and, from 8 on, of the same digits with the other sign.</summary>
    public static sbyte[] Signed(params ReadOnlySpan<sbyte> levels)
    {
        sbyte[] values = new sbyte[16];
        for (int i = 0; i < levels.Length; i++)
        {
            values[i] = levels[i];
            values[8 + i] = (sbyte)-levels[i];
        }

        return values;
    }

    /// <summary>Seven signs of eight: the number of negative ones is even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte EvenSigns(uint seven) => (byte)(seven | ((uint)BitOperations.PopCount(seven) << 7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(byte* codes, ulong digits, byte signs) => *(ulong*)codes = digits | (Unpack.Spread(signs) << 3);

    /// <param name="down">Its lowest bit: the shift is downwards.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WriteShifted(byte* codes, ulong digits, uint down) => *(ulong*)codes = digits | (Eights & (0 - (ulong)(down & 1)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static sbyte Odd(uint scale) => (sbyte)((2 * scale) + 1);
}

/// <summary>
/// d, then for each 32 weights four bytes of places in the book and 32 bits: four times seven signs, s. <c>d (2 s + 1) / 8 value</c>
/// </summary>
internal readonly unsafe struct IQ2_XXS : IBlock
{
    /// <summary>Eight times the values of a point are whole.</summary>
    internal static readonly sbyte[] Levels = Grid.Signed(8, 25, 43);

    public static string Name => nameof(IQ2_XXS);

    public static int Elements => 256;

    public static int Bytes => 66;

    public static QuantisedForm Form { get; } = new(
        Bits: 4, Offset: 0, Sub: 32, Wide: 256, SubScales: true, ScaleFactor: 0.125f, Values: Levels);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        ulong[] book = CodeBooks.Iq2Xxs;
        for (int sub = 0; sub < 8; sub++)
        {
            byte* places = from + 2 + (8 * sub);
            uint signs = *(uint*)(places + 4);
            for (int i = 0; i < 4; i++, signs >>= 7)
            {
                Grid.Write(to.Codes + (32 * sub) + (8 * i), book[places[i]], Grid.EvenSigns(signs & 127));
            }

            to.Scales[sub] = Grid.Odd(signs);
        }
    }
}

/// <summary>d, 32 times nine bits of place and seven signs, 16 times four bits of s. <c>d (2 s + 1) / 8 value</c></summary>
internal readonly unsafe struct IQ2_XS : IBlock
{
    public static string Name => nameof(IQ2_XS);

    public static int Elements => 256;

    public static int Bytes => 74;

    public static QuantisedForm Form { get; } = new(
        Bits: 4, Offset: 0, Sub: 16, Wide: 256, SubScales: true, ScaleFactor: 0.125f, Values: IQ2_XXS.Levels);

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        ulong[] book = CodeBooks.Iq2Xs;
        for (int i = 0; i < 32; i++)
        {
            uint place = *(ushort*)(from + 2 + (2 * i));
            Grid.Write(to.Codes + (8 * i), book[place & 511], Grid.EvenSigns(place >> 9));
        }

        ReadScales(from + 66, to.Scales);
    }

    /// <summary>Eight bytes: sub-block 2i has the low half of byte i, 2i + 1 the high one.</summary>
    public static void ReadScales(byte* from, sbyte* to)
    {
        for (int i = 0; i < 8; i++)
        {
            to[2 * i] = Grid.Odd(from[i] & 15u);
            to[(2 * i) + 1] = Grid.Odd((uint)from[i] >> 4);
        }
    }
}

/// <summary>
/// d, 32 bytes of places, 32 of signs, 8 bytes with two more bits of four places each, 16 times four bits of s. <c>d (2 s + 1) / 8
/// value</c>
/// </summary>
internal readonly unsafe struct IQ2_S : IBlock
{
    public static string Name => nameof(IQ2_S);

    public static int Elements => 256;

    public static int Bytes => 82;

    public static QuantisedForm Form => IQ2_XS.Form;

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        ulong[] book = CodeBooks.Iq2S;
        for (int i = 0; i < 32; i++)
        {
            uint upper = ((uint)from[66 + (i / 4)] >> (2 * (i % 4))) & 3;
            Grid.Write(to.Codes + (8 * i), book[from[2 + i] | (upper << 8)], from[34 + i]);
        }

        IQ2_XS.ReadScales(from + 74, to.Scales);
    }
}

/// <summary>
/// d, 64 bytes of places (of four weights), then for each 32 weights 32 bits: four times seven signs, s. <c>d (2 s + 1) / 4 value</c>
/// </summary>
internal readonly unsafe struct IQ3_XXS : IBlock
{
    public static string Name => nameof(IQ3_XXS);

    public static int Elements => 256;

    public static int Bytes => 98;

    /// <summary>Four times the values of a point are whole.</summary>
    public static QuantisedForm Form { get; } = new(
        Bits: 4, Offset: 0, Sub: 32, Wide: 256, SubScales: true, ScaleFactor: 0.25f, Values: Grid.Signed(4, 12, 20, 28, 36, 44, 52, 62));

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        uint[] book = CodeBooks.Iq3Xxs;
        for (int sub = 0; sub < 8; sub++)
        {
            byte* places = from + 2 + (8 * sub);
            uint signs = *(uint*)(from + 66 + (4 * sub));
            for (int i = 0; i < 4; i++, signs >>= 7)
            {
                ulong digits = book[places[2 * i]] | ((ulong)book[places[(2 * i) + 1]] << 32);
                Grid.Write(to.Codes + (32 * sub) + (8 * i), digits, Grid.EvenSigns(signs & 127));
            }

            to.Scales[sub] = Grid.Odd(signs);
        }
    }
}

/// <summary>
/// d, 64 bytes of places (of four weights), 8 bytes with one more bit of eight places each, 32 bytes of signs, 8 times four bits of s.
/// <c>d (2 s + 1) value</c>
/// </summary>
internal readonly unsafe struct IQ3_S : IBlock
{
    public static string Name => nameof(IQ3_S);

    public static int Elements => 256;

    public static int Bytes => 110;

    public static QuantisedForm Form { get; } = new(
        Bits: 4, Offset: 0, Sub: 32, Wide: 256, SubScales: true, Values: Grid.Signed(1, 3, 5, 7, 9, 11, 13, 15));

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        uint[] book = CodeBooks.Iq3S;
        for (int i = 0; i < 32; i++)
        {
            uint upper = (uint)from[66 + (i / 4)] << 8 >> (2 * (i % 4));
            byte* places = from + 2 + (2 * i);
            ulong digits = book[places[0] | (upper & 256)] | ((ulong)book[places[1] | ((upper >> 1) & 256)] << 32);
            Grid.Write(to.Codes + (8 * i), digits, from[74 + i]);
        }

        uint scales = *(uint*)(from + 106);
        for (int sub = 0; sub < 8; sub++, scales >>= 4)
        {
            to.Scales[sub] = Grid.Odd(scales & 15);
        }
    }
}

/// <summary>
/// d, 32 bytes of places, then for each 32 weights 16 bits: four times three more bits of place, three of s, one that shifts the points
/// down instead of up. <c>d (2 s + 1) (point ± 1/8)</c>
/// </summary>
internal readonly unsafe struct IQ1_S : IBlock
{
    public static string Name => nameof(IQ1_S);

    public static int Elements => 256;

    public static int Bytes => 50;

    /// <summary>Eight times the shifted values are whole.</summary>
    public static QuantisedForm Form { get; } = IQ1_M.Form with { Sub = 32 };

    public static void Read(byte* from, BlockParts to)
    {
        *to.WideScales = *(ushort*)from;
        ulong[] book = CodeBooks.Iq1S;
        for (int sub = 0; sub < 8; sub++)
        {
            uint upper = *(ushort*)(from + 34 + (2 * sub));
            for (int i = 0; i < 4; i++)
            {
                uint place = from[2 + (4 * sub) + i] | (((upper >> (3 * i)) & 7) << 8);
                Grid.WriteShifted(to.Codes + (32 * sub) + (8 * i), book[place], upper >> 15);
            }

            to.Scales[sub] = Grid.Odd((upper >> 12) & 7);
        }
    }
}

/// <summary>
/// 32 bytes of places, 32 times four bits (three more of the place, one that shifts the point down instead of up), four times 16 bits: four
/// s of three bits, then a quarter of d, the lowest first. <c>d (2 s + 1) (point ± 1/8)</c>
/// </summary>
internal readonly unsafe struct IQ1_M : IBlock
{
    public static string Name => nameof(IQ1_M);

    public static int Elements => 256;

    public static int Bytes => 56;

    public static QuantisedForm Form { get; } = new(
        Bits: 4, Offset: 0, Sub: 16, Wide: 256, SubScales: true, ScaleFactor: 0.125f,
        Values: [-7, 1, 9, 0, 0, 0, 0, 0, -9, -1, 7, 0, 0, 0, 0, 0]);

    public static void Read(byte* from, BlockParts to)
    {
        ulong[] book = CodeBooks.Iq1S;
        for (int i = 0; i < 16; i++)
        {
            uint upper = from[32 + i];
            byte* codes = to.Codes + (16 * i);
            Grid.WriteShifted(codes, book[from[2 * i] | ((upper & 7) << 8)], upper >> 3);
            Grid.WriteShifted(codes + 8, book[from[(2 * i) + 1] | ((upper & 0x70) << 4)], upper >> 7);
        }

        uint wide = 0;
        for (int i = 0; i < 4; i++)
        {
            uint scales = *(ushort*)(from + 48 + (2 * i));
            wide |= scales >> 12 << (4 * i);
            for (int j = 0; j < 4; j++, scales >>= 3)
            {
                to.Scales[(4 * i) + j] = Grid.Odd(scales & 7);
            }
        }

        *to.WideScales = wide;
    }
}
