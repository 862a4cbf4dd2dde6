using System.Runtime.InteropServices;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// A decoder-only transformer: one forward pass for every family, steered by <see cref="ModelConfig"/>. A row's logits do not depend on which
/// other rows are in the batch. Not thread-safe.
/// </summary>
public sealed class Transformer : IDisposable
{
    private readonly Weights _weights;
    private readonly Activations _activations;
    private readonly RotaryTables? _rotary;
    private readonly AttentionParams[] _attention;
    private readonly DType _cacheType;
    private int _firstLogitsRow;

    /// <param name="weights">Owned from here on.</param>
    /// <param name="cacheType">Type that keys and values are rounded to.</param>
    /// <param name="maxRows">Most rows of one pass; null: as many as the kernels deem worth the memory.</param>
    public Transformer(ModelConfig config, Weights weights, IKernels kernels, DType cacheType, int? maxRows = null)
    {
        Config = config;
        Kernels = kernels;
        _weights = weights;
        _cacheType = cacheType;
        _activations = new Activations(config, kernels, kernels.ProductInput(weights.ProductType), maxRows);
        MaxRows = _activations.Logits.Rows;
        _rotary = config.Rotary is { } rotary ? new RotaryTables(rotary, config.ContextLength, kernels) : null;
        float scale = (float)(1 / Math.Sqrt(config.HeadDim));
        _attention = [.. Enumerable.Range(0, config.Layers).Select(layer =>
            new AttentionParams(config.Heads, config.KvHeads, config.HeadDim, scale, config.Window(layer)))];
    }

    public ModelConfig Config { get; }

    public IKernels Kernels { get; }

    public int MaxRows { get; }

    /// <summary>Bytes of weights that a pass reads, whatever its rows.</summary>
    public long WeightBytes => _weights.BytesPerPass;

    /// <summary>An empty cache for this model.</summary>
    /// <param name="tokens">Committed tokens that must fit.</param>
    /// <param name="spare">Further slots for tree nodes.</param>
    public KvCache CreateCache(int tokens, int spare = 64) => new(Config, Kernels, _cacheType, tokens, spare);

    /// <summary>
    /// One pass over the rows of <paramref name="batch"/>; their keys and values go to <paramref name="cache"/>.
    /// </summary>
    /// <returns>Logits F32 <c>[batch.LogitsRows, vocabulary]</c>, valid until the next pass.</returns>
    /// <exception cref="ArgumentException">A row names a token, position or slot that does not exist.</exception>
    public Tensor Forward(ForwardBatch batch, KvCache cache)
    {
        (int last, int slots) = Check(batch, cache);
        _rotary?.Reach(last + 1);
        cache.Reach(slots);
        _firstLogitsRow = batch.FirstLogitsRow;
        if (Kernels.BeginPass(this, batch, cache.Layers))
        {
            RunLayers(batch, cache);
            Kernels.EndPass();
        }

        return _activations.Logits.RowRange(0, batch.LogitsRows);
    }

    /// <summary>
    /// Copies the final hidden state of row <paramref name="row"/> of the last pass's logits, F32 <c>[hidden]</c>: what stands behind the last norm,
    /// rounded as the kernels round what they multiply.
    /// </summary>
    public void ReadHidden(int row, Span<float> state)
    {
        // Within a pass a set may norm on the way into the product, and keep nothing.
        Tensor normed = Norm(_activations.Residual.RowRange(_firstLogitsRow + row, 1), _weights.FinalNorm);
        if (normed.Type == DType.F32)
        {
            Kernels.Read(normed.Data, state[..Config.HiddenSize]);
            return;
        }

        float[] packed = new float[(Config.HiddenSize + 1) / 2];
        Kernels.Read(normed.Data, packed);
        ReadOnlySpan<ushort> halves = MemoryMarshal.Cast<float, ushort>(packed.AsSpan());
        for (int i = 0; i < Config.HiddenSize; i++)
        {
            state[i] = normed.Type == DType.BF16 ? BitConverter.UInt32BitsToSingle((uint)halves[i] << 16) : (float)BitConverter.UInt16BitsToHalf(halves[i]);
        }
    }

    public void Dispose()
    {
        _rotary?.Dispose();
        _activations.Dispose();
        _weights.Dispose();
    }

    /// <summary>Every operation of a pass.</summary>
    private void RunLayers(ForwardBatch batch, KvCache cache)
    {
        Tensor x = _activations.Residual.RowRange(0, batch.Count);
        Kernels.Embed(_weights.Embedding, _weights.Positions, batch, x);
        for (int layer = 0; layer < Config.Layers; layer++)
        {
            // Behind the last layer's attention only rows whose logits are wanted go on.
            int first = layer == Config.Layers - 1 ? batch.FirstLogitsRow : 0;
            AddAttention(x, layer, first, cache.Layers[layer], batch);
            x = x.RowRange(first, batch.Count - first);
            AddMlp(x, _weights.Layers[layer]);
        }

        if (x.Rows > 0)
        {
            Kernels.MatMul(_weights.Head, Norm(x, _weights.FinalNorm), _activations.Logits.RowRange(0, x.Rows), default);
        }
    }

    /// <summary><c>x += output(attend(qkv(norm(x))))</c>, the sum from row <paramref name="first"/> on.</summary>
    private void AddAttention(Tensor x, int layer, int first, KvLayer cache, ForwardBatch batch)
    {
        LayerWeights weights = _weights.Layers[layer];
        Tensor qkv = _activations.Qkv.RowRange(0, x.Rows);
        Tensor attended = _activations.Attended.RowRange(0, x.Rows);
        Kernels.MatMul(weights.Qkv.Matrix, Norm(x, weights.AttentionNorm), qkv, new Epilogue(weights.Qkv.Bias));
        Kernels.StoreKeysValues(qkv, Config.Heads, Rotation(weights), cache, batch);
        if (first < x.Rows)
        {
            Kernels.Attend(qkv.ColumnRange(0, Config.QuerySize), cache, _attention[layer], batch, attended);
            AddProjection(weights.AttentionOutput, attended.RowRange(first, x.Rows - first), x.RowRange(first, x.Rows - first));
        }
    }

    /// <summary><c>x += down(activation(gate(norm(x))) * up(norm(x)))</c>, or without the gate <c>x += down(activation(up(norm(x))))</c>.</summary>
    private void AddMlp(Tensor x, LayerWeights weights)
    {
        if (x.Rows == 0)
        {
            return;
        }

        Tensor normed = Norm(x, weights.MlpNorm);
        Tensor intermediate = _activations.Intermediate.RowRange(0, x.Rows);
        if (weights.Gate is { } gate)
        {
            Kernels.GatedMatMul(gate, weights.Up.Matrix, normed, intermediate, Config.Activation);
        }
        else
        {
            Kernels.MatMul(weights.Up.Matrix, normed, intermediate, new Epilogue(weights.Up.Bias, Config.Activation));
        }

        AddProjection(weights.Down, intermediate, x);
    }

    private void AddProjection(Projection projection, Tensor x, Tensor residual) =>
        Kernels.MatMul(projection.Matrix, x, residual, new Epilogue(projection.Bias, AddToOutput: true));

    private Tensor Norm(Tensor x, NormWeights weights)
    {
        Tensor normed = _activations.Normed.RowRange(0, x.Rows);
        if (Config.Norm == NormKind.LayerNorm)
        {
            Kernels.LayerNorm(x, weights.Weight, weights.Bias, Config.NormEpsilon, normed);
        }
        else
        {
            Kernels.RmsNorm(x, weights.Weight, Config.NormEpsilon, normed);
        }

        return normed;
    }

    private RotaryParams Rotation(LayerWeights weights) => _rotary is { } tables
        ? new RotaryParams(tables.Cosine, tables.Sine, 2 * tables.Cosine.Columns, weights.QueryNorm, weights.KeyNorm, Config.NormEpsilon)
        : default;

    /// <summary>Kernels follow these numbers into memory without looking. Returns the last position, -1 where there is no row, and the slots that are written or read.</summary>
    private (int Last, int Slots) Check(ForwardBatch batch, KvCache cache)
    {
        int last = -1;
        int slots = 0;
        ArgumentOutOfRangeException.ThrowIfNotEqual(cache.Layers.Length, Config.Layers);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(batch.Count, MaxRows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)batch.FirstLogitsRow, (uint)batch.Count);
        for (int row = 0; row < batch.Count; row++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)batch.Tokens[row], (uint)Config.VocabularySize);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)batch.Positions[row], (uint)Config.ContextLength);
            last = Math.Max(last, batch.Positions[row]);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)batch.Slots[row], (uint)cache.Slots);
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)batch.Prefix[row], (uint)cache.Slots);
            slots = Math.Max(slots, Math.Max(batch.Slots[row] + 1, batch.Prefix[row]));
            foreach (int slot in batch.Ancestors.AsSpan(row * batch.MaxDepth, batch.AncestorCount[row]))
            {
                ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)slot, (uint)cache.Slots);
                slots = Math.Max(slots, slot + 1);
            }
        }

        return (last, slots);
    }
}
