using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// A decoder-only transformer: one forward pass for every family, steered by <see cref="ModelConfig"/>. A row's logits do not depend on
/// which other rows are in the batch. Not thread-safe.
/// </summary>
public sealed class Transformer : IDisposable
{
    private readonly Weights _weights;
    private readonly Activations _activations;
    private readonly RotaryTables[] _rotaries;
    private readonly HeadInput? _head;
    private readonly LayerPasses _layers;
    private LayerStates? _states;

    /// <param name="weights">Owned from here on.</param>
    /// <param name="cacheType">Type that keys and values are rounded to.</param>
    /// <param name="maxRows">Most rows of one pass; null: as many as the kernels deem worth the memory.</param>
    public Transformer(ModelConfig config, Weights weights, IKernels kernels, CacheType cacheType, int? maxRows = null)
    {
        config.RequireOf(kernels);
        Config = config;
        Kernels = kernels;
        _weights = weights;
        CacheType = cacheType;
        _activations = new Activations(config, weights, kernels, maxRows);
        MaxRows = _activations.Logits.Rows;
        _head = config.Head is null ? null : new HeadInput(config, weights, kernels, MaxRows);
        _rotaries = [.. config.Rotaries.Select(rotary => new RotaryTables(rotary, config.ContextLength, kernels))];
        _layers = new LayerPasses(config, weights, kernels, _activations, _rotaries, _head);
    }

    public ModelConfig Config { get; }

    public IKernels Kernels { get; }

    public int MaxRows { get; }

    /// <summary>Type that keys and values are rounded to.</summary>
    public CacheType CacheType { get; }

    internal Weights Weights => _weights;

    /// <summary>How many numbers its weights are.</summary>
    public long Parameters => _weights.Parameters;

    /// <summary>Bytes of weights that a pass of one row reads.</summary>
    public long WeightBytes => _weights.BytesPerPass;

    /// <summary>Bytes of weights in memory.</summary>
    public long HeldBytes => _weights.Bytes;

    /// <summary>
    /// Bytes of weights that a pass of so many rows reads: of E experts, of which each row chooses k, <c>E (1 - (1 - k / E)^rows)</c>
    /// where rows choose independently of each other.
    /// </summary>
    public double ExpectedBytes(int rows) => _weights.ExpectedBytes(rows);

    /// <summary>What a pass reads depends on the experts that its rows choose.</summary>
    public bool HasExperts => _activations.Experts is not null;

    /// <summary>Bytes of experts that stay in their file, because memory does not suffice for all.</summary>
    public long MappedBytes => _weights.MappedBytes;

    /// <summary>Bytes of keys and values of a token, all layers.</summary>
    public long CacheBytesPerToken => KvCache.SlotBytes(Config, CacheType);

    /// <summary>An empty cache for this model.</summary>
    /// <param name="tokens">Committed tokens that must fit.</param>
    /// <param name="spare">Further slots for tree nodes.</param>
    public KvCache CreateCache(int tokens, int spare = 64) => new(Config, Kernels, CacheType, tokens, spare, MaxRows);

    /// <summary>A view of caches of a model of the same shapes (<see cref="KvCache.Show"/>).</summary>
    /// <param name="spare">Slots behind the committed tokens that passes over the view may write.</param>
    public KvCache CreateView(int spare) => KvCache.View(Config, Kernels, spare, MaxRows);

    /// <summary>
    /// One pass over the rows of <paramref name="batch"/>; their keys and values go to <paramref name="cache"/>.
    /// </summary>
    /// <returns>Logits F32 <c>[batch.LogitsRows, LogitsSize]</c>, valid until the next pass.</returns>
    /// <exception cref="ArgumentException">A row names a token, position or slot that does not exist.</exception>
    public Tensor Forward(ForwardBatch batch, KvCache cache)
    {
        (int last, int slots) = BatchCheck.Check(batch, cache, Config, MaxRows);
        foreach (RotaryTables tables in _rotaries)
        {
            tables.Reach(last + 1);
        }

        cache.Reach(slots);
        RecurrentWalk? walk = cache.Recurrent?.BeginPass(batch);
        if (Kernels.BeginPass(this, batch, cache.Layers))
        {
            _layers.Run(batch, cache, walk, _states);
            Kernels.EndPass();
        }

        cache.Recurrent?.EndPass();

        return _activations.Logits.RowRange(0, batch.LogitsRows);
    }

    /// <summary>
    /// Copies the final hidden state of a row that the last pass kept (<see cref="ForwardBatch.KeptRows"/>), F32 <c>[hidden]</c>: what
    /// stands behind the last norm, rounded as the kernels round what they multiply.
    /// </summary>
    public void ReadHidden(int row, Span<float> state) => Kernels.Read(_activations.Final.Rows(row, 1), state[..Config.HiddenSize]);

    /// <summary>Has passes keep the states that enter these layers, of rows from <see cref="ForwardBatch.FirstStateRow"/> on.</summary>
    /// <param name="layers">Ascending; the number of layers is behind the last one. None: the final states alone, which are always
    /// there.</param>
    public void KeepStates(IReadOnlyList<int> layers)
    {
        if (!layers.SequenceEqual(_states?.Layers ?? []))
        {
            _states?.Dispose();
            _states = layers.Count == 0 ? null : new LayerStates(Kernels, layers, MaxRows, Config.HiddenSize);
        }
    }

    /// <summary>Numbers of what <see cref="ReadState"/> reads.</summary>
    public int StateSize => Config.HiddenSize * Math.Max(1, _states?.Layers.Count ?? 0);

    /// <summary>As <see cref="ReadHidden"/>, but what <see cref="KeepStates"/> asked for, F32 <c>[layers * hidden]</c>.</summary>
    public void ReadState(int row, Span<float> state)
    {
        if (_states is null)
        {
            ReadHidden(row, state);
        }
        else
        {
            _states.Read(row, state);
        }
    }

    /// <summary>
    /// Of a draft head: the state that a row of the next pass begins from. Rows that have one of the model's come before those that have
    /// one of the head's own.
    /// </summary>
    public void WriteState(int row, ReadOnlySpan<float> state, bool own) => _head!.Write(row, state, own, _activations.Residual);

    public void Dispose()
    {
        _head?.Dispose();
        _states?.Dispose();
        Array.ForEach(_rotaries, tables => tables.Dispose());
        _activations.Dispose();
        _weights.Dispose();
    }
}
