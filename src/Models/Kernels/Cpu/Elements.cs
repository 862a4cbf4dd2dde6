using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>Single elements of typed memory and of the CPU layouts: what the reference reads and what the others are checked against.</summary>
internal static unsafe class Elements
{
    public static float Read(DType type, nint data, long index) => type switch
    {
        DType.F32 => ((float*)data)[index],
        DType.F16 => HalfPrecision.FromFloat16(((ushort*)data)[index]),
        _ => HalfPrecision.FromBFloat16(((ushort*)data)[index]),
    };

    public static void Write(DType type, nint data, long index, float value)
    {
        switch (type)
        {
            case DType.F32:
                ((float*)data)[index] = value;
                break;
            case DType.F16:
                ((ushort*)data)[index] = HalfPrecision.ToFloat16(value);
                break;
            default:
                ((ushort*)data)[index] = HalfPrecision.ToBFloat16(value);
                break;
        }
    }

    /// <summary>The weight from input <paramref name="column"/> to output <paramref name="row"/> of a packed matrix.</summary>
    public static float Read(WeightMatrix weights, int row, int column) =>
        Read(weights.Type, weights.Data, PackedIndex(weights.Type, weights.PaddedColumns, row, column));

    /// <summary>Where an element of a packed matrix is, in elements from its begin (see <see cref="WeightMatrix"/>).</summary>
    public static long PackedIndex(DType type, int paddedColumns, int row, int column)
    {
        long block = (long)(row / WeightMatrix.BlockRows) * WeightMatrix.BlockRows * paddedColumns;
        int lane = row % WeightMatrix.BlockRows;
        return type == DType.F32
            ? block + ((long)column * WeightMatrix.BlockRows) + lane
            : block + ((long)(column >> 1) * 2 * WeightMatrix.BlockRows) + (2 * lane) + (column & 1);
    }

    /// <summary>Where a key's element is, in elements from <see cref="KvLayer.Keys"/>.</summary>
    public static long KeyIndex(in KvLayer layer, int kvHead, int slot, int dim) =>
        ((((long)kvHead * (layer.Slots / KvLayer.BlockSlots)) + (slot / KvLayer.BlockSlots)) * layer.HeadDim * KvLayer.BlockSlots)
        + ((long)dim * KvLayer.BlockSlots) + (slot % KvLayer.BlockSlots);

    /// <summary>Where a value's element is, in elements from <see cref="KvLayer.Values"/>.</summary>
    public static long ValueIndex(in KvLayer layer, int kvHead, int slot, int dim) =>
        ((((long)kvHead * layer.Slots) + slot) * layer.HeadDim) + dim;
}
