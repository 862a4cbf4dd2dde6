using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu;

/// <summary>The two 16-bit types, one value at a time: expansion is exact, rounding goes to the nearest, ties to even.</summary>
internal static class HalfPrecision
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if ((bits & 0x7FFFFFFF) > 0x7F800000)
        {
            return (ushort)((bits >> 16) | 0x40);
        }

        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static float FromFloat16(ushort bits) => (float)BitConverter.UInt16BitsToHalf(bits);

    public static ushort ToFloat16(float value) => BitConverter.HalfToUInt16Bits((Half)value);
}
