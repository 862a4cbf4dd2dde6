using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Understory.Models.Formats.Quantised;

/// <summary>Codes of less than a byte become bytes.</summary>
internal static unsafe class Unpack
{
    /// <summary>For a byte, eight bytes: the i-th is 1 where bit i is set.</summary>
    private static readonly ulong[] _spread = [.. Enumerable.Range(0, 256).Select(bits =>
        Enumerable.Range(0, 8).Aggregate(0UL, (bytes, i) => bytes | ((ulong)((bits >> i) & 1) << (8 * i))))];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Spread(byte bits) => _spread[bits];

    /// <summary>16 bytes: the low halves are codes 0 to 15, the high halves 16 to 31.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Nibbles(byte* from, byte* to)
    {
        Vector128<byte> bytes = Vector128.Load(from);
        (bytes & Vector128.Create((byte)15)).Store(to);
        ShiftRight(bytes, 4, 15).Store(to + 16);
    }

    /// <summary>The fifth bits of 32 codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FifthBits(byte* bits, byte* codes)
    {
        for (int i = 0; i < 4; i++)
        {
            *(ulong*)(codes + (8 * i)) |= Spread(bits[i]) << 4;
        }
    }

    /// <summary>Bytes shifted by <paramref name="shift"/>, of which the bits of <paramref name="mask"/> remain.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> ShiftRight(Vector128<byte> bytes, int shift, byte mask) =>
        (bytes.AsUInt16() >>> shift).AsByte() & Vector128.Create(mask);

    /// <inheritdoc cref="ShiftRight(Vector128{byte}, int, byte)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ShiftRight(Vector256<byte> bytes, int shift, byte mask) =>
        (bytes.AsUInt16() >>> shift).AsByte() & Vector256.Create(mask);

    /// <summary>Bytes shifted to the left: bits of <paramref name="mask"/> (after the shift) remain.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ShiftLeft(Vector256<byte> bytes, int shift, byte mask) =>
        (bytes.AsUInt16() << shift).AsByte() & Vector256.Create(mask);
}
