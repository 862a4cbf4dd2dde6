using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>Element-wise conversions between the types of a checkpoint; 16-bit ones round to nearest, ties to even.</summary>
public static unsafe class ElementTypes
{
    public static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>Element <paramref name="index"/> of row <paramref name="row"/>.</summary>
    public static float Get(Tensor tensor, int row, int index)
    {
        long at = ((long)row * tensor.Stride) + index;
        return tensor.Type switch
        {
            DType.F32 => ((float*)tensor.Data)[at],
            DType.F16 => (float)BitConverter.UInt16BitsToHalf(((ushort*)tensor.Data)[at]),
            _ => FromBFloat16(((ushort*)tensor.Data)[at]),
        };
    }

    public static void Set(Tensor tensor, int row, int index, float value)
    {
        long at = ((long)row * tensor.Stride) + index;
        switch (tensor.Type)
        {
            case DType.F32:
                ((float*)tensor.Data)[at] = value;
                break;
            case DType.F16:
                ((ushort*)tensor.Data)[at] = BitConverter.HalfToUInt16Bits((Half)value);
                break;
            default:
                ((ushort*)tensor.Data)[at] = ToBFloat16(value);
                break;
        }
    }

    /// <summary>Copies one row into a row of as many columns, of the same type or another.</summary>
    public static void CopyRow(Tensor source, int from, Tensor target, int to)
    {
        if (source.Type == target.Type)
        {
            long bytes = (long)source.Columns * source.Type.Size();
            byte* start = (byte*)source.Data + ((long)from * source.Stride * source.Type.Size());
            Buffer.MemoryCopy(start, (byte*)target.Data + ((long)to * target.Stride * target.Type.Size()), bytes, bytes);
            return;
        }

        for (int i = 0; i < source.Columns; i++)
        {
            Set(target, to, i, Get(source, from, i));
        }
    }
}
