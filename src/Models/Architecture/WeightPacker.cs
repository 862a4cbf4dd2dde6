using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// Brings tensors from a checkpoint into the kernels' layout, one behind the other in one block. Used twice with the same calls: first it only
/// checks names and shapes and adds up the bytes, then (after <see cref="Allocate"/>) it packs.
/// </summary>
internal sealed class WeightPacker(ITensorSource source, IKernels kernels, Action<double>? progress)
{
    private const int Alignment = 64;

    private MemoryBlock? _block;
    private long _offset;

    /// <summary>Ends the measuring pass.</summary>
    public MemoryBlock Allocate()
    {
        _block = kernels.Allocate(Math.Max(Alignment, _offset));
        _offset = 0;
        return _block;
    }

    /// <summary>The matrix <c>[outputs, inputs]</c>, which the checkpoint may hold transposed.</summary>
    public WeightMatrix Matrix(string name, int outputs, int inputs, bool transposed = false)
    {
        ReadOnlySpan<int> shape = transposed ? [inputs, outputs] : [outputs, inputs];
        DType type = source.TypeOf(name, shape);
        long offset = Take(kernels.PackedBytes(type, outputs, inputs));
        if (_block is null)
        {
            return Unpacked(type, outputs, inputs);
        }

        Tensor rows = source.Read(name, shape);
        WeightMatrix matrix = kernels.Pack(rows, transposed, _block, offset);
        source.Release(rows);
        return matrix;
    }

    /// <summary>Several matrices of equal inputs as one: their rows one below the other.</summary>
    public WeightMatrix Stacked(ReadOnlySpan<Part> parts, int inputs)
    {
        int outputs = 0;
        DType? type = null;
        foreach (Part part in parts)
        {
            DType own = source.TypeOf(part.Name, part.Rows, inputs);
            type = type is null || type == own ? own : DType.F32;
            outputs += part.Rows;
        }

        long offset = Take(kernels.PackedBytes(type!.Value, outputs, inputs));
        if (_block is null)
        {
            return Unpacked(type.Value, outputs, inputs);
        }

        using var staging = new NativeMemoryBlock((long)outputs * inputs * type.Value.Size());
        Tensor stacked = staging.View(type.Value, outputs, inputs, inputs);
        int row = 0;
        foreach (Part part in parts)
        {
            Tensor rows = source.Read(part.Name, part.Rows, inputs);
            for (int i = 0; i < part.Rows; i++)
            {
                ElementTypes.CopyRow(rows, part.SourceRow(i), stacked, row++);
            }

            source.Release(rows);
        }

        return kernels.Pack(stacked, false, _block, offset);
    }

    /// <summary>Vectors one behind the other, as F32.</summary>
    public Tensor Vector(params ReadOnlySpan<Part> parts)
    {
        int length = 0;
        foreach (Part part in parts)
        {
            _ = source.TypeOf(part.Name, part.Rows);
            length += part.Rows;
        }

        long offset = Take((long)length * sizeof(float));
        if (_block is null)
        {
            return default;
        }

        float[] values = new float[length];
        int at = 0;
        foreach (Part part in parts)
        {
            Tensor vector = source.Read(part.Name, part.Rows);
            for (int i = 0; i < part.Rows; i++)
            {
                values[at++] = ElementTypes.Get(vector, 0, part.SourceRow(i));
            }

            source.Release(vector);
        }

        Tensor target = _block.View(DType.F32, 1, length, length, offset);
        kernels.Write(values, target.Data);
        return target;
    }

    private static WeightMatrix Unpacked(DType type, int outputs, int inputs) => new(type, outputs, inputs, 0, 0);

    private long Take(long bytes)
    {
        long offset = _offset;
        _offset += (bytes + Alignment - 1) / Alignment * Alignment;
        if (_block is { } block)
        {
            progress?.Invoke((double)_offset / block.Bytes);
        }

        return offset;
    }
}

/// <summary>A tensor that becomes a part of another.</summary>
/// <param name="InterleavedHead">Rows per head where they are kept for rotating neighbours; 0: as they are.</param>
internal readonly record struct Part(string Name, int Rows, int InterleavedHead = 0)
{
    /// <summary>The source's row that belongs at row <paramref name="row"/>: neighbours (2i, 2i + 1) of a head go back to halves (i, i + n / 2).</summary>
    public int SourceRow(int row)
    {
        if (InterleavedHead == 0)
        {
            return row;
        }

        (int head, int within) = Math.DivRem(row, InterleavedHead);
        (int half, int pair) = Math.DivRem(within, InterleavedHead / 2);
        return (head * InterleavedHead) + (2 * pair) + half;
    }
}
