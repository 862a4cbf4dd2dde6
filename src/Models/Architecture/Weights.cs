using System.Globalization;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>Weight and bias of a norm, F32 [1, hidden]; an RMSNorm has no bias.</summary>
public readonly record struct NormWeights(Tensor Weight, Tensor Bias);

/// <summary>A projection and its bias, F32 [1, outputs]; <c>Data</c> 0 for none.</summary>
public sealed record Projection(WeightMatrix Matrix, Tensor Bias);

/// <summary>The weights of one transformer block.</summary>
/// <param name="Qkv"><c>[QkvSize, hidden]</c>: all query heads, then key heads, then value heads.</param>
/// <param name="QueryNorm">F32 [1, HeadDim]; <c>Data</c> 0 where the model has none. So has <paramref name="KeyNorm"/>.</param>
/// <param name="AttentionOutput"><c>[hidden, QuerySize]</c></param>
/// <param name="Gate"><c>[intermediate, hidden]</c>; null in a plain MLP.</param>
/// <param name="Up"><c>[intermediate, hidden]</c></param>
/// <param name="Down"><c>[hidden, intermediate]</c></param>
public sealed record LayerWeights(
    NormWeights AttentionNorm,
    Projection Qkv,
    Tensor QueryNorm,
    Tensor KeyNorm,
    Projection AttentionOutput,
    NormWeights MlpNorm,
    WeightMatrix? Gate,
    Projection Up,
    Projection Down);

/// <summary>A model's weights, packed, all in one block of the kernels' memory.</summary>
public sealed class Weights : IDisposable
{
    private readonly MemoryBlock _block;

    private Weights(MemoryBlock block, WeightMatrix embedding, WeightMatrix? positions, LayerWeights[] layers, NormWeights finalNorm, WeightMatrix head)
    {
        _block = block;
        Embedding = embedding;
        Positions = positions;
        Layers = layers;
        FinalNorm = finalNorm;
        Head = head;
    }

    /// <summary><c>[vocabulary, hidden]</c></summary>
    public WeightMatrix Embedding { get; }

    /// <summary><c>[trained context, hidden]</c>; null where positions are rotary.</summary>
    public WeightMatrix? Positions { get; }

    public IReadOnlyList<LayerWeights> Layers { get; }

    public NormWeights FinalNorm { get; }

    /// <summary><c>[vocabulary, hidden]</c>; the embedding itself where tied.</summary>
    public WeightMatrix Head { get; }

    /// <summary>The type that all matrices have which multiply; F32 where they differ.</summary>
    public DType ProductType => Layers.SelectMany(layer => (WeightMatrix[])[layer.Qkv.Matrix, layer.AttentionOutput.Matrix, layer.Gate ?? layer.Up.Matrix, layer.Up.Matrix, layer.Down.Matrix])
        .All(matrix => matrix.Type == Head.Type) ? Head.Type : DType.F32;

    /// <summary>Bytes held.</summary>
    public long Bytes => _block.Bytes;

    /// <summary>Bytes of matrices that a pass of one row reads: all but the embedding tables, of which it reads a row.</summary>
    public long BytesPerPass => Head.Bytes + Layers.Sum(layer =>
        layer.Qkv.Matrix.Bytes + layer.AttentionOutput.Matrix.Bytes + (layer.Gate?.Bytes ?? 0) + layer.Up.Matrix.Bytes + layer.Down.Matrix.Bytes);

    /// <summary>Checks every tensor of the model, then packs them all.</summary>
    /// <param name="progress">Is told the fraction done.</param>
    /// <exception cref="InvalidDataException">A tensor is missing or of another shape or type.</exception>
    internal static Weights Load(ModelConfig config, ITensorSource source, TensorNames names, IKernels kernels, Action<double>? progress = null)
    {
        var packer = new WeightPacker(source, kernels, progress);
        var builder = new Builder(config, names, packer);
        _ = builder.Build(null!); // Only checks and adds up: what it returns has no memory.
        MemoryBlock block = packer.Allocate();
        try
        {
            return builder.Build(block);
        }
        catch
        {
            block.Dispose();
            throw;
        }
    }

    public void Dispose() => _block.Dispose();

    /// <summary>Every tensor of a model, in the order in which a pass reads them.</summary>
    private sealed class Builder(ModelConfig config, TensorNames names, WeightPacker packer)
    {
        private readonly int _hidden = config.HiddenSize;

        public Weights Build(MemoryBlock block)
        {
            WeightMatrix embedding = packer.Matrix(names.Embedding + ".weight", config.VocabularySize, _hidden);
            WeightMatrix? positions = config.Rotary is null ? packer.Matrix(names.Positions + ".weight", config.TrainedContext, _hidden) : null;
            LayerWeights[] layers = [.. Enumerable.Range(0, config.Layers).Select(Layer)];
            NormWeights finalNorm = Norm(names.FinalNorm);
            WeightMatrix head = config.TiedHead ? embedding : packer.Matrix(names.Head + ".weight", config.VocabularySize, _hidden);
            return new Weights(block, embedding, positions, layers, finalNorm, head);
        }

        private LayerWeights Layer(int number)
        {
            string prefix = names.Layer.Replace("{0}", number.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);
            return new LayerWeights(
                Norm(prefix + names.AttentionNorm),
                Qkv(prefix),
                config.QkNorm ? packer.Vector(HeadPart(prefix + names.QueryNorm)) : default,
                config.QkNorm ? packer.Vector(HeadPart(prefix + names.KeyNorm)) : default,
                Project(prefix + names.AttentionOutput, _hidden, config.QuerySize, config.OutputBias),
                Norm(prefix + names.MlpNorm),
                config.GatedMlp ? packer.Matrix(prefix + names.Gate + ".weight", config.IntermediateSize, _hidden, names.Transposed) : null,
                Project(prefix + names.Up, config.IntermediateSize, _hidden, config.MlpBias),
                Project(prefix + names.Down, _hidden, config.IntermediateSize, config.MlpBias));
        }

        private Projection Qkv(string prefix)
        {
            if (names.Qkv is [string one])
            {
                return Project(prefix + one, config.QkvSize, _hidden, config.QkvBias);
            }

            int head = names.Interleaved ? config.HeadDim : 0;
            int keyValueSize = config.KvHeads * config.HeadDim;
            Part[] parts = [new(prefix + names.Qkv[0], config.QuerySize, head), new(prefix + names.Qkv[1], keyValueSize, head), new(prefix + names.Qkv[2], keyValueSize)];
            WeightMatrix matrix = packer.Stacked(Array.ConvertAll(parts, part => part with { Name = part.Name + ".weight" }), _hidden);
            return new Projection(matrix, config.QkvBias ? packer.Vector(Array.ConvertAll(parts, part => part with { Name = part.Name + ".bias" })) : default);
        }

        private Projection Project(string name, int outputs, int inputs, bool bias) => new(
            packer.Matrix(name + ".weight", outputs, inputs, names.Transposed),
            bias ? packer.Vector(new Part(name + ".bias", outputs)) : default);

        private NormWeights Norm(string name) => new(
            packer.Vector(new Part(name + ".weight", _hidden)),
            config.Norm == NormKind.LayerNorm ? packer.Vector(new Part(name + ".bias", _hidden)) : default);

        /// <summary>The norm of a head's query or key: where heads are interleaved, so is it.</summary>
        private Part HeadPart(string name) => new(name + ".weight", config.HeadDim, names.Interleaved ? config.HeadDim : 0);
    }
}
