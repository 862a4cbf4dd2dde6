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
/// <param name="Step">From one row that is meant to the next.</param>
/// <param name="Turned">Leading rows of an interleaved head that are kept so; 0: all.</param>
internal readonly record struct TensorPart(
    string Name, int Rows, int InterleavedHead = 0, int First = 0, int Of = 0, int Step = 1, int Turned = 0)
{
    public int AllRows => Of == 0 ? Rows : Of;

    /// <summary>The tensor is a stack of so many matrices, of which that of <see cref="Number"/> is meant; 0: it is one matrix.</summary>
    public int Stack { get; init; }

    public int Number { get; init; }

    /// <summary>The file has inputs as rows.</summary>
    public bool Transposed { get; init; }

    /// <summary>Of an expert, which only some rows are multiplied with: it may stay in the file.</summary>
    public bool Expert { get; init; }

    /// <summary>Blocks are widened to F32: the inputs are not to be rounded to integers.</summary>
    public bool Widened { get; init; }

    /// <summary>All weights are multiplied by it, whatever the checkpoint's own scale.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>Of the whole tensor.</summary>
    public int[] Shape(int inputs) =>
        [.. Stack > 0 ? new[] { Stack } : [], .. Transposed ? new[] { inputs, AllRows } : [AllRows, inputs]];

    /// <summary>The part, once the tensor has been read.</summary>
    public MatrixPart In(StoredTensor tensor)
    {
        int rows = Stack > 0 ? tensor.Rows / Stack : tensor.Rows;
        StoredTensor own = tensor with { Rows = rows, Data = tensor.RowAddress(Number * rows), Scale = tensor.Scale * Scale };
        return Transposed
            ? new MatrixPart(own, Transposed: true, InterleavedHead, First, Step)
            // From the first row to the last that is meant.
            : new MatrixPart(
                own with { Rows = ((Rows - 1) * Step) + 1, Data = own.RowAddress(First) }, Transposed: false, InterleavedHead, Step: Step,
                Turned: Turned);
    }
}

/// <summary>
/// Brings a checkpoint's tensors into the kernels' memory. Matrices are asked for first: each is checked by name and shape and described;
/// then <see cref="Run"/> makes one block for all of them and packs them, in the order in which they were asked for. Vectors, which are
/// small, are read as they are asked for.
/// </summary>
/// <param name="memory">Bytes that matrices may take; null: what is free.</param>
internal sealed class WeightLoader(ITensorSource source, IKernels kernels, long? memory = null) : IDisposable
{
    private const int Alignment = 64;

    private readonly List<(WeightMatrix Matrix, TensorPart[] Parts)> _matrices = [];
    private readonly Dictionary<string, int> _uses = [];
    private readonly Dictionary<string, StoredTensor> _open = [];
    private readonly Dictionary<string, NativeMemoryBlock> _widened = [];
    private readonly List<MemoryBlock> _blocks = [];
    private long _vectorOffset;

    /// <summary>The matrix <c>[outputs, inputs]</c>, which the checkpoint may hold transposed.</summary>
    public WeightMatrix Matrix(string name, int outputs, int inputs, bool transposed = false) =>
        Ask([new TensorPart(name, outputs) { Transposed = transposed }], inputs);

    /// <summary>The matrix that some rows of a tensor are.</summary>
    public WeightMatrix Matrix(TensorPart part, int inputs) => Ask([part], inputs);

    /// <summary>Those that the tensors are brought to.</summary>
    public IKernels Kernels => kernels;

    /// <summary>All matrices that were asked for.</summary>
    public IEnumerable<WeightMatrix> Matrices => _matrices.Select(asked => asked.Matrix);

    /// <summary>Bytes that <see cref="Run"/> would take for them.</summary>
    public long MatrixBytes => _matrices.Sum(asked => Aligned(asked.Matrix.HeldBytes));

    /// <summary>Bytes of matrices that stay in the file; see <see cref="Fit"/>.</summary>
    public long MappedBytes { get; private set; }

    /// <summary>Numbers of all vectors that were asked for.</summary>
    public long VectorElements { get; private set; }

    /// <summary>The checkpoint has such a tensor.</summary>
    public bool Contains(string name) => source.Contains(name);

    /// <summary>Weights of all tensors that were asked for.</summary>
    public long Parameters => Matrices.Sum(matrix => (long)matrix.Rows * matrix.Columns) + VectorElements;

    /// <summary>Several matrices of equal inputs, their outputs side by side: those of one format that follow each other as one.</summary>
    public WeightMatrix[] Stacked(ReadOnlySpan<TensorPart> parts, int inputs)
    {
        var stacks = new List<WeightMatrix>();
        int first = 0;
        for (int i = 1; i <= parts.Length; i++)
        {
            if (i == parts.Length || FormatOf(parts[i], inputs) != FormatOf(parts[first], inputs))
            {
                stacks.Add(Ask(parts[first..i].ToArray(), inputs));
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

    /// <summary>
    /// Where memory does not suffice for all matrices, has experts stay in their file, those of the last layers first, until the rest fits:
    /// a pass reads but a few of them.
    /// </summary>
    /// <exception cref="InvalidDataException">It does not suffice for the others either.</exception>
    public void Fit()
    {
        // Keys, values and activations need some too: where there is a choice, it is left to them.
        const double share = 0.9;
        long? limit = memory ?? kernels.FreeBytes;
        double? wanted = memory ?? share * limit;
        long bytes = MatrixBytes;
        long all = bytes;
        for (int i = _matrices.Count - 1; i >= 0 && bytes > wanted; i--)
        {
            (WeightMatrix matrix, TensorPart[] parts) = _matrices[i];
            if (Array.TrueForAll(parts, part => part.Expert && source.StaysMapped(part.Name)) && kernels.TryMap(matrix))
            {
                bytes -= Aligned(matrix.Bytes) - Aligned(matrix.HeldBytes);
                MappedBytes += matrix.Bytes;
            }
        }

        if (bytes > limit)
        {
            throw new InvalidDataException(
                $"its weights take {Shown(all)} of memory, {(bytes < all ? $"{Shown(bytes)} without experts, " : "")}and there is room for "
                + $"{Shown(limit.Value)}: a file of smaller types or a smaller model would fit.");
        }

        static string Shown(long size) => size >= 1e9 ? $"{size / 1e9:F1} GB" : $"{size / 1e6:F1} MB";
    }

    /// <summary>Packs every matrix that was asked for. Their memory, and that of the vectors, is the caller's from here on.</summary>
    /// <param name="progress">Is told how far it is, from whichever thread.</param>
    public IReadOnlyList<MemoryBlock> Run(Action<LoadProgress>? progress)
    {
        Fit();
        long bytes = MatrixBytes;
        MemoryBlock block = kernels.Allocate(Math.Max(Alignment, bytes));
        _blocks.Add(block);
        long offset = 0;
        foreach ((WeightMatrix matrix, TensorPart[] parts) in _matrices)
        {
            matrix.Place(block, offset);
            offset += Aligned(matrix.HeldBytes);
            Pack(matrix, parts, Array.ConvertAll(parts, part =>
            {
                StoredTensor tensor = Open(part, matrix.Columns);
                return part.In(part.Stack > 0 ? tensor with { Scale = source.ScaleOf(part.Name, part.Number) } : tensor);
            }));
            Array.ForEach(parts, Close);
            progress?.Invoke(new LoadProgress(offset, bytes));
        }

        MemoryBlock[] all = [.. _blocks];
        _blocks.Clear();
        return all;
    }

    /// <summary>Frees what <see cref="Run"/> did not hand over.</summary>
    public void Dispose()
    {
        _blocks.ForEach(block => block.Dispose());
        foreach (NativeMemoryBlock room in _widened.Values)
        {
            room.Dispose();
        }
    }

    /// <summary>Some numbers of each row of a tensor <c>[rows, columns]</c>, as F32 <c>[rows, count]</c>: biases of experts.</summary>
    /// <param name="first">The first that is meant.</param>
    /// <param name="step">From one that is meant to the next.</param>
    public unsafe Tensor Rows(string name, int rows, int columns, int count, int first = 0, int step = 1)
    {
        StoredTensor stored = source.Read(name, rows, columns);
        float[] row = new float[columns];
        float[] values = new float[rows * count];
        for (int r = 0; r < rows; r++)
        {
            fixed (float* target = row)
            {
                stored.Format.Decode((byte*)stored.RowAddress(r), columns, target);
            }

            for (int i = 0; i < count; i++)
            {
                values[(r * count) + i] = stored.Scale * row[first + (i * step)];
            }
        }

        source.Release(stored);
        return new Tensor(DType.F32, rows, count, Vector(values).Data);
    }

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

    private WeightMatrix Ask(TensorPart[] parts, int inputs)
    {
        WeightFormat format = FormatOf(parts[0], inputs);
        bool scaled = Array.Exists(parts, part => part.Scale != 1 || source.ScaleOf(part.Name, part.Number) != 1);
        WeightMatrix matrix = kernels.Describe(format, parts.Sum(part => part.Rows), inputs, scaled);
        _matrices.Add((matrix, parts));
        foreach (TensorPart part in parts)
        {
            _uses[part.Name] = _uses.GetValueOrDefault(part.Name) + 1;
        }

        return matrix;
    }

    private WeightFormat FormatOf(TensorPart part, int inputs)
    {
        WeightFormat format = source.FormatOf(part.Name, part.Shape(inputs));
        return part.Widened && format is not DenseFormat ? DenseFormat.F32 : format;
    }

    /// <summary>A tensor, read once for all matrices that are parts of it.</summary>
    private StoredTensor Open(TensorPart part, int inputs)
    {
        if (!_open.TryGetValue(part.Name, out StoredTensor tensor))
        {
            tensor = source.Read(part.Name, part.Shape(inputs));
            _open.Add(part.Name, tensor = part.Widened && tensor.Format is not DenseFormat ? Widen(part.Name, tensor) : tensor);
        }

        return tensor;
    }

    private unsafe StoredTensor Widen(string name, StoredTensor tensor)
    {
        var room = new NativeMemoryBlock((long)tensor.Rows * tensor.Columns * sizeof(float));
        _widened.Add(name, room);
        var wide = new StoredTensor(DenseFormat.F32, tensor.Rows, tensor.Columns, room.Address, tensor.Scale);
        for (int row = 0; row < tensor.Rows; row++)
        {
            tensor.Format.Decode((byte*)tensor.RowAddress(row), tensor.Columns, (float*)wide.RowAddress(row));
        }

        source.Release(tensor);
        return wide;
    }

    private void Close(TensorPart part)
    {
        if (--_uses[part.Name] == 0 && _open.Remove(part.Name, out StoredTensor tensor) && !_widened.ContainsKey(part.Name))
        {
            source.Release(tensor);
        }
    }

    /// <summary>Room for a vector. Vectors share blocks: on a device each allocation takes whole megabytes.</summary>
    private Tensor Room(int length)
    {
        const long VectorBlock = 1 << 20;
        VectorElements += length;
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
