using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>The weights of one transformer block.</summary>
/// <param name="Qkv"><c>[QkvSize, hidden]</c>: all query heads, then key heads, then value heads.</param>
/// <param name="QueryNorm">F32 [1, HeadDim]; <c>Data</c> 0 where the model has none. So has <paramref name="KeyNorm"/>.</param>
/// <param name="AttentionOutput"><c>[hidden, QuerySize]</c></param>
/// <param name="Gate"><c>[width, hidden]</c>; null in a plain MLP.</param>
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
    WeightMatrix? Gate,
    Projection? Up,
    Projection? Down,
    Norm MlpNormBehind)
{
    /// <summary>F32 [1, heads]; <c>Data</c> 0 where attention has none.</summary>
    public Tensor Sinks { get; init; }

    /// <summary>Null where the layer has none.</summary>
    public ExpertWeights? Experts { get; init; }

    /// <summary>What normed rows are multiplied with, but for experts.</summary>
    internal IEnumerable<WeightMatrix> ReadNormed =>
        [.. Qkv.Parts, .. Gate is null ? [] : new[] { Gate }, .. Up?.Parts ?? [], .. Experts?.ReadNormed ?? []];

    /// <inheritdoc cref="Transformer.ExpectedBytes"/>
    internal double Bytes(int rows) =>
        Qkv.Bytes + AttentionOutput.Bytes + (Gate?.Bytes ?? 0) + (Up?.Bytes ?? 0) + (Down?.Bytes ?? 0) + (Experts?.Bytes(rows) ?? 0);
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

    public required IReadOnlyList<LayerWeights> Layers { get; init; }

    public required Norm FinalNorm { get; init; }

    /// <summary><c>[vocabulary, hidden]</c>; the embedding itself where tied.</summary>
    public required Projection Head { get; init; }

    /// <summary>Bytes held.</summary>
    public long Bytes => _blocks.Sum(block => block.Bytes);

    /// <summary>Bytes of experts that stay in their file, because memory does not suffice for all.</summary>
    public long MappedBytes { get; private set; }

    /// <summary>What must stay open as long as these are used; disposed with them.</summary>
    internal IDisposable? Files { get; set; }

    /// <summary>Bytes of matrices that a pass of one row reads: all but the embedding tables, of which it reads a row.</summary>
    public long BytesPerPass => (long)ExpectedBytes(1);

    /// <inheritdoc cref="Transformer.ExpectedBytes"/>
    internal double ExpectedBytes(int rows) => Head.Bytes + Layers.Sum(layer => layer.Bytes(rows));

    /// <summary>Checks every tensor of the model, then packs them all.</summary>
    /// <param name="memory">Bytes that matrices may take; null: what is free.</param>
    /// <exception cref="InvalidDataException">A tensor is missing or of another shape or type, or memory does not suffice.</exception>
    internal static Weights Load(ModelConfig config, ITensorSource source, TensorNames names, IKernels kernels,
        Action<LoadProgress>? progress = null, long? memory = null)
    {
        using var loader = new WeightLoader(source, kernels, memory);
        Weights weights = Describe(config, names, loader);
        weights._blocks = loader.Run(progress);
        weights.MappedBytes = loader.MappedBytes;
        return weights;
    }

    /// <summary>Checks every tensor of the model and asks the loader for it: until that has run, there is nothing in them.</summary>
    /// <exception cref="InvalidDataException">A tensor is missing or of another shape or type.</exception>
    internal static Weights Describe(ModelConfig config, TensorNames names, WeightLoader loader)
    {
        var parts = new Parts(config, names, loader);
        WeightMatrix embedding = parts.Table(names.Embedding, config.VocabularySize);
        WeightMatrix? positions = config.LearnedPositions ? parts.Table(names.Positions, config.TrainedContext) : null;
        LayerWeights[] layers = [.. config.Layers.Select(parts.Layer)];
        Norm finalNorm = parts.Norm(names.FinalNorm);
        var head = new Projection(config.TiedHead ? embedding : parts.Table(names.Head, config.VocabularySize));
        return new Weights
        {
            Embedding = embedding,
            Positions = positions,
            Layers = layers,
            FinalNorm = finalNorm,
            Head = head,
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

    /// <summary>What a model is made of, asked for by its names.</summary>
    private sealed class Parts(ModelConfig config, TensorNames names, WeightLoader loader)
    {
        private readonly int _hidden = config.HiddenSize;

        /// <summary>A row of the stream's width for each of so many tokens or positions.</summary>
        public WeightMatrix Table(string name, int rows) => loader.Matrix(name + ".weight", rows, _hidden);

        public LayerWeights Layer(LayerPlan plan, int number)
        {
            string prefix = names.Prefix(number);
            (AttentionPlan attention, MlpPlan mlp) = (plan.Attention, plan.Mlp);
            (WeightMatrix? gate, Projection? up) = mlp.Width > 0 ? GateUp(prefix, mlp) : (null, null);
            return new LayerWeights(
                plan.NormBefore ? Norm(prefix + names.AttentionNorm) : default,
                Qkv(prefix, attention),
                QkNormOf(prefix + names.QueryNorm, attention, attention.Heads),
                QkNormOf(prefix + names.KeyNorm, attention, attention.KvHeads),
                Project(prefix + names.AttentionOutput, _hidden, attention.QuerySize, attention.OutputBias),
                plan.NormBehind ? Norm(prefix + names.AttentionNormBehind) : default,
                plan.NormBefore ? Norm(prefix + names.MlpNorm) : default,
                gate,
                up,
                mlp.Width > 0 ? Project(prefix + names.Down, _hidden, mlp.Width, mlp.Bias) : null,
                plan.NormBehind ? Norm(prefix + names.MlpNormBehind) : default)
            {
                Sinks = attention.Sinks ? loader.Vector([new TensorPart(prefix + names.Sinks, attention.Heads)]) : default,
                Experts = mlp.Experts is { } experts ? new ExpertParts(prefix, names, _hidden, experts, loader).Load() : null,
            };
        }

        public Norm Norm(string name) => new(
            config.Norm,
            loader.Vector([new TensorPart(name + ".weight", _hidden)], names.NormOffset),
            config.Norm == NormKind.LayerNorm ? loader.Vector([new TensorPart(name + ".bias", _hidden)]) : default,
            config.NormEpsilon);

        private (WeightMatrix? Gate, Projection Up) GateUp(string prefix, MlpPlan mlp)
        {
            if (mlp.Gated && names.GateUp.Length > 0)
            {
                string name = prefix + names.GateUp + ".weight";
                return (
                    loader.Matrix(new TensorPart(name, mlp.Width, First: 0, Of: 2 * mlp.Width), _hidden),
                    new Projection(loader.Matrix(new TensorPart(name, mlp.Width, First: mlp.Width, Of: 2 * mlp.Width), _hidden)));
            }

            return (
                mlp.Gated ? loader.Matrix(prefix + names.Gate + ".weight", mlp.Width, _hidden, names.Transposed) : null,
                Project(prefix + names.Up, mlp.Width, _hidden, mlp.Bias));
        }

        private Projection Qkv(string prefix, AttentionPlan plan)
        {
            if (names.Qkv is [string one])
            {
                return Project(prefix + one, plan.QkvSize, _hidden, plan.QkvBias);
            }

            int head = names.Interleaved ? plan.HeadDim : 0;
            int keyValueSize = plan.KvHeads * plan.HeadDim;
            TensorPart[] parts =
                [new(prefix + names.Qkv[0], plan.QuerySize, head), new(prefix + names.Qkv[1], keyValueSize, head),
                    new(prefix + names.Qkv[2], keyValueSize)];
            return new Projection(
                loader.Stacked(Array.ConvertAll(parts, part => part with { Name = part.Name + ".weight" }), _hidden),
                plan.QkvBias ? loader.Vector(Array.ConvertAll(parts, part => part with { Name = part.Name + ".bias" })) : default);
        }

        private Projection Project(string name, int outputs, int inputs, bool bias) => new(
            loader.Matrix(name + ".weight", outputs, inputs, names.Transposed),
            bias ? loader.Vector([new TensorPart(name + ".bias", outputs)]) : default);

        /// <summary>The norm of queries or keys: where heads are interleaved, so is it.</summary>
        private Tensor QkNormOf(string name, AttentionPlan plan, int heads) => plan.QkNorm == QkNorm.None ? default : loader.Vector(
            [new TensorPart(name + ".weight", plan.QkNorm == QkNorm.Whole ? heads * plan.HeadDim : plan.HeadDim, names.Interleaved
                ? plan.HeadDim : 0)],
            names.NormOffset);
    }
}
