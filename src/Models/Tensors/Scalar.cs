using System.Runtime.CompilerServices;

namespace Understory.Models.Tensors;

/// <summary>One number of a type at a time: expansion is exact, rounding goes to the nearest, ties to even.</summary>
public static unsafe class Scalar
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (bits & 0x7FFFFFFF) > 0x7F800000 ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static float FromFloat16(ushort bits) => (float)BitConverter.UInt16BitsToHalf(bits);

    public static ushort ToFloat16(float value) => BitConverter.HalfToUInt16Bits((Half)value);

    /// <summary>Element <paramref name="index"/> of typed memory.</summary>
    public static float Read(DType type, nint data, long index) => type switch
    {
        DType.F32 => ((float*)data)[index],
        DType.F16 => FromFloat16(((ushort*)data)[index]),
        _ => FromBFloat16(((ushort*)data)[index]),
    };

    public static void Write(DType type, nint data, long index, float value)
    {
        switch (type)
        {
            case DType.F32:
                ((float*)data)[index] = value;
                break;
            case DType.F16:
                ((ushort*)data)[index] = ToFloat16(value);
                break;
            default:
                ((ushort*)data)[index] = ToBFloat16(value);
                break;
        }
    }
}
