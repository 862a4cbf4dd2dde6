using Understory.Models.Kernels.Cpu.Weights;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>What all CPU sets share: one layout of weights, one of inputs, one of the cache.</summary>
internal abstract class CpuKernels : IKernels
{
    public abstract string Name { get; }

    public MemoryBlock Allocate(long bytes, bool sparse) => new NativeMemoryBlock(bytes, sparse);

    public long? FreeBytes => HostMemory.FreeBytes;

    public WeightMatrix Describe(WeightFormat format, int outputs, int inputs, bool scaled = false) => format switch
    {
        QuantisedFormat quantised => new QuantisedMatrix(quantised, outputs, inputs, scaled),
        DenseFormat dense => new DenseMatrix(dense, dense.Type, outputs, inputs, scaled),
        // E4M3 is exact in BF16: where a row has one scale, the scale need not be rounded into the weights.
        _ => new DenseMatrix(format, DType.BF16, outputs, inputs, scaled || (format as Float8Format)?.IsOfRows(inputs) == true),
    };

    /// <summary>Blocks of 16 outputs lie one behind the other; factors would lie behind the last one.</summary>
    public unsafe WeightMatrix? Leading(WeightMatrix matrix, int outputs)
    {
        if (outputs % CpuMatrix.BlockRows != 0 || outputs > matrix.Rows || ((CpuMatrix)matrix).Factors != null)
        {
            return null;
        }

        WeightMatrix leading = Describe(matrix.Format, outputs, matrix.Columns);
        leading.Share(matrix);
        return leading;
    }

    public virtual bool TryMap(WeightMatrix matrix) => false;

    public void Pack(WeightMatrix matrix, params ReadOnlySpan<MatrixPart> parts)
    {
        var target = (CpuMatrix)matrix;
        var rows = new MatrixRows(matrix, parts);
        if (target.IsMapped)
        {
            target.Map(rows);
            return;
        }

        // A range takes some hundred kilobytes: enough to be worth a thread's while, and whole pages of a source whose rows are inputs.
        const long RangeBytes = 512 << 10;
        int together = (int)Math.Clamp(RangeBytes * target.Blocks / Math.Max(1, matrix.Bytes), 1, target.Blocks);
        MatrixRows.InParallel(
            (target.Blocks + together - 1) / together,
            range => target.Pack(rows, range * together, Math.Min(target.Blocks, (range + 1) * together)));
    }

    public ProductInput CreateInput(int maxRows, int columns, IReadOnlyCollection<WeightFormat> readers) =>
        new CpuInput(maxRows, columns, readers);

    public void Write(ReadOnlySpan<float> values, InputRows row) => values.CopyTo(CpuInput.Write(row).Floats(0));

    public void Read(InputRows row, Span<float> values) => CpuInput.Read(row).Floats(0)[..values.Length].CopyTo(values);

    public IReadOnlyList<CacheType> CacheTypes { get; } = Enum.GetValues<CacheType>();

    public MemoryBlock AllocateCache(Span<KvLayer> layers, ReadOnlySpan<KvShape> shapes, CacheType type, int slots) =>
        CacheLayout.Allocate(layers, shapes, type, slots);

    public void MoveSlots(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to) => CacheLayout.MoveSlots(layers, from, to);

    public void CopySlots(ReadOnlySpan<KvLayer> source, ReadOnlySpan<KvLayer> destination, int count) =>
        CacheLayout.CopySlots(source, destination, count);

    public abstract void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output, float scale);

    public abstract void Normalize(Tensor x, in Norm norm, InputRows output);

    public abstract void Normalize(Tensor x, in Norm norm);

    public void Take(Tensor x, InputRows output)
    {
        Tensor rows = CpuInput.Write(output);
        for (int row = 0; row < x.Rows; row++)
        {
            x.Floats(row).CopyTo(rows.Floats(row));
        }
    }

    public void Multiply(in ProductSource x, Projection weights, Tensor y) => Product(Ready(x), weights, y, new Epilogue());

    public void MultiplyAdd(in ProductSource x, Projection weights, Tensor y, float scale) =>
        Product(Ready(x), weights, y, new Epilogue(Add: true, Scale: scale));

    public abstract void NormalizeAdd(Tensor x, in Norm norm, Tensor y);

    public void MultiplyActivate(in ProductSource x, Projection weights, Activation activation, InputRows y) =>
        Product(Ready(x), weights, CpuInput.Write(y), new Epilogue(activation));

    public void MultiplyGate(in ProductSource x, Projection weights, Activation activation, InputRows y) =>
        Product(Ready(x), weights, CpuInput.Write(y), new Epilogue(activation) { Times = true });

    public void MultiplyGated(in ProductSource x, Projection gate, Projection up, Activation activation, InputRows y) =>
        GatedProduct(Ready(x), gate, up, activation, CpuInput.Write(y));

    public void Route(Tensor logits, in RouterParams router, Routing routing)
    {
        routing.Begin(logits.Rows, router.Used, logits.Columns);
        ReadOnlySpan<float> scales = router.ExpertScales.Data == 0 ? [] : router.ExpertScales.Floats(0);
        for (int row = 0; row < logits.Rows; row++)
        {
            routing.Choose(row, logits.Floats(row), router, scales);
        }

        routing.Gather();
    }

    public void MultiplyExperts(
        InputRows x, Routing routing, ExpertProjection gate, ExpertProjection up, in GatedUnit unit, InputRows gathered, InputRows y)
    {
        Gather(CpuInput.Read(x), routing, CpuInput.Write(gathered));
        ExpertProduct(gathered, routing, gate, up, unit, CpuInput.Write(y));
    }

    public void MultiplyExperts(InputRows x, Routing routing, ExpertProjection weights, Tensor y) =>
        ExpertProduct(x, routing, weights, null, default, y);

    public abstract void SumExperts(Tensor x, Routing routing, Tensor y);

    public abstract void Add(Tensor x, Tensor gate, float scale, Tensor y);

    public abstract void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch);

    public void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, InputRows output) =>
        Attend(queries, layer, attention, batch, CpuInput.Write(output));

    public void Recur(
        Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int first, InputRows output) =>
        Recur(inputs, recurrent, layer, walk, first, CpuInput.Write(output));

    public abstract void Cap(Tensor x, float scale, float cap);

    public abstract void Decide(Tensor logits, DecisionBatch decision);

    public virtual void Dispose() => GC.SuppressFinalize(this);

    /// <summary><c>y = activation(x w^T + bias)</c>, <c>y += scale (x w^T + bias)</c>, or <c>y *= activation(x w^T + bias)</c></summary>
    protected abstract void Product(InputRows x, Projection weights, Tensor y, Epilogue epilogue);

    /// <summary><c>y = activation(x gate^T + bias) * (x up^T + bias)</c></summary>
    protected abstract void GatedProduct(InputRows x, Projection gate, Projection up, Activation activation, Tensor y);

    /// <summary>Each place's row.</summary>
    protected abstract void Gather(Tensor x, Routing routing, Tensor output);

    /// <summary>Products of each expert's places with its matrix, gated where there is an up.</summary>
    protected abstract void ExpertProduct(
        InputRows x, Routing routing, ExpertProjection weights, ExpertProjection? up, in GatedUnit unit, Tensor y);

    protected abstract void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output);

    protected abstract void Recur(
        Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int first, Tensor output);

    private InputRows Ready(in ProductSource x)
    {
        if (x.X.Data != 0)
        {
            Normalize(x.X, x.Norm, x.Rows);
        }

        return x.Rows;
    }
}

/// <summary>What happens to a product on its way out.</summary>
/// <param name="Add">Adds to what <c>y</c> holds, the residual, so many times what came of the product.</param>
internal readonly record struct Epilogue(Activation Activation, bool Add = false, float Scale = 1)
{
    /// <summary>Multiplies what <c>y</c> holds by what came of the product.</summary>
    public bool Times { get; init; }

    public Epilogue()
        : this(Activation.None)
    {
    }

    public Epilogue(bool Add, float Scale)
        : this(Activation.None, Add, Scale)
    {
    }
}
