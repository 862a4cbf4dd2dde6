using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Benchmarks;

/// <summary>The operations of a GPT-2-shaped model over random bf16 weights: what a pass costs, whatever it computes.</summary>
internal sealed unsafe class LayerStack : IDisposable
{
    private readonly IKernels _kernels;
    private readonly List<MemoryBlock> _blocks = [];
    private readonly Layer[] _layers;
    private readonly MemoryBlock _weights;
    private readonly WeightMatrix _embedding;
    private readonly WeightMatrix _positions;
    private readonly Tensor _ones;
    private readonly Tensor _zeros;
    private readonly Tensor _x;
    private readonly ProductInput _normed;
    private readonly Tensor _qkv;
    private readonly ProductInput _attended;
    private readonly ProductInput _hidden;
    private readonly Tensor _logits;
    private readonly int _width;
    private readonly int _heads;
    private readonly KvLayer[] _cache;
    private long _used;

    public LayerStack(IKernels kernels, int width, int layers, int vocabulary, int context, int maxRows)
    {
        _kernels = kernels;
        _width = width;
        _heads = Math.Max(1, width / 64);
        long elements = ((long)layers * 12 * width * width) + ((long)vocabulary * width) + ((long)context * width);
        _weights = kernels.Allocate((elements * 2) + (4096L * layers));
        Random random = new(1);
        Span<ushort> all = new((void*)_weights.Address, (int)(_weights.Bytes / 2));
        foreach (ref ushort weight in all)
        {
            weight = (ushort)(BitConverter.SingleToUInt32Bits((random.NextSingle() - 0.5f) * 0.05f) >> 16);
        }

        _ones = Activation(1, 4 * width);
        _ones.Floats(0).Fill(1);
        _zeros = Activation(1, 4 * width);
        _cache = new KvLayer[layers];
        KvShape[] shapes = [.. Enumerable.Repeat(new KvShape(_heads, width / _heads), layers)];
        _blocks.Add(kernels.AllocateCache(_cache, shapes, CacheType.BF16, context));
        _layers = [.. Enumerable.Range(0, layers).Select(_ => new Layer(
            Biased(3 * width, width), Biased(width, width), Biased(4 * width, width), Biased(width, 4 * width)))];
        _embedding = Matrix(vocabulary, width);
        PassBytes = _used;
        _positions = Matrix(context, width);
        _x = Activation(maxRows, width);
        _normed = kernels.CreateInput(maxRows, width, [DenseFormat.BF16]);
        _qkv = Activation(maxRows, 3 * width);
        _attended = kernels.CreateInput(maxRows, width, [DenseFormat.BF16]);
        _hidden = kernels.CreateInput(maxRows, 4 * width, [DenseFormat.BF16]);
        _logits = Activation(maxRows, vocabulary);
    }

    /// <summary>Bytes of weights that every pass reads.</summary>
    public long PassBytes { get; }

    /// <summary>Multiplications and additions of one row's way through the layers, without the head.</summary>
    public double LayerFlops => 2.0 * 12 * _width * _width * _layers.Length;

    public nint Weights => _weights.Address;

    /// <summary>Logits of the last pass.</summary>
    public Tensor Logits { get; private set; }

    public void Forward(ForwardBatch batch, Clock clock)
    {
        int rows = batch.Count;
        Tensor x = _x.RowRange(0, rows);
        InputRows normed = _normed.Rows(0, rows);
        Tensor qkv = _qkv.RowRange(0, rows);
        InputRows attended = _attended.Rows(0, rows);
        InputRows hidden = _hidden.Rows(0, rows);
        int headDim = _width / _heads;
        AttentionParams attention = new(_heads, _heads, headDim, 1 / MathF.Sqrt(headDim), 0);
        clock.Start();
        _kernels.Embed(_embedding, _positions, batch, x);
        clock.Stop(0);
        for (int i = 0; i < _layers.Length; i++)
        {
            (Layer layer, KvLayer cache) = (_layers[i], _cache[i]);
            Norm(x, normed);
            clock.Stop(1);
            _kernels.Multiply(normed, layer.Qkv, qkv);
            clock.Stop(2);
            _kernels.StoreKeysValues(qkv, _heads, default, cache, batch);
            clock.Stop(3);
            _kernels.Attend(qkv.ColumnRange(0, _width), cache, attention, batch, attended);
            clock.Stop(4);
            _kernels.MultiplyAdd(attended, layer.Output, x);
            clock.Stop(5);
            Norm(x, normed);
            clock.Stop(1);
            _kernels.MultiplyActivate(normed, layer.Up, Models.Kernels.Activation.GeluTanh, hidden);
            clock.Stop(6);
            _kernels.MultiplyAdd(hidden, layer.Down, x);
            clock.Stop(7);
        }

        int logitsRows = batch.LogitsRows;
        Logits = _logits.RowRange(0, logitsRows);
        Norm(x.RowRange(batch.FirstLogitsRow, logitsRows), normed.Range(0, logitsRows));
        clock.Stop(1);
        _kernels.Multiply(normed.Range(0, logitsRows), new Projection(_embedding), Logits);
        clock.Stop(8);
    }

    public void Dispose()
    {
        _weights.Dispose();
        foreach (MemoryBlock block in _blocks)
        {
            block.Dispose();
        }
    }

    private void Norm(Tensor x, InputRows output) =>
        _kernels.Normalize(x, new Norm(NormKind.LayerNorm, _ones with { Columns = _width }, _zeros with { Columns = _width }, 1e-5f),
            output);

    private Projection Biased(int outputs, int inputs) => new(Matrix(outputs, inputs), _zeros with { Columns = outputs });

    private WeightMatrix Matrix(int outputs, int inputs)
    {
        WeightMatrix matrix = _kernels.Describe(DenseFormat.BF16, outputs, inputs);
        matrix.Place(_weights, _used);
        _used += matrix.Bytes;
        return matrix;
    }

    private Tensor Activation(int rows, int columns)
    {
        int stride = (columns + 15) & ~15;
        MemoryBlock block = _kernels.Allocate((long)rows * stride * 4);
        _blocks.Add(block);
        return block.View(DType.F32, rows, columns, stride);
    }

    private sealed record Layer(Projection Qkv, Projection Output, Projection Up, Projection Down);
}
