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
            bool turned = part.Transposed
                && (parts.Length > 1 || part.InterleavedHead > 0 || part.Tensor.Format is not DenseFormat || part.Tensor.Scale != 1);
            if (part.Inputs != matrix.Columns || part.Tensor.Format != matrix.Format || turned)
            {
                throw new ArgumentException(
                    $"{part.Tensor.Format} [{part.Outputs}, {part.Inputs}] cannot be a part of {matrix.Format} [{matrix.Rows}, "
                        + $"{matrix.Columns}].", nameof(parts));
            }

            outputs += part.Outputs;
            Scaled |= part.Tensor.Scale != 1;
        }

        if (outputs != matrix.Rows)
        {
            throw new ArgumentException($"Parts of {outputs} rows for a matrix of {matrix.Rows}.", nameof(parts));
        }

        _parts = parts.ToArray();
    }

    /// <summary>The one tensor that holds all of them transposed; null where rows lie as rows.</summary>
    public MatrixPart? Transposed => _parts[0].Transposed ? _parts[0] : null;

    /// <summary>Some tensor has a <see cref="StoredTensor.Scale"/>.</summary>
    public bool Scaled { get; }

    /// <summary>Runs <c>0 .. count</c> by all threads; what is wrong with the data comes as the exception that says so.</summary>
    public static void InParallel(int count, Action<int> body)
    {
        try
        {
            _ = Parallel.For(0, count, body);
        }
        catch (AggregateException errors) when (errors.InnerExceptions.OfType<InvalidDataException>().FirstOrDefault() is { } error)
        {
            throw new InvalidDataException(error.Message, error);
        }
    }

    /// <summary>First byte of the weights to output <paramref name="row"/>, as the file has them.</summary>
    public nint Row(int row) => Row(row, out _);

    /// <summary>
    /// What all weights to output <paramref name="row"/> have in common: the tensor's scale, times the row's where the format has such.
    /// </summary>
    public float Factor(int row)
    {
        nint source = Row(row, out StoredTensor tensor);
        bool ofRows = tensor.Format is Float8Format eight && eight.IsOfRows(tensor.Columns);
        return ofRows ? tensor.Scale * Float8Format.ScaleOf((byte*)source) : tensor.Scale;
    }

    /// <summary>
    /// The weights to output <paramref name="row"/> as numbers of a type: where they lie, or rounded into <paramref name="room"/>.
    /// </summary>
    /// <param name="room">Of a row in F32 and one of the type.</param>
    /// <exception cref="InvalidDataException">A weight of a format with scales is NaN or infinite.</exception>
    public nint Values(int row, DType type, Span<float> room) => Values(row, type, room, scaled: true);

    /// <summary>As <see cref="Values(int, DType, Span{float})"/>, but not multiplied by <see cref="Factor"/>.</summary>
    public nint Unscaled(int row, DType type, Span<float> room) => Values(row, type, room, scaled: false);

    private nint Row(int row, out StoredTensor tensor)
    {
        int part = 0;
        while (row >= _parts[part].Outputs)
        {
            row -= _parts[part++].Outputs;
        }

        tensor = _parts[part].Tensor;
        return tensor.RowAddress(_parts[part].SourceRow(row));
    }

    private nint Values(int row, DType type, Span<float> room, bool scaled)
    {
        byte* source = (byte*)Row(row, out StoredTensor tensor);
        float scale = scaled ? tensor.Scale : 1;
        if (scale == 1 && tensor.Format is DenseFormat dense && dense.Type == type)
        {
            return (nint)source;
        }

        int columns = tensor.Columns;
        var eight = tensor.Format as Float8Format;
        fixed (float* values = room)
        {
            if (!scaled && eight?.IsOfRows(columns) == true)
            {
                eight.DecodeUnscaled(source, values);
            }
            else
            {
                tensor.Format.Decode(source, columns, values);
            }

            bool bad = eight?.HasBadValue(source, columns)
                ?? (tensor.Format is QuantisedFormat && DenseFormat.F32.HasBadValue((byte*)values, columns));
            if (bad)
            {
                throw new InvalidDataException($"row {row} has a scale or a weight that is NaN or infinite");
            }

            float* rounded = values + columns;
            for (int i = 0; i < columns; i++)
            {
                Scalar.Write(type, (nint)rounded, i, scale * values[i]);
            }

            return (nint)rounded;
        }
    }
}
