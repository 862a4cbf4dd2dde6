using System.Runtime.CompilerServices;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>
/// The layout of weights on the device. 16-bit types: tiles of 16 outputs by 32 inputs in the order in which the lanes of a warp hold them for
/// <c>mma.m16n8k16</c> (Source/product.cu), tiles of an output row side by side, padded with zeros. F32: rows, padded to four inputs.
/// </summary>
internal static unsafe class WeightTiles
{
    public const int TileRows = 16;
    public const int TileColumns = 32;
    private const int TileElements = TileRows * TileColumns;

    /// <summary>Inputs of a row, padded.</summary>
    public static int Padded(DType type, int inputs) => type == DType.F32 ? (inputs + 3) & ~3 : (inputs + TileColumns - 1) / TileColumns * TileColumns;

    public static long Bytes(DType type, int outputs, int inputs) => type == DType.F32
        ? (long)outputs * Padded(type, inputs) * sizeof(float)
        : BandBytes(type, inputs) * ((outputs + TileRows - 1) / TileRows);

    /// <summary>Bytes of 16 outputs.</summary>
    public static long BandBytes(DType type, int inputs) => (long)TileRows * Padded(type, inputs) * type.Size();

    /// <summary>Packs outputs <c>16 band .. 16 band + 15</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackBand(Tensor rows, bool transposed, int band, byte* target)
    {
        int outputs = transposed ? rows.Columns : rows.Rows;
        int inputs = transposed ? rows.Rows : rows.Columns;
        long outputStride = transposed ? 1 : rows.Stride;
        long inputStride = transposed ? rows.Stride : 1;
        int padded = Padded(rows.Type, inputs);
        int first = band * TileRows;
        int count = Math.Min(TileRows, outputs - first);
        if (rows.Type == DType.F32)
        {
            for (int row = 0; row < count; row++)
            {
                uint* source = (uint*)rows.Data + ((first + row) * outputStride);
                uint* to = (uint*)target + ((long)row * padded);
                for (int input = 0; input < padded; input++)
                {
                    to[input] = input < inputs ? source[input * inputStride] : 0;
                }
            }

            return;
        }

        ushort* tiles = (ushort*)target;
        for (int row = 0; row < TileRows; row++)
        {
            ushort* source = (ushort*)rows.Data + ((first + row) * outputStride);
            for (int input = 0; input < padded; input++)
            {
                tiles[((long)(input / TileColumns) * TileElements) + Place(row, input % TileColumns)] = row < count && input < inputs ? source[input * inputStride] : (ushort)0;
            }
        }
    }

    /// <summary>Where in a tile an element is: lane t of a row's four holds its inputs 8t .. 8t + 7, in two steps of two words.</summary>
    private static int Place(int row, int column)
    {
        int lane = ((row & 7) * 4) + (column >> 3);
        int step = (column >> 2) & 1;
        int word = (row >> 3) + (2 * ((column >> 1) & 1));
        return (step * 256) + (lane * 8) + (word * 2) + (column & 1);
    }
}
