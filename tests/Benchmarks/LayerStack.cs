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
    private readonly Tensor _normed;
    private readonly Tensor _qkv;
    private readonly Tensor _attended;
    private readonly Tensor _hidden;
    private readonly Tensor _logits;
    private readonly int _width;
    private readonly int _heads;
    private readonly MemoryBlock _cache;
    private long _cacheUsed;
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

        _cache = kernels.Allocate(2 * layers * KvLayer.Bytes(DType.BF16, _heads, width / _heads, context));
        _blocks.Add(_cache);
        _layers = [.. Enumerable.Range(0, layers).Select(_ => new Layer(
            Matrix(3 * width, width), Matrix(width, width), Matrix(4 * width, width), Matrix(width, 4 * width), Cache(context)))];
        _embedding = Matrix(vocabulary, width);
        PassBytes = _used;
        _positions = Matrix(context, width);
        _ones = Activation(1, 4 * width);
        _ones.Floats(0).Fill(1);
        _zeros = Activation(1, 4 * width);
        _x = Activation(maxRows, width);
        _normed = Activation(maxRows, width);
        _qkv = Activation(maxRows, 3 * width);
        _attended = Activation(maxRows, width);
        _hidden = Activation(maxRows, 4 * width);
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
        Tensor normed = _normed.RowRange(0, rows);
        Tensor qkv = _qkv.RowRange(0, rows);
        Tensor attended = _attended.RowRange(0, rows);
        Tensor hidden = _hidden.RowRange(0, rows);
        Tensor bias = _zeros;
        int headDim = _width / _heads;
        AttentionParams attention = new(_heads, _heads, headDim, 1 / MathF.Sqrt(headDim), 0);
        clock.Start();
        _kernels.Embed(_embedding, _positions, batch, x);
        clock.Stop(0);
        foreach (Layer layer in _layers)
        {
            Norm(x, normed);
            clock.Stop(1);
            _kernels.MatMul(layer.Qkv, normed, qkv, new Epilogue(bias));
            clock.Stop(2);
            _kernels.StoreKeysValues(qkv, _heads, default, layer.Cache, batch);
            clock.Stop(3);
            _kernels.Attend(qkv.ColumnRange(0, _width), layer.Cache, attention, batch, attended);
            clock.Stop(4);
            _kernels.MatMul(layer.Output, attended, x, new Epilogue(bias, AddToOutput: true));
            clock.Stop(5);
            Norm(x, normed);
            clock.Stop(1);
            _kernels.MatMul(layer.Up, normed, hidden, new Epilogue(bias, Models.Kernels.Activation.GeluTanh));
            clock.Stop(6);
            _kernels.MatMul(layer.Down, hidden, x, new Epilogue(bias, AddToOutput: true));
            clock.Stop(7);
        }

        int logitsRows = batch.LogitsRows;
        Logits = _logits.RowRange(0, logitsRows);
        Norm(x.RowRange(batch.FirstLogitsRow, logitsRows), normed.RowRange(0, logitsRows));
        clock.Stop(1);
        _kernels.MatMul(_embedding, normed.RowRange(0, logitsRows), Logits, default);
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

    private void Norm(Tensor x, Tensor output) =>
        _kernels.LayerNorm(x, _ones with { Columns = _width }, _zeros with { Columns = _width }, 1e-5f, output);

    private WeightMatrix Matrix(int outputs, int inputs)
    {
        long bytes = _kernels.PackedBytes(DType.BF16, outputs, inputs);
        WeightMatrix matrix = new(DType.BF16, outputs, inputs, _weights.Address + (nint)_used, bytes);
        _used += bytes;
        return matrix;
    }

    private Tensor Activation(int rows, int columns)
    {
        int stride = (columns + 15) & ~15;
        MemoryBlock block = _kernels.Allocate((long)rows * stride * 4);
        _blocks.Add(block);
        return block.View(DType.F32, rows, columns, stride);
    }

    private KvLayer Cache(int slots)
    {
        long bytes = KvLayer.Bytes(DType.BF16, _heads, _width / _heads, slots);
        nint keys = _cache.Address + (nint)_cacheUsed;
        _cacheUsed += 2 * bytes;
        return new KvLayer(DType.BF16, _heads, _width / _heads, slots, keys, keys + (nint)bytes);
    }

    private sealed record Layer(WeightMatrix Qkv, WeightMatrix Output, WeightMatrix Up, WeightMatrix Down, KvLayer Cache);
}
