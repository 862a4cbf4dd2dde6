using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>How far a load is.</summary>
/// <param name="Bytes">Of weights read so far.</param>
/// <param name="Total">Bytes to read.</param>
public readonly record struct LoadProgress(long Bytes, long Total);

/// <summary>A tensor that becomes a part of another.</summary>
/// <param name="InterleavedHead">Rows per head where they are kept for rotating neighbours; 0: as they are.</param>
/// <param name="First">Its first row that is meant.</param>
/// <param name="Of">Rows of the tensor; 0: <paramref name="Rows"/>.</param>
/// <param name="Turned">Leading rows of an interleaved head that are kept so; 0: all.</param>
internal readonly record struct TensorPart(string Name, int Rows, int InterleavedHead = 0, int First = 0, int Of = 0, int Turned = 0)
{
    public int AllRows => Of == 0 ? Rows : Of;
}

/// <summary>
/// Brings a checkpoint's tensors into the kernels' memory. Matrices are asked for first: each is checked by name and shape and described;
/// then <see cref="Run"/> makes one block for all of them and packs them, in the order in which they were asked for. Vectors, which are
/// small, are read as they are asked for.
/// </summary>
internal sealed class WeightLoader(ITensorSource source, IKernels kernels) : IDisposable
{
    private const int Alignment = 64;

    private readonly List<(WeightMatrix Matrix, TensorPart[] Parts, bool Transposed)> _matrices = [];
    private readonly List<MemoryBlock> _blocks = [];
    private long _vectorOffset;

    /// <summary>The matrix <c>[outputs, inputs]</c>, which the checkpoint may hold transposed.</summary>
    public WeightMatrix Matrix(string name, int outputs, int inputs, bool transposed = false) =>
        Ask([new TensorPart(name, outputs)], inputs, transposed);

    /// <summary>The matrix that some rows of a tensor are.</summary>
    public WeightMatrix Matrix(TensorPart part, int inputs) => Ask([part], inputs, transposed: false);

    /// <summary>Several matrices of equal inputs, their outputs side by side: those of one format that follow each other as one.</summary>
    public WeightMatrix[] Stacked(ReadOnlySpan<TensorPart> parts, int inputs)
    {
        var stacks = new List<WeightMatrix>();
        int first = 0;
        for (int i = 1; i <= parts.Length; i++)
        {
            if (i == parts.Length || FormatOf(parts[i], inputs) != FormatOf(parts[first], inputs))
            {
                stacks.Add(Ask(parts[first..i].ToArray(), inputs, transposed: false));
                first = i;
            }
        }

        return [.. stacks];
    }

    /// <summary>Vectors one behind the other, as F32.</summary>
    /// <param name="offset">Added to each.</param>
    /// <param name="scale">Each is multiplied by it.</param>
    public Tensor Vector(ReadOnlySpan<TensorPart> parts, float offset = 0, float scale = 1)
    {
        float[] values = Values(parts);
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = scale * (values[i] + offset);
        }

        return Vector(values);
    }

    /// <summary>A vector of ones: the weights of a norm that has none.</summary>
    public Tensor Ones(int length)
    {
        float[] values = new float[length];
        Array.Fill(values, 1f);
        return Vector(values);
    }

    /// <summary>A tensor of one number.</summary>
    /// <exception cref="InvalidDataException">It is missing, of another shape, or not finite.</exception>
    public float Number(string name)
    {
        float value = Values([new TensorPart(name, 1)])[0];
        return float.IsFinite(value) ? value : throw new InvalidDataException($"tensor \"{name}\" is {value}.");
    }

    /// <summary>F32 values of the host's as a vector.</summary>
    public Tensor Vector(float[] values)
    {
        Tensor room = Room(values.Length);
        kernels.Write(values, room.Data);
        return room;
    }

    /// <summary>The numbers of a small tensor of any shape.</summary>
    public unsafe float[] Values(string name, params ReadOnlySpan<int> shape)
    {
        StoredTensor tensor = source.Read(name, shape);
        float[] values = new float[tensor.Rows * tensor.Columns];
        for (int row = 0; row < tensor.Rows; row++)
        {
            fixed (float* target = &values[row * tensor.Columns])
            {
                tensor.Format.Decode((byte*)tensor.RowAddress(row), tensor.Columns, target);
            }
        }

        source.Release(tensor);
        return values;
    }

    /// <summary>The numbers of vectors one behind the other.</summary>
    public unsafe float[] Values(ReadOnlySpan<TensorPart> parts)
    {
        int length = 0;
        foreach (TensorPart part in parts)
        {
            _ = source.FormatOf(part.Name, part.Rows);
            length += part.Rows;
        }

        float[] values = new float[length];
        int at = 0;
        foreach (TensorPart part in parts)
        {
            StoredTensor vector = source.Read(part.Name, part.Rows);
            float[] own = new float[part.Rows];
            fixed (float* target = own)
            {
                vector.Format.Decode((byte*)vector.Data, part.Rows, target);
            }

            for (int i = 0; i < part.Rows; i++)
            {
                values[at++] = vector.Scale * own[MatrixPart.SourceRow(i, part.InterleavedHead, part.Turned)];
            }

            source.Release(vector);
        }

        return values;
    }

    /// <summary>Packs every matrix that was asked for. Their memory, and that of the vectors, is the caller's from here on.</summary>
    /// <param name="progress">Is told how far it is, from whichever thread.</param>
    public IReadOnlyList<MemoryBlock> Run(Action<LoadProgress>? progress)
    {
        long bytes = 0;
        foreach ((WeightMatrix matrix, _, _) in _matrices)
        {
            bytes += Aligned(matrix.Bytes);
        }

        MemoryBlock block = kernels.Allocate(Math.Max(Alignment, bytes));
        _blocks.Add(block);
        long offset = 0;
        foreach ((WeightMatrix matrix, TensorPart[] parts, bool transposed) in _matrices)
        {
            matrix.Place(block, offset);
            offset += Aligned(matrix.Bytes);
            StoredTensor[] tensors = Array.ConvertAll(parts, part => Read(part, matrix.Columns, transposed));
            Pack(matrix, parts, [.. tensors.Zip(
                parts, (tensor, part) => new MatrixPart(Rows(tensor, part), transposed, part.InterleavedHead, part.Turned))]);
            Array.ForEach(tensors, source.Release);
            progress?.Invoke(new LoadProgress(offset, bytes));
        }

        MemoryBlock[] all = [.. _blocks];
        _blocks.Clear();
        return all;
    }

    /// <summary>Frees what <see cref="Run"/> did not hand over.</summary>
    public void Dispose() => _blocks.ForEach(block => block.Dispose());

    private void Pack(WeightMatrix matrix, TensorPart[] parts, MatrixPart[] rows)
    {
        try
        {
            kernels.Pack(matrix, rows);
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"tensor {string.Join(" or ", parts.Select(part => $"\"{part.Name}\""))}: {error.Message}",
                error);
        }
    }

    private WeightMatrix Ask(TensorPart[] parts, int inputs, bool transposed)
    {
        WeightFormat format = transposed ? source.FormatOf(parts[0].Name, inputs, parts[0].Rows) : FormatOf(parts[0], inputs);
        bool scaled = Array.Exists(parts, part => source.ScaleOf(part.Name) != 1);
        WeightMatrix matrix = kernels.Describe(format, parts.Sum(part => part.Rows), inputs, scaled);
        _matrices.Add((matrix, parts, transposed));
        return matrix;
    }

    /// <summary>The rows of a tensor that are meant.</summary>
    private static StoredTensor Rows(StoredTensor tensor, TensorPart part) =>
        part.Of == 0 ? tensor : tensor with { Rows = part.Rows, Data = tensor.RowAddress(part.First) };

    private WeightFormat FormatOf(TensorPart part, int inputs) => source.FormatOf(part.Name, part.AllRows, inputs);

    private StoredTensor Read(TensorPart part, int inputs, bool transposed) =>
        transposed ? source.Read(part.Name, inputs, part.Rows) : source.Read(part.Name, part.AllRows, inputs);

    /// <summary>Room for a vector. Vectors share blocks: on a device each allocation takes whole megabytes.</summary>
    private Tensor Room(int length)
    {
        const long VectorBlock = 1 << 20;
        long bytes = Aligned((long)length * sizeof(float));
        if (_blocks.Count == 0 || _vectorOffset + bytes > _blocks[^1].Bytes)
        {
            _blocks.Add(kernels.Allocate(Math.Max(VectorBlock, bytes), sparse: true));
            _vectorOffset = 0;
        }

        Tensor room = _blocks[^1].View(DType.F32, 1, length, length, _vectorOffset);
        _vectorOffset += bytes;
        return room;
    }

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}
