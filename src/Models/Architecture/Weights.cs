using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>The weights of one transformer block.</summary>
/// <param name="Qkv">
/// <c>[QkvSize, hidden]</c>: all query heads, then key heads, then value heads, as far as the layer has them.
/// </param>
/// <param name="QueryNorm">F32 [1, HeadDim]; <c>Data</c> 0 where the model has none. So has <paramref name="KeyNorm"/>.</param>
/// <param name="AttentionOutput"><c>[hidden, QuerySize]</c></param>
/// <param name="Gate">Of one matrix <c>[width, hidden]</c>; null in a plain MLP.</param>
/// <param name="Up"><c>[width, hidden]</c>; null where there are experts alone. So is <paramref name="Down"/>.</param>
/// <param name="Down"><c>[hidden, width]</c></param>
/// <param name="AttentionNorm">Weights that the plan does not have are empty. So are those of the other norms.</param>
public sealed record LayerWeights(
    Norm AttentionNorm,
    Projection Qkv,
    Tensor QueryNorm,
    Tensor KeyNorm,
    Projection AttentionOutput,
    Norm AttentionNormBehind,
    Norm MlpNorm,
    Projection? Gate,
    Projection? Up,
    Projection? Down,
    Norm MlpNormBehind)
{
    /// <summary>Weights of the norm of each value head; <c>Data</c> 0 where it has none.</summary>
    public Tensor ValueNorm { get; init; }

    /// <summary>F32 [1, heads]; <c>Data</c> 0 where attention has none.</summary>
    public Tensor Sinks { get; init; }

    /// <summary><c>[QuerySize, hidden]</c>; null where the plan has no gate.</summary>
    public Projection? AttentionGate { get; init; }

    /// <summary>What a recurrent layer has beside its projections; those are <see cref="Qkv"/> and <see cref="AttentionOutput"/>.</summary>
    public RecurrentParams Recurrent { get; init; }

    /// <summary>Null where the layer has none.</summary>
    public ExpertWeights? Experts { get; init; }

    /// <summary>What brings the layer its own input; null where there is none.</summary>
    public PerLayerWeights? PerLayer { get; init; }

    /// <summary>The stream behind the layer is scaled by it.</summary>
    public float OutputScale { get; init; } = 1;

    /// <summary>What rows of the residual stream, normed or not, are multiplied with, but for experts.</summary>
    internal IEnumerable<WeightMatrix> ReadNormed =>
    [
        .. new[] { Qkv, AttentionGate, Gate, Up, PerLayer?.Gate }.OfType<Projection>().SelectMany(projection => projection.Parts),
        .. Experts?.ReadNormed ?? [],
    ];

    /// <summary>What rows between up and down, or as wide as a layer's own input, are multiplied with.</summary>
    internal IEnumerable<WeightMatrix> ReadIntermediate => [.. Down?.Parts ?? [], .. PerLayer?.Output.Parts ?? []];

    /// <inheritdoc cref="Transformer.ExpectedBytes"/>
    internal double Bytes(int rows) =>
        new[] { Qkv, AttentionGate, AttentionOutput, Gate, Up, Down, PerLayer?.Gate, PerLayer?.Output }
            .OfType<Projection>().Sum(projection => projection.Bytes) + (Experts?.Bytes(rows) ?? 0);
}

/// <summary>The experts of one layer.</summary>
/// <param name="Router"><c>[experts, hidden]</c>, of plain numbers: rows choose by inputs that nobody has rounded.</param>
/// <param name="SharedGate"><c>[1, hidden]</c>; null where the block beside the experts is added as it is.</param>
/// <param name="Gate"><c>[width, hidden]</c> each.</param>
/// <param name="Up"><c>[width, hidden]</c> each.</param>
/// <param name="Down"><c>[hidden, width]</c> each.</param>
/// <param name="Used">Experts of a row.</param>
public sealed record ExpertWeights(
    Projection Router, Projection? SharedGate, ExpertProjection Gate, ExpertProjection Up, ExpertProjection Down, int Used)
{
    /// <summary>Before the router; empty, as the other norms, where the plan has no norms of their own.</summary>
    public Norm RouterNorm { get; init; }

    /// <summary>Before the experts.</summary>
    public Norm NormBefore { get; init; }

    /// <summary>Behind their sum.</summary>
    public Norm NormBehind { get; init; }

    /// <summary>Behind the block beside them.</summary>
    public Norm SharedNormBehind { get; init; }

    internal IEnumerable<WeightMatrix> ReadNormed => [.. Router.Parts, .. SharedGate?.Parts ?? []];

    /// <summary>Weights of the experts that a row does not choose.</summary>
    internal long IdleParameters => new[] { Gate, Up, Down }.Sum(projection =>
        projection.Matrices.Skip(Used).Sum(matrix => (long)matrix.Rows * matrix.Columns));

    /// <inheritdoc cref="Transformer.ExpectedBytes"/>
    internal double Bytes(int rows)
    {
        double touched = 1 - Math.Pow(1 - ((double)Used / Gate.Matrices.Length), rows);
        return Router.Bytes + (SharedGate?.Bytes ?? 0) + ((Gate.Bytes + Up.Bytes + Down.Bytes) * touched);
    }
}

/// <summary>What brings one layer its own input: <c>x += norm(output(activation(gate(x)) * input))</c>.</summary>
/// <param name="Gate"><c>[width, hidden]</c></param>
/// <param name="Output"><c>[hidden, width]</c></param>
public sealed record PerLayerWeights(Projection Gate, Projection Output, Norm Norm);

/// <summary>What makes the inputs of all layers, side by side.</summary>
/// <param name="Table"><c>[vocabulary, layers * width]</c></param>
/// <param name="Projection"><c>[layers * width, hidden]</c></param>
/// <param name="Norm">Of one layer's, divided by sqrt(2).</param>
public sealed record PerLayerInputs(WeightMatrix Table, Projection Projection, Norm Norm);

/// <summary>A model's weights, packed.</summary>
public sealed class Weights : IDisposable
{
    private IReadOnlyList<MemoryBlock> _blocks = [];

    private Weights()
    {
    }

    /// <summary><c>[vocabulary, hidden]</c></summary>
    public required WeightMatrix Embedding { get; init; }

    /// <summary><c>[trained context, hidden]</c>; null where positions are rotary.</summary>
    public required WeightMatrix? Positions { get; init; }

    /// <summary>Weights of the norm of embeddings; <c>Data</c> 0 where there is none.</summary>
    public Norm EmbeddingNorm { get; init; }

    /// <summary>Null where layers have no inputs of their own.</summary>
    public PerLayerInputs? PerLayer { get; init; }

    public required IReadOnlyList<LayerWeights> Layers { get; init; }

    public required Norm FinalNorm { get; init; }

    /// <summary><c>[vocabulary, hidden]</c>; the embedding itself where tied.</summary>
    public required Projection Head { get; init; }

    /// <summary>Null where this is no draft head.</summary>
    public HeadWeights? HeadWeights { get; init; }

    /// <summary>How many numbers they are; a tied head counts once.</summary>
    public required long Parameters { get; init; }

    /// <summary>Bytes held.</summary>
    public long Bytes => _blocks.Sum(block => block.Bytes);

    /// <summary>Bytes of experts that stay in their file, because memory does not suffice for all.</summary>
    public long MappedBytes { get; private set; }

    /// <summary>Of the draft head in the same files, in these weights' memory; null: there is none.</summary>
    internal HeadParts? DraftHead { get; private set; }

    /// <summary>What must stay open as long as these are used; disposed with them.</summary>
    internal IDisposable? Files { get; set; }

    /// <summary>Bytes of matrices that a pass of one row reads: all but the embedding tables, of which it reads a row.</summary>
    public long BytesPerPass => (long)ExpectedBytes(1);

    /// <inheritdoc cref="Transformer.ExpectedBytes"/>
    internal double ExpectedBytes(int rows) =>
        Head.Bytes + (PerLayer?.Projection.Bytes ?? 0) + (HeadWeights?.Projection.Bytes ?? 0) + Layers.Sum(layer => layer.Bytes(rows));

    /// <summary>Checks every tensor of the model, and of the draft head that its files hold, then packs them all.</summary>
    /// <param name="memory">Bytes that matrices may take; null: what is free.</param>
    /// <param name="check">Sees them described, and may throw, before any is read.</param>
    /// <exception cref="InvalidDataException">A tensor is missing or of another shape or type, or memory does not suffice.</exception>
    internal static Weights Load(ModelConfig config, ITensorSource source, TensorNames names, IKernels kernels,
        Action<LoadProgress>? progress = null, long? memory = null, Action<Weights>? check = null)
    {
        using var loader = new WeightLoader(source, kernels, memory);
        Weights weights = Describe(config, names, loader);
        check?.Invoke(weights);
        weights.DraftHead = HeadParts.Describe(config, names, loader, weights);
        weights.Pack(loader, progress);
        return weights;
    }

    /// <summary>Packs what the loader was asked for; its memory is these weights' from here on.</summary>
    /// <exception cref="InvalidDataException">Memory does not suffice.</exception>
    internal void Pack(WeightLoader loader, Action<LoadProgress>? progress)
    {
        _blocks = loader.Run(progress);
        MappedBytes = loader.MappedBytes;
    }

    /// <summary>Checks every tensor of the model and asks the loader for it: until that has run, there is nothing in them.</summary>
    /// <param name="shared">Of a draft head: the weights of its model, whose embedding and head it has where it has none.</param>
    /// <exception cref="InvalidDataException">A tensor is missing or of another shape or type.</exception>
    internal static Weights Describe(ModelConfig config, TensorNames names, WeightLoader loader, Weights? shared = null)
    {
        var parts = new Parts(config, names, loader);
        bool ownEmbedding = shared is null || loader.Contains(names.Embedding + ".weight");
        bool ownHead = shared is null || config.Head is { ReadsLayers: true } || loader.Contains(names.Head + ".weight");
        WeightMatrix embedding = ownEmbedding ? parts.Table(names.Embedding, config.VocabularySize) : shared!.Embedding;
        WeightMatrix? positions = config.LearnedPositions ? parts.Table(names.Positions, config.TrainedContext) : null;
        Norm embeddingNorm = config.EmbeddingNorm ? parts.Weightless(config.HiddenSize) : default;
        PerLayerInputs? perLayer = config.PerLayer is { } plan ? parts.Inputs(plan) : null;
        LayerWeights[] layers = [.. config.Layers.Select(parts.Layer)];
        Norm finalNorm = parts.Norm(names.FinalNorm, names.FinalNormOffset);
        Projection head = ownHead
            ? new Projection(config.TiedHead ? embedding : parts.Table(names.Head, config.LogitsSize))
            : Leading(shared!.Head, config.LogitsSize, loader.Kernels);
        return new Weights
        {
            HeadWeights = config.Head is { } draft ? parts.Head(draft, names.DraftHead!) : null,
            Embedding = embedding,
            Positions = positions,
            EmbeddingNorm = embeddingNorm,
            PerLayer = perLayer,
            Layers = layers,
            FinalNorm = finalNorm,
            Head = head,
            Parameters = loader.Parameters,
        };
    }

    public void Dispose()
    {
        foreach (MemoryBlock block in _blocks)
        {
            block.Dispose();
        }

        Files?.Dispose();
    }

    /// <summary>A head that ends behind so many outputs.</summary>
    private static Projection Leading(Projection head, int outputs, IKernels kernels) => head.Outputs == outputs ? head
        : kernels.Leading(head.Parts[0], outputs) is { } part ? new Projection(part)
        : throw new InvalidDataException($"The {kernels.Name} kernels cannot take {outputs} of {head.Outputs} outputs of a head.");

    /// <summary>What a model is made of, asked for by its names.</summary>
    private sealed class Parts(ModelConfig config, TensorNames names, WeightLoader loader)
    {
        private readonly int _hidden = config.HiddenSize;
        private readonly int _attentionInputs = config.Head?.AttentionInputs(config.HiddenSize) ?? config.HiddenSize;

        /// <summary>A row of the stream's width for each of so many tokens or positions.</summary>
        public WeightMatrix Table(string name, int rows) => loader.Matrix(name + ".weight", rows, _hidden);

        public LayerWeights Layer(LayerPlan plan, int number)
        {
            string prefix = names.Prefix(number);
            float behind = plan.NormBehindEpsilon ?? config.NormEpsilon;
            (AttentionPlan attention, MlpPlan mlp) = (plan.Attention, plan.Mlp);
            (Projection? gate, Projection? up) = mlp.Width > 0 ? GateUp(prefix, mlp) : (null, null);
            RecurrentParts? recurrent =
                plan.Recurrent is { } shape ? new RecurrentParts(prefix, names.Recurrent!, _hidden, shape, loader) : null;
            return new LayerWeights(
                plan.NormBefore ? Norm(prefix + names.AttentionNorm) : default,
                recurrent?.Inputs() ?? Qkv(prefix, attention),
                QkNormOf(prefix + names.QueryNorm, attention, attention.Heads),
                attention.KeysOf is null ? QkNormOf(prefix + names.KeyNorm, attention, attention.KvHeads) : default,
                Project(
                    prefix + (recurrent is null ? names.AttentionOutput : names.Recurrent!.Output), _hidden, plan.MixedSize,
                    attention.OutputBias),
                plan.NormBehind ? Norm(prefix + names.AttentionNormBehind) with { Epsilon = behind } : default,
                plan.NormBefore && !plan.Parallel ? Norm(prefix + names.MlpNorm) : default,
                gate,
                up,
                mlp.Width > 0 ? Project(prefix + names.Down, _hidden, mlp.Width, mlp.Bias) : null,
                plan.NormBehind ? Norm(prefix + names.MlpNormBehind) with { Epsilon = behind } : default)
            {
                ValueNorm = attention is { ValueNorm: true, KeysOf: null } ? loader.Ones(attention.HeadDim) : default,
                Sinks = attention.Sinks ? loader.Vector([new TensorPart(prefix + names.Sinks, attention.Heads)]) : default,
                AttentionGate = attention.Gate ? AttentionGate(prefix, attention) : null,
                Recurrent = recurrent?.Others(config.NormEpsilon) ?? default,
                Experts = mlp.Experts is { } experts
                    ? new ExpertParts(prefix, names, _hidden, config.NormEpsilon, experts, loader).Load() : null,
                PerLayer = config.PerLayer is { } own ? PerLayer(prefix, own) : null,
                OutputScale = plan.OutputScale ? loader.Number(prefix + names.OutputScale) : 1,
            };
        }

        public HeadWeights Head(HeadPlan plan, HeadNames head) => new(
            Project(head.Projection, _hidden, plan.ProjectionInputs(_hidden), bias: false), Norm(head.EmbeddingNorm), Norm(head.StateNorm));

        /// <param name="offset">Added to the weights; null: what is added to those of most norms.</param>
        public Norm Norm(string name, float? offset = null) => new(
            config.Norm,
            loader.Vector([new TensorPart(name + ".weight", _hidden)], offset ?? names.NormOffset),
            config.NormBias ? loader.Vector([new TensorPart(name + ".bias", _hidden)]) : default,
            config.NormEpsilon);

        public Norm Weightless(int length) => new(NormKind.RmsNorm, loader.Ones(length), default, config.NormEpsilon);

        /// <summary>
        /// The inputs of all layers. That they are divided by sqrt(2), and the projection by sqrt(hidden), is folded into its norm:
        /// <c>rms(s y; e) = rms(y; e / s^2)</c>.
        /// </summary>
        public PerLayerInputs Inputs(PerLayerPlan plan)
        {
            int columns = plan.Width * config.Layers.Count;
            Tensor weight = loader.Vector(
                [new TensorPart(names.PerLayerProjectionNorm + ".weight", plan.Width)], names.NormOffset, MathF.Sqrt(0.5f));
            return new PerLayerInputs(
                loader.Matrix(names.PerLayerTable + ".weight", plan.Vocabulary, columns),
                Project(names.PerLayerProjection, columns, _hidden, bias: false),
                new Norm(NormKind.RmsNorm, weight, default, config.NormEpsilon * _hidden));
        }

        private PerLayerWeights PerLayer(string prefix, PerLayerPlan plan) => new(
            Project(prefix + names.PerLayerGate, plan.Width, _hidden, bias: false),
            Project(prefix + names.PerLayerOutput, _hidden, plan.Width, bias: false),
            Norm(prefix + names.PerLayerNorm));

        private (Projection? Gate, Projection Up) GateUp(string prefix, MlpPlan mlp)
        {
            if (mlp.Gated && names.GateUp.Length > 0)
            {
                string name = prefix + names.GateUp;
                return (Half(0), Half(mlp.Width));

                Projection Half(int first)
                {
                    var part = new TensorPart(name + ".weight", mlp.Width, First: first, Of: 2 * mlp.Width);
                    return new Projection(loader.Matrix(part, _hidden));
                }
            }

            return (
                mlp.Gated ? Project(prefix + names.Gate, mlp.Width, _hidden, mlp.Bias) : null,
                Project(prefix + names.Up, mlp.Width, _hidden, mlp.Bias));
        }

        private Projection Qkv(string prefix, AttentionPlan plan)
        {
            if (names.Qkv is [string one])
            {
                return Project(prefix + one, plan.QkvSize, _attentionInputs, plan.QkvBias);
            }

            int keyValueSize = plan.KvHeads * plan.HeadDim;
            TensorPart[] parts =
                [.. names.QueryGates ? QueriesOrGates(prefix, plan, first: 0) : [Heads(prefix + names.Qkv[0], plan.QuerySize, plan)],
                    Heads(prefix + names.Qkv[1], keyValueSize, plan), new(prefix + names.Qkv[2], keyValueSize)];
            parts = plan switch
            {
                { KeysOf: not null } => parts[..1],
                { KeysAreValues: true } => parts[..2],
                _ => parts,
            };
            return new Projection(
                loader.Stacked(Array.ConvertAll(parts, part => part with { Name = part.Name + ".weight" }), _attentionInputs),
                plan.QkvBias ? loader.Vector(Array.ConvertAll(parts, part => part with { Name = part.Name + ".bias" })) : default);
        }

        private Projection AttentionGate(string prefix, AttentionPlan plan) => names.QueryGates
            ? new Projection(loader.Stacked(
                Array.ConvertAll(QueriesOrGates(prefix, plan, plan.HeadDim), part => part with { Name = part.Name + ".weight" }), _hidden))
            : Project(prefix + names.AttentionGate, plan.QuerySize, _hidden, bias: false);

        /// <summary>Each query head is followed by its gate in one matrix.</summary>
        /// <param name="first">The first row of either.</param>
        private TensorPart[] QueriesOrGates(string prefix, AttentionPlan plan, int first) =>
        [
            .. Enumerable.Range(0, plan.Heads).Select(head => new TensorPart(
                prefix + names.Qkv[0], plan.HeadDim, First: (2 * head * plan.HeadDim) + first, Of: 2 * plan.QuerySize)),
        ];

        private Projection Project(string name, int outputs, int inputs, bool bias) => new(
            loader.Matrix(name + ".weight", outputs, inputs, names.Transposed),
            bias ? loader.Vector([new TensorPart(name + ".bias", outputs)]) : default);

        /// <summary>The norm of queries or keys: where heads are interleaved, so is it.</summary>
        private Tensor QkNormOf(string name, AttentionPlan plan, int heads) => plan.QkNorm switch
        {
            QkNorm.None => default,
            QkNorm.Weightless => loader.Ones(plan.HeadDim),
            QkNorm.Whole => loader.Vector([Heads(name + ".weight", heads * plan.HeadDim, plan)], names.NormOffset),
            _ => loader.Vector([Heads(name + ".weight", plan.HeadDim, plan)], names.NormOffset),
        };

        /// <summary>Rows of whole heads, which may be interleaved as far as they turn.</summary>
        private TensorPart Heads(string name, int rows, AttentionPlan plan) => !names.Interleaved ? new(name, rows) : new(
            name, rows, plan.HeadDim, Turned: plan.Rotary is { } number ? config.Rotaries[number].Dim : 0);
    }
}
