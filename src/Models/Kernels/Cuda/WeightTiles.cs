using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>
/// Weights on the device. 16-bit types: tiles of 16 outputs by 32 inputs in the order in which the lanes of a warp hold them for
/// <c>mma.m16n8k16</c> (Source/product.cu), tiles of an output row side by side, padded with zeros. F32: rows, padded to four inputs.
/// </summary>
/// <param name="type">In which they are held: the format's own, or the type that its values are rounded to.</param>
internal sealed class TiledMatrix(WeightFormat format, DType type, int rows, int columns)
    : WeightMatrix(format, rows, columns, WeightTiles.Bytes(type, rows, columns))
{
    public DType Type => type;

    /// <summary>Inputs of a row, padded.</summary>
    public int PaddedColumns { get; } = WeightTiles.Padded(type, columns);

    /// <summary>Of 16 outputs.</summary>
    public int Bands { get; } = (rows + WeightTiles.TileRows - 1) / WeightTiles.TileRows;
}

/// <summary>How a <see cref="TiledMatrix"/> is filled.</summary>
internal static unsafe class WeightTiles
{
    public const int TileRows = 16;
    public const int TileColumns = 32;
    private const int TileElements = TileRows * TileColumns;

    /// <summary>Packed at once, before they go to the device.</summary>
    private const int SlabBytes = 64 << 20;

    /// <summary>Inputs of a row, padded.</summary>
    public static int Padded(DType type, int inputs) =>
        type == DType.F32 ? (inputs + 3) & ~3 : (inputs + TileColumns - 1) / TileColumns * TileColumns;

    public static long Bytes(DType type, int outputs, int inputs) => type == DType.F32
        ? (long)outputs * Padded(type, inputs) * sizeof(float)
        : BandBytes(type, inputs) * ((outputs + TileRows - 1) / TileRows);

    /// <summary>Bytes of 16 outputs.</summary>
    public static long BandBytes(DType type, int inputs) => (long)TileRows * Padded(type, inputs) * type.Size();

    /// <summary>Packs a matrix that has been placed and brings it to the device.</summary>
    public static void Upload(CudaDriver driver, TiledMatrix matrix, MatrixRows rows)
    {
        long bandBytes = BandBytes(matrix.Type, matrix.Columns);
        int together = (int)Math.Clamp(SlabBytes / bandBytes, 1, matrix.Bands);
        nint slab = driver.AllocateHost(together * bandBytes);
        try
        {
            for (int first = 0; first < matrix.Bands; first += together)
            {
                int start = first;
                int count = Math.Min(together, matrix.Bands - first);
                MatrixRows.InParallel(count, band => PackBand(matrix, rows, start + band, (byte*)slab + (band * bandBytes)));
                // The last band of an F32 matrix is shorter.
                driver.Upload(slab, matrix.Data + (nint)(first * bandBytes),
                    Math.Min(count * bandBytes, matrix.Bytes - (first * bandBytes)));
                driver.Synchronize();
            }
        }
        finally
        {
            driver.FreeHost(slab);
        }
    }

    /// <summary>Packs outputs <c>16 band .. 16 band + 15</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackBand(TiledMatrix matrix, MatrixRows rows, int band, byte* target)
    {
        DType type = matrix.Type;
        bool asTheyLie = matrix.Format == DenseFormat.Of(type) && !rows.Scaled;
        float[] room = asTheyLie ? [] : GC.AllocateUninitializedArray<float>(2 * matrix.Columns, pinned: true);
        int first = band * TileRows;
        for (int row = 0; row < TileRows; row++)
        {
            bool there = first + row < matrix.Rows;
            byte* source = !there ? null
                : rows.Transposed is { } turned ? (byte*)turned.Tensor.Data + ((long)turned.SourceRow(first + row) * type.Size())
                : (byte*)rows.Values(first + row, type, room);
            long stride = rows.Transposed?.Tensor.Columns ?? 1;
            if (type != DType.F32)
            {
                PackRow(matrix, row, (ushort*)source, stride, (ushort*)target);
            }
            else if (there)
            {
                PackRow(matrix, (uint*)source, stride, (uint*)target + ((long)row * matrix.PaddedColumns));
            }
        }
    }

    private static void PackRow(TiledMatrix matrix, uint* source, long stride, uint* target)
    {
        for (int input = 0; input < matrix.PaddedColumns; input++)
        {
            target[input] = input < matrix.Columns ? source[input * stride] : 0;
        }
    }

    private static void PackRow(TiledMatrix matrix, int row, ushort* source, long stride, ushort* tiles)
    {
        for (int input = 0; input < matrix.PaddedColumns; input++)
        {
            tiles[((long)(input / TileColumns) * TileElements) + Place(row, input % TileColumns)] =
                source != null && input < matrix.Columns ? source[input * stride] : (ushort)0;
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
