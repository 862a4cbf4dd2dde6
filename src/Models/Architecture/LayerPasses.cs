using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// The operations of a pass: what each layer adds to the residual stream, as its <see cref="LayerPlan"/> says, and the logits.
/// </summary>
/// <param name="rotaries">Reach as far as the positions of any pass.</param>
/// <param name="head">What draft heads begin from; null: the model is none.</param>
internal sealed class LayerPasses(
    ModelConfig config, Weights modelWeights, IKernels kernels, Activations activations, RotaryTables[] rotaries, HeadInput? head)
{
    private readonly AttentionParams[] _attention =
        [.. config.Layers.Select((layer, number) => Describe(layer.Attention, modelWeights.Layers[number].Sinks))];

    /// <summary>Layers behind it read what earlier ones keep.</summary>
    private readonly int _lastKeeping = config.Layers.ToList().FindLastIndex(layer => layer.Attention.KeysOf is null);

    private ForwardBatch? _tail;

    /// <summary>All of them, for the rows of a batch.</summary>
    /// <param name="walk">Of the recurrent layers' states; null where there are none.</param>
    /// <param name="states">Takes what enters some layers; null: nobody asked.</param>
    public void Run(ForwardBatch batch, KvCache cache, RecurrentWalk? walk, LayerStates? states)
    {
        Tensor x = activations.Residual.RowRange(0, batch.Count);
        int kept = batch.KeptRows;
        int logitsRows = batch.LogitsRows;
        int taken = batch.FirstStateRow < batch.Count ? kept : 0;
        BeginStream(x, batch);
        Tensor own = MakePerLayer(x, batch);
        for (int layer = 0; layer < config.Layers.Count && x.Rows > 0; layer++)
        {
            states?.Take(layer, x, taken);
            // Behind the last layer that keeps anything of a token only rows go on of which something is wanted.
            int first = layer == _lastKeeping ? batch.Count - kept : 0;
            if (config.Layers[layer].Recurrent is not null)
            {
                AddRecurrence(x, layer, first, cache, walk!);
            }
            else
            {
                AddAttention(x, layer, first, cache, batch);
            }

            if (first > 0)
            {
                x = x.RowRange(first, x.Rows - first);
                own = own.RowRange(Math.Min(first, own.Rows), Math.Min(x.Rows, own.Rows));
                batch = layer < config.Layers.Count - 1 ? Tail(batch) : batch;
            }

            AddMlp(x, layer, first);
            AddPerLayer(x, layer, own);
            if (config.Layers[layer].OutputScale)
            {
                kernels.Cap(x, modelWeights.Layers[layer].OutputScale, cap: 0);
            }
        }

        states?.Take(config.Layers.Count, x, taken);
        if (x.Rows > 0)
        {
            kernels.Normalize(x, modelWeights.FinalNorm, activations.Final.Rows(0, x.Rows));
        }

        if (logitsRows > 0)
        {
            Tensor logits = activations.Logits.RowRange(0, logitsRows);
            kernels.Multiply(activations.Final.Rows(x.Rows - logitsRows, logitsRows), modelWeights.Head, logits);
            if (config.LogitScale != 1 || config.LogitCap != 0)
            {
                kernels.Cap(logits, config.LogitScale, config.LogitCap);
            }
        }
    }

    /// <summary>The residual stream before the first layer.</summary>
    private void BeginStream(Tensor x, ForwardBatch batch)
    {
        if (head is not null)
        {
            head.Begin(modelWeights.Embedding, batch, x);
            return;
        }

        kernels.Embed(modelWeights.Embedding, modelWeights.Positions, batch, x, config.EmbeddingScale);
        if (config.EmbeddingNorm)
        {
            kernels.Normalize(x, modelWeights.EmbeddingNorm);
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
        if (config.PerLayer is not { } plan || modelWeights.PerLayer is not { } weights || x.Rows == 0)
        {
            return default;
        }

        Tensor own = activations.PerLayer.RowRange(0, x.Rows);
        Tensor projected = activations.PerLayerProjected.RowRange(0, x.Rows);
        kernels.Embed(weights.Table, positions: null, batch, own, MathF.Sqrt(plan.Width / 2f));
        kernels.Multiply(Taken(x), weights.Projection, projected);
        for (int layer = 0; layer < config.Layers.Count; layer++)
        {
            int column = layer * plan.Width;
            kernels.NormalizeAdd(projected.ColumnRange(column, plan.Width), weights.Norm, own.ColumnRange(column, plan.Width));
        }

        return own;
    }

    /// <summary><c>x += output(recur(inputs(norm(x))))</c>, the sum from row <paramref name="first"/> on.</summary>
    private void AddRecurrence(Tensor x, int layer, int first, KvCache cache, RecurrentWalk walk)
    {
        LayerWeights weights = modelWeights.Layers[layer];
        LayerPlan block = config.Layers[layer];
        Tensor inputs = activations.Qkv.RowRange(0, x.Rows).ColumnRange(0, block.ProjectedSize);
        kernels.Multiply(Source(x, block, weights.AttentionNorm), weights.Qkv, inputs);
        int rows = x.Rows - first;
        InputRows mixed = activations.Attended.Rows(0, rows, block.MixedSize);
        kernels.Recur(inputs, weights.Recurrent, cache.Recurrent!.Layer(layer), walk, first, mixed);
        if (rows > 0)
        {
            AddBranch(mixed, weights.AttentionOutput, block, weights.AttentionNormBehind, x.RowRange(first, rows));
        }
    }

    /// <summary><c>x += output(attend(qkv(norm(x))))</c>, the sum from row <paramref name="first"/> on.</summary>
    private void AddAttention(Tensor x, int layer, int first, KvCache cache, ForwardBatch batch)
    {
        LayerWeights weights = modelWeights.Layers[layer];
        LayerPlan block = config.Layers[layer];
        AttentionPlan plan = block.Attention;
        Tensor qkv = activations.Qkv.RowRange(0, x.Rows).ColumnRange(0, plan.QkvSize);
        InputRows attended = activations.Attended.Rows(0, x.Rows, plan.QuerySize);
        ProductSource source = config.Head is { ReadsLayers: true } ? head!.Joined(x.Rows) : Source(x, block, weights.AttentionNorm);
        kernels.MultiplyStore(source, weights.Qkv, qkv, plan.Heads, Rotation(weights, plan), cache.Layers[layer], batch);
        if (first < x.Rows)
        {
            int rows = x.Rows - first;
            kernels.Attend(qkv.ColumnRange(0, plan.QuerySize), cache.Layers[plan.KeysOf ?? layer], _attention[layer], batch, attended);
            if (weights.AttentionGate is { } gate)
            {
                kernels.MultiplyGate(source, gate, Activation.Sigmoid, attended);
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

        LayerWeights weights = modelWeights.Layers[layer];
        LayerPlan block = config.Layers[layer];
        if (weights.Experts is { } experts)
        {
            AddExperts(x, layer, experts);
            return;
        }

        ProductSource normed = block.Parallel ? activations.Normed.Rows(first, x.Rows) : Source(x, block, weights.MlpNorm);
        AddBranch(Intermediate(normed, weights, block.Mlp, x.Rows), weights.Down!, block, weights.MlpNormBehind, x);
    }

    /// <summary>What an MLP's last product reads: <c>activation(gate x) * up x</c>, or without the gate <c>activation(up x)</c>.</summary>
    private InputRows Intermediate(in ProductSource x, LayerWeights weights, MlpPlan plan, int rows)
    {
        InputRows intermediate = activations.Intermediate.Rows(0, rows, plan.Width);
        if (weights.Gate is { } gate)
        {
            kernels.MultiplyGated(x, gate, weights.Up!, plan.Activation, intermediate);
        }
        else
        {
            kernels.MultiplyActivate(x, weights.Up!, plan.Activation, intermediate);
        }

        return intermediate;
    }

    /// <summary>The experts' sum, then the block beside them: its place in the order of adding is the last.</summary>
    private void AddExperts(Tensor x, int layer, ExpertWeights experts)
    {
        LayerWeights weights = modelWeights.Layers[layer];
        LayerPlan block = config.Layers[layer];
        ExpertsPlan plan = block.Mlp.Experts!;
        ExpertActivations room = activations.Experts!;
        Routing routing = room.Routing;
        InputRows normed = Normed(x, block, plan.OwnNorms ? experts.RouterNorm : weights.MlpNorm);
        Tensor branch = activations.Branch.RowRange(0, x.Rows);

        Tensor logits = room.Logits.RowRange(0, x.Rows).ColumnRange(0, plan.Count);
        kernels.Multiply(normed, experts.Router, logits);
        normed = plan.OwnNorms ? Normed(x, block, experts.NormBefore) : normed;
        kernels.Route(logits, new RouterParams(plan.Used, plan.Score, plan.Renormalised, plan.WeightScale), routing);
        InputRows gathered = room.Gathered.Rows(0, routing.Places);
        InputRows intermediate = room.Intermediate.Rows(0, routing.Places, plan.Width);
        kernels.MultiplyExperts(normed, routing, experts.Gate, experts.Up, plan.Unit, gathered, intermediate);
        Tensor outputs = room.Outputs.RowRange(0, routing.Places);
        kernels.MultiplyExperts(intermediate, routing, experts.Down, outputs);
        kernels.SumExperts(outputs, routing, branch);
        if (plan.OwnNorms)
        {
            kernels.Normalize(branch, experts.NormBehind);
            normed = Normed(x, block, weights.MlpNorm);
        }

        if (block.Mlp.Width > 0)
        {
            Tensor gates = default;
            if (experts.SharedGate is { } gate)
            {
                kernels.Multiply(normed, gate, gates = room.Gates.RowRange(0, x.Rows));
            }

            // The experts' outputs are summed: their first rows have room again.
            Tensor shared = room.Outputs.RowRange(0, x.Rows);
            kernels.Multiply(Intermediate(normed, weights, block.Mlp, x.Rows), weights.Down!, shared);
            if (plan.OwnNorms)
            {
                kernels.NormalizeAdd(shared, experts.SharedNormBehind, branch);
            }
            else
            {
                kernels.Add(shared, gates, 1, branch);
            }
        }

        if (block.NormBehind)
        {
            kernels.NormalizeAdd(branch, weights.MlpNormBehind, x);
        }
        else
        {
            kernels.Add(branch, default, block.ResidualScale, x);
        }
    }

    /// <summary>What several products of a branch read.</summary>
    private InputRows Normed(Tensor x, LayerPlan block, in Norm norm)
    {
        if (!block.NormBefore)
        {
            return Taken(x);
        }

        InputRows rows = activations.Normed.Rows(0, x.Rows);
        kernels.Normalize(x, norm, rows);
        return rows;
    }

    /// <summary><c>x += norm(output(activation(gate(x)) * own))</c>: the layer's own input.</summary>
    /// <param name="own">Of all layers.</param>
    private void AddPerLayer(Tensor x, int layer, Tensor own)
    {
        if (config.PerLayer is not { } plan || modelWeights.Layers[layer].PerLayer is not { } weights || x.Rows == 0)
        {
            return;
        }

        InputRows gated = activations.Intermediate.Rows(0, x.Rows, plan.Width);
        kernels.Take(own.ColumnRange(layer * plan.Width, plan.Width), gated);
        kernels.MultiplyGate(Taken(x), weights.Gate, plan.Activation, gated);
        Tensor branch = activations.Branch.RowRange(0, x.Rows);
        kernels.Multiply(gated, weights.Output, branch);
        kernels.NormalizeAdd(branch, weights.Norm, x);
    }

    /// <summary>What a branch reads: the residual stream normed, or as it is. Where both branches read it, it stands there.</summary>
    private ProductSource Source(Tensor x, LayerPlan block, in Norm norm) =>
        block.NormBefore && !block.Parallel ? new ProductSource(x, norm, activations.Normed) : Normed(x, block, norm);

    /// <summary>The residual stream as it is.</summary>
    private InputRows Taken(Tensor x)
    {
        InputRows rows = activations.Normed.Rows(0, x.Rows);
        kernels.Take(x, rows);
        return rows;
    }

    /// <summary>A branch goes back to the residual stream: <c>x += scale projection(y)</c>, or <c>x += norm(projection(y))</c>.</summary>
    private void AddBranch(InputRows y, Projection projection, LayerPlan block, in Norm behind, Tensor x)
    {
        if (!block.NormBehind)
        {
            kernels.MultiplyAdd(y, projection, x, block.ResidualScale);
            return;
        }

        Tensor branch = activations.Branch.RowRange(0, x.Rows);
        kernels.Multiply(y, projection, branch);
        kernels.NormalizeAdd(branch, behind, x);
    }

    private RotaryParams Rotation(LayerWeights weights, AttentionPlan plan)
    {
        RotaryTables? tables = plan.Rotary is { } number ? rotaries[number] : null;
        return tables is null
            ? new RotaryParams(
                default, default, 0, weights.QueryNorm, weights.KeyNorm, config.NormEpsilon, plan.PositionScale, weights.ValueNorm,
                plan.KeysAreValues)
            : new RotaryParams(
                tables.Cosine, tables.Sine, 2 * tables.Cosine.Columns, weights.QueryNorm, weights.KeyNorm, config.NormEpsilon,
                plan.PositionScale, weights.ValueNorm, plan.KeysAreValues);
    }

    private static AttentionParams Describe(AttentionPlan plan, Tensor sinks) => new(
        plan.Heads, plan.KvHeads, plan.HeadDim, plan.Scale ?? (float)(1 / Math.Sqrt(plan.HeadDim)), plan.Window, plan.SoftCap, sinks);
}
