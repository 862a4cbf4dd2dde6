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
    private readonly AttentionParams[] _attention;

    /// <summary>Layers behind it read what earlier ones keep.</summary>
    private readonly int _lastKeeping;

    private readonly HeadInput? _head;
    private LayerStates? _states;
    private ForwardBatch? _tail;
    private RecurrentWalk? _walk;

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
        _attention = [.. config.Layers.Select((layer, number) => Describe(layer.Attention, weights.Layers[number].Sinks))];
        _lastKeeping = config.Layers.Count - 1;
        while (config.Layers[_lastKeeping].Attention.KeysOf is not null)
        {
            _lastKeeping--;
        }
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
        _walk = cache.Recurrent?.BeginPass(batch);
        if (Kernels.BeginPass(this, batch, cache.Layers))
        {
            RunLayers(batch, cache);
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

    /// <summary>Every operation of a pass.</summary>
    private void RunLayers(ForwardBatch batch, KvCache cache)
    {
        Tensor x = _activations.Residual.RowRange(0, batch.Count);
        int kept = batch.KeptRows;
        int logitsRows = batch.LogitsRows;
        int states = batch.FirstStateRow < batch.Count ? kept : 0;
        BeginStream(x, batch);
        Tensor own = MakePerLayer(x, batch);
        for (int layer = 0; layer < Config.Layers.Count && x.Rows > 0; layer++)
        {
            _states?.Take(layer, x, states);
            // Behind the last layer that keeps anything of a token only rows go on of which something is wanted.
            int first = layer == _lastKeeping ? batch.Count - kept : 0;
            if (Config.Layers[layer].Recurrent is not null)
            {
                AddRecurrence(x, layer, first, cache);
            }
            else
            {
                AddAttention(x, layer, first, cache, batch);
            }

            if (first > 0)
            {
                x = x.RowRange(first, x.Rows - first);
                own = own.RowRange(Math.Min(first, own.Rows), Math.Min(x.Rows, own.Rows));
                batch = layer < Config.Layers.Count - 1 ? Tail(batch) : batch;
            }

            AddMlp(x, layer, first);
            AddPerLayer(x, layer, own);
            if (Config.Layers[layer].OutputScale)
            {
                Kernels.Cap(x, _weights.Layers[layer].OutputScale, cap: 0);
            }
        }

        _states?.Take(Config.Layers.Count, x, states);
        if (x.Rows > 0)
        {
            Kernels.Normalize(x, _weights.FinalNorm, _activations.Final.Rows(0, x.Rows));
        }

        if (logitsRows > 0)
        {
            Tensor logits = _activations.Logits.RowRange(0, logitsRows);
            Kernels.Multiply(_activations.Final.Rows(x.Rows - logitsRows, logitsRows), _weights.Head, logits);
            if (Config.LogitScale != 1 || Config.LogitCap != 0)
            {
                Kernels.Cap(logits, Config.LogitScale, Config.LogitCap);
            }
        }
    }

    /// <summary>The residual stream before the first layer.</summary>
    private void BeginStream(Tensor x, ForwardBatch batch)
    {
        if (_head is not null)
        {
            _head.Begin(_weights.Embedding, batch, x);
            return;
        }

        Kernels.Embed(_weights.Embedding, _weights.Positions, batch, x, Config.EmbeddingScale);
        if (Config.EmbeddingNorm)
        {
            Kernels.Normalize(x, _weights.EmbeddingNorm);
        }
    }

    /// <summary>The rows that are kept, as a batch.</summary>
    private ForwardBatch Tail(ForwardBatch batch)
    {
        if (_tail is null || _tail.MaxRows < batch.KeptRows || _tail.MaxDepth != batch.MaxDepth)
        {
            _tail = new ForwardBatch(batch.KeptRows, batch.MaxDepth);
        }

        _tail.TakeFrom(batch, batch.Count - batch.KeptRows);
        return _tail;
    }

    /// <summary>
    /// The layers' own inputs, side by side: <c>norm(projection(x)) + scale table[token]</c> (see <see cref="PerLayerPlan"/>); empty where
    /// they have none.
    /// </summary>
    private Tensor MakePerLayer(Tensor x, ForwardBatch batch)
    {
        if (Config.PerLayer is not { } plan || _weights.PerLayer is not { } weights || x.Rows == 0)
        {
            return default;
        }

        Tensor own = _activations.PerLayer.RowRange(0, x.Rows);
        Tensor projected = _activations.PerLayerProjected.RowRange(0, x.Rows);
        Kernels.Embed(weights.Table, positions: null, batch, own, MathF.Sqrt(plan.Width / 2f));
        Kernels.Multiply(Taken(x), weights.Projection, projected);
        for (int layer = 0; layer < Config.Layers.Count; layer++)
        {
            int column = layer * plan.Width;
            Kernels.NormalizeAdd(projected.ColumnRange(column, plan.Width), weights.Norm, own.ColumnRange(column, plan.Width));
        }

        return own;
    }

    /// <summary><c>x += output(recur(inputs(norm(x))))</c>, the sum from row <paramref name="first"/> on.</summary>
    private void AddRecurrence(Tensor x, int layer, int first, KvCache cache)
    {
        LayerWeights weights = _weights.Layers[layer];
        LayerPlan block = Config.Layers[layer];
        Tensor inputs = _activations.Qkv.RowRange(0, x.Rows).ColumnRange(0, block.ProjectedSize);
        Kernels.Multiply(Source(x, block, weights.AttentionNorm), weights.Qkv, inputs);
        int rows = x.Rows - first;
        InputRows mixed = _activations.Attended.Rows(0, rows, block.MixedSize);
        Kernels.Recur(inputs, weights.Recurrent, cache.Recurrent!.Layer(layer), _walk!, first, mixed);
        if (rows > 0)
        {
            AddBranch(mixed, weights.AttentionOutput, block, weights.AttentionNormBehind, x.RowRange(first, rows));
        }
    }

    /// <summary><c>x += output(attend(qkv(norm(x))))</c>, the sum from row <paramref name="first"/> on.</summary>
    private void AddAttention(Tensor x, int layer, int first, KvCache cache, ForwardBatch batch)
    {
        LayerWeights weights = _weights.Layers[layer];
        LayerPlan block = Config.Layers[layer];
        AttentionPlan plan = block.Attention;
        Tensor qkv = _activations.Qkv.RowRange(0, x.Rows).ColumnRange(0, plan.QkvSize);
        InputRows attended = _activations.Attended.Rows(0, x.Rows, plan.QuerySize);
        ProductSource source = Config.Head is { ReadsLayers: true } ? _head!.Joined(x.Rows) : Source(x, block, weights.AttentionNorm);
        Kernels.MultiplyStore(source, weights.Qkv, qkv, plan.Heads, Rotation(weights, plan), cache.Layers[layer], batch);
        if (first < x.Rows)
        {
            int rows = x.Rows - first;
            Kernels.Attend(qkv.ColumnRange(0, plan.QuerySize), cache.Layers[plan.KeysOf ?? layer], _attention[layer], batch, attended);
            if (weights.AttentionGate is { } gate)
            {
                Kernels.MultiplyGate(source, gate, Activation.Sigmoid, attended);
            }

            AddBranch(attended.Range(first, rows), weights.AttentionOutput, block, weights.AttentionNormBehind, x.RowRange(first, rows));
        }
    }

    /// <summary><c>x += mlp(norm(x))</c>; see <see cref="MlpPlan"/> and <see cref="ExpertsPlan"/>.</summary>
    /// <param name="first">Row that was the first of x when its attention was added.</param>
    private void AddMlp(Tensor x, int layer, int first)
    {
        if (x.Rows == 0)
        {
            return;
        }

        LayerWeights weights = _weights.Layers[layer];
        LayerPlan block = Config.Layers[layer];
        if (weights.Experts is { } experts)
        {
            AddExperts(x, layer, experts);
            return;
        }

        ProductSource normed = block.Parallel ? _activations.Normed.Rows(first, x.Rows) : Source(x, block, weights.MlpNorm);
        AddBranch(Intermediate(normed, weights, block.Mlp, x.Rows), weights.Down!, block, weights.MlpNormBehind, x);
    }

    /// <summary>What an MLP's last product reads: <c>activation(gate x) * up x</c>, or without the gate <c>activation(up x)</c>.</summary>
    private InputRows Intermediate(in ProductSource x, LayerWeights weights, MlpPlan plan, int rows)
    {
        InputRows intermediate = _activations.Intermediate.Rows(0, rows, plan.Width);
        if (weights.Gate is { } gate)
        {
            Kernels.MultiplyGated(x, gate, weights.Up!, plan.Activation, intermediate);
        }
        else
        {
            Kernels.MultiplyActivate(x, weights.Up!, plan.Activation, intermediate);
        }

        return intermediate;
    }

    /// <summary>The experts' sum, then the block beside them: its place in the order of adding is the last.</summary>
    private void AddExperts(Tensor x, int layer, ExpertWeights experts)
    {
        LayerWeights weights = _weights.Layers[layer];
        LayerPlan block = Config.Layers[layer];
        ExpertsPlan plan = block.Mlp.Experts!;
        ExpertActivations room = _activations.Experts!;
        Routing routing = room.Routing;
        InputRows normed = Normed(x, block, plan.OwnNorms ? experts.RouterNorm : weights.MlpNorm);
        Tensor branch = _activations.Branch.RowRange(0, x.Rows);

        Tensor logits = room.Logits.RowRange(0, x.Rows).ColumnRange(0, plan.Count);
        Kernels.Multiply(normed, experts.Router, logits);
        normed = plan.OwnNorms ? Normed(x, block, experts.NormBefore) : normed;
        Kernels.Route(logits, new RouterParams(plan.Used, plan.Score, plan.Renormalised, plan.WeightScale), routing);
        InputRows gathered = room.Gathered.Rows(0, routing.Places);
        InputRows intermediate = room.Intermediate.Rows(0, routing.Places, plan.Width);
        Kernels.MultiplyExperts(normed, routing, experts.Gate, experts.Up, plan.Unit, gathered, intermediate);
        Tensor outputs = room.Outputs.RowRange(0, routing.Places);
        Kernels.MultiplyExperts(intermediate, routing, experts.Down, outputs);
        Kernels.SumExperts(outputs, routing, branch);
        if (plan.OwnNorms)
        {
            Kernels.Normalize(branch, experts.NormBehind);
            normed = Normed(x, block, weights.MlpNorm);
        }

        if (block.Mlp.Width > 0)
        {
            Tensor gates = default;
            if (experts.SharedGate is { } gate)
            {
                Kernels.Multiply(normed, gate, gates = room.Gates.RowRange(0, x.Rows));
            }

            // The experts' outputs are summed: their first rows have room again.
            Tensor shared = room.Outputs.RowRange(0, x.Rows);
            Kernels.Multiply(Intermediate(normed, weights, block.Mlp, x.Rows), weights.Down!, shared);
            if (plan.OwnNorms)
            {
                Kernels.NormalizeAdd(shared, experts.SharedNormBehind, branch);
            }
            else
            {
                Kernels.Add(shared, gates, 1, branch);
            }
        }

        if (block.NormBehind)
        {
            Kernels.NormalizeAdd(branch, weights.MlpNormBehind, x);
        }
        else
        {
            Kernels.Add(branch, default, block.ResidualScale, x);
        }
    }

    /// <summary>What several products of a branch read.</summary>
    private InputRows Normed(Tensor x, LayerPlan block, in Norm norm)
    {
        if (!block.NormBefore)
        {
            return Taken(x);
        }

        InputRows rows = _activations.Normed.Rows(0, x.Rows);
        Kernels.Normalize(x, norm, rows);
        return rows;
    }

    /// <summary><c>x += norm(output(activation(gate(x)) * own))</c>: the layer's own input.</summary>
    /// <param name="own">Of all layers.</param>
    private void AddPerLayer(Tensor x, int layer, Tensor own)
    {
        if (Config.PerLayer is not { } plan || _weights.Layers[layer].PerLayer is not { } weights || x.Rows == 0)
        {
            return;
        }

        InputRows gated = _activations.Intermediate.Rows(0, x.Rows, plan.Width);
        Kernels.Take(own.ColumnRange(layer * plan.Width, plan.Width), gated);
        Kernels.MultiplyGate(Taken(x), weights.Gate, plan.Activation, gated);
        Tensor branch = _activations.Branch.RowRange(0, x.Rows);
        Kernels.Multiply(gated, weights.Output, branch);
        Kernels.NormalizeAdd(branch, weights.Norm, x);
    }

    /// <summary>What a branch reads: the residual stream normed, or as it is. Where both branches read it, it stands there.</summary>
    private ProductSource Source(Tensor x, LayerPlan block, in Norm norm) =>
        block.NormBefore && !block.Parallel ? new ProductSource(x, norm, _activations.Normed) : Normed(x, block, norm);

    /// <summary>The residual stream as it is.</summary>
    private InputRows Taken(Tensor x)
    {
        InputRows rows = _activations.Normed.Rows(0, x.Rows);
        Kernels.Take(x, rows);
        return rows;
    }

    /// <summary>A branch goes back to the residual stream: <c>x += scale projection(y)</c>, or <c>x += norm(projection(y))</c>.</summary>
    private void AddBranch(InputRows y, Projection projection, LayerPlan block, in Norm behind, Tensor x)
    {
        if (!block.NormBehind)
        {
            Kernels.MultiplyAdd(y, projection, x, block.ResidualScale);
            return;
        }

        Tensor branch = _activations.Branch.RowRange(0, x.Rows);
        Kernels.Multiply(y, projection, branch);
        Kernels.NormalizeAdd(branch, behind, x);
    }

    private RotaryParams Rotation(LayerWeights weights, AttentionPlan plan)
    {
        RotaryTables? tables = plan.Rotary is { } number ? _rotaries[number] : null;
        return tables is null
            ? new RotaryParams(
                default, default, 0, weights.QueryNorm, weights.KeyNorm, Config.NormEpsilon, plan.PositionScale, weights.ValueNorm,
                plan.KeysAreValues)
            : new RotaryParams(
                tables.Cosine, tables.Sine, 2 * tables.Cosine.Columns, weights.QueryNorm, weights.KeyNorm, Config.NormEpsilon,
                plan.PositionScale, weights.ValueNorm, plan.KeysAreValues);
    }

    private static AttentionParams Describe(AttentionPlan plan, Tensor sinks) => new(
        plan.Heads, plan.KvHeads, plan.HeadDim, plan.Scale ?? (float)(1 / Math.Sqrt(plan.HeadDim)), plan.Window, plan.SoftCap, sinks);
}
