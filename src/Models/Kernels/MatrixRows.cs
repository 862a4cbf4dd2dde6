using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>The rows of a matrix that is being packed, wherever they lie.</summary>
internal sealed unsafe class MatrixRows
{
    private readonly MatrixPart[] _parts;

    /// <exception cref="ArgumentException">The parts do not make up the matrix.</exception>
    public MatrixRows(WeightMatrix matrix, ReadOnlySpan<MatrixPart> parts)
    {
        int outputs = 0;
        foreach (ref readonly MatrixPart part in parts)
        {
            bool turned = part.Transposed && (parts.Length > 1 || part.InterleavedHead > 0 || part.Tensor.Format is not DenseFormat);
            if (part.Inputs != matrix.Columns || part.Tensor.Format != matrix.Format || turned)
            {
                throw new ArgumentException(
                    $"{part.Tensor.Format} [{part.Outputs}, {part.Inputs}] cannot be a part of {matrix.Format} [{matrix.Rows}, {matrix.Columns}].", nameof(parts));
            }

            outputs += part.Outputs;
        }

        if (outputs != matrix.Rows)
        {
            throw new ArgumentException($"Parts of {outputs} rows for a matrix of {matrix.Rows}.", nameof(parts));
        }

        _parts = parts.ToArray();
    }

    /// <summary>The one tensor that holds all of them transposed; null where rows lie as rows.</summary>
    public StoredTensor? Transposed => _parts[0].Transposed ? _parts[0].Tensor : null;

    /// <summary>First byte of the weights to output <paramref name="row"/>, as the file has them.</summary>
    public nint Row(int row)
    {
        int part = 0;
        while (row >= _parts[part].Outputs)
        {
            row -= _parts[part++].Outputs;
        }

        return _parts[part].Tensor.RowAddress(_parts[part].SourceRow(row));
    }

    /// <summary>The weights to output <paramref name="row"/> as numbers of a type: where they lie, or rounded into <paramref name="room"/>.</summary>
    /// <param name="room">Of a row in F32 and one of the type.</param>
    public nint Row(int row, DType type, Span<float> room)
    {
        StoredTensor tensor = _parts[0].Tensor;
        nint source = Row(row);
        if (tensor.Format is DenseFormat dense && dense.Type == type)
        {
            return source;
        }

        fixed (float* values = room)
        {
            tensor.Format.Decode((byte*)source, tensor.Columns, values);
            float* rounded = values + tensor.Columns;
            for (int i = 0; i < tensor.Columns; i++)
            {
                Scalar.Write(type, (nint)rounded, i, values[i]);
            }

            return (nint)rounded;
        }
    }
}
