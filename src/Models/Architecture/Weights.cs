using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>The weights of one transformer block.</summary>
/// <param name="Qkv"><c>[QkvSize, hidden]</c>: all query heads, then key heads, then value heads.</param>
/// <param name="QueryNorm">F32 [1, HeadDim]; <c>Data</c> 0 where the model has none. So has <paramref name="KeyNorm"/>.</param>
/// <param name="AttentionOutput"><c>[hidden, QuerySize]</c></param>
/// <param name="Gate"><c>[width, hidden]</c>; null in a plain MLP.</param>
/// <param name="Up"><c>[width, hidden]</c></param>
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
    Projection Up,
    Projection Down,
    Norm MlpNormBehind)
{
    /// <summary>What normed rows are multiplied with.</summary>
    internal IEnumerable<WeightMatrix> ReadNormed => [.. Qkv.Parts, .. Gate is null ? [] : new[] { Gate }, .. Up.Parts];

    internal long Bytes => Qkv.Bytes + AttentionOutput.Bytes + (Gate?.Bytes ?? 0) + Up.Bytes + Down.Bytes;
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

    /// <summary>How many numbers they are; a tied head counts once.</summary>
    public required long Parameters { get; init; }

    /// <summary>Bytes held.</summary>
    public long Bytes => _blocks.Sum(block => block.Bytes);

    /// <summary>Bytes of matrices that a pass of one row reads: all but the embedding tables, of which it reads a row.</summary>
    public long BytesPerPass => Head.Bytes + Layers.Sum(layer => layer.Bytes);

    /// <summary>Checks every tensor of the model, then packs them all.</summary>
    /// <exception cref="InvalidDataException">A tensor is missing or of another shape or type.</exception>
    internal static Weights Load(ModelConfig config, ITensorSource source, TensorNames names, IKernels kernels,
        Action<LoadProgress>? progress = null)
    {
        using var loader = new WeightLoader(source, kernels);
        Weights weights = Describe(config, names, loader);
        weights._blocks = loader.Run(progress);
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
            Parameters = loader.Parameters,
        };
    }

    public void Dispose()
    {
        foreach (MemoryBlock block in _blocks)
        {
            block.Dispose();
        }
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
            (WeightMatrix? gate, Projection up) = GateUp(prefix, mlp);
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
                Project(prefix + names.Down, _hidden, mlp.Width, mlp.Bias),
                plan.NormBehind ? Norm(prefix + names.MlpNormBehind) : default);
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
