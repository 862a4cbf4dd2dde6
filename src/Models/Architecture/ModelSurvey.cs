using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tokenizers;

namespace Understory.Models.Architecture;

/// <summary>What a model's files say of it, and what it would take: every tensor was looked up and described, and none read.</summary>
public sealed record ModelSurvey
{
    /// <summary>Everything beside weights, keys and values: code, activations, tokenizer, tables.</summary>
    private const long OtherBytes = 150_000_000;

    private ModelSurvey(Weights weights) => Weights = weights;

    public required ModelConfig Config { get; init; }

    public required Tokenizer Tokenizer { get; init; }

    /// <summary>Described, and nothing of them read.</summary>
    internal Weights Weights { get; }

    /// <summary>Weights of all tensors.</summary>
    public required long Parameters { get; init; }

    /// <summary>Of them those that one row is multiplied with: of experts only as many as it chooses.</summary>
    public required long ActiveParameters { get; init; }

    /// <summary>Matrices by the types that the files have them in, most bytes first.</summary>
    public required IReadOnlyList<TypeShare> Types { get; init; }

    /// <summary>Bytes of weights once they are packed, all of them.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of experts that would stay in the file, because memory does not suffice for all.</summary>
    public required long MappedBytes { get; init; }

    /// <summary>Of them those that a pass of one row reads.</summary>
    public required long PassBytes { get; init; }

    public required CacheType CacheType { get; init; }

    /// <summary>Bytes of keys and values of a token.</summary>
    public required long CacheBytesPerToken { get; init; }

    /// <summary>
    /// The draft head in the model's own files, whose weights count in <see cref="WeightBytes"/>, or that these files are; null: there is
    /// none.
    /// </summary>
    public HeadPlan? Head { get; init; }

    /// <summary>Weights that the draft head has beside the model's.</summary>
    public long HeadParameters { get; init; }

    /// <summary>Bytes of the draft head's keys and values of a token.</summary>
    public long HeadCacheBytesPerToken { get; init; }

    /// <summary>Bytes of memory that serving takes with a full context.</summary>
    public long MemoryBytes =>
        WeightBytes + ((CacheBytesPerToken + HeadCacheBytesPerToken) * Config.ContextLength) + Config.StateBytes + OtherBytes;

    /// <summary>What would be slow, or refused; a sentence each.</summary>
    public required IReadOnlyList<string> Remarks { get; init; }

    /// <param name="loader">Has been asked for <paramref name="weights"/>.</param>
    /// <exception cref="InvalidDataException">Memory does not suffice.</exception>
    internal static ModelSurvey Of(ModelConfig config, Tokenizer tokenizer, Weights weights, WeightLoader loader, CacheType cacheType)
    {
        WeightMatrix[] matrices = [.. loader.Matrices];
        long bytes = loader.MatrixBytes;
        loader.Fit();
        long parameters = weights.Parameters;
        long idle = weights.Layers.Sum(layer => layer.Experts is { } experts ? experts.IdleParameters : 0);
        IEnumerable<TypeShare> types = matrices.GroupBy(matrix => matrix.Format.Name)
            .Select(group => new TypeShare(
                group.Key, group.Sum(matrix => matrix.Rows * matrix.Format.Bytes(matrix.Columns)), Count(group)));
        return new ModelSurvey(weights)
        {
            Config = config,
            Tokenizer = tokenizer,
            Parameters = parameters,
            ActiveParameters = parameters - idle,
            Types = [.. types.OrderByDescending(type => type.Bytes)],
            WeightBytes = bytes + (loader.VectorElements * sizeof(float)),
            MappedBytes = loader.MappedBytes,
            PassBytes = weights.BytesPerPass,
            CacheType = cacheType,
            CacheBytesPerToken = KvCache.SlotBytes(config, cacheType),
            Remarks = [.. RemarksOn(config, matrices)],
        };
    }

    private static long Count(IEnumerable<WeightMatrix> matrices) => matrices.Sum(matrix => (long)matrix.Rows * matrix.Columns);

    private static IEnumerable<string> RemarksOn(ModelConfig config, WeightMatrix[] matrices)
    {
        if (matrices.Any(matrix => matrix.Format is Float8Format))
        {
            yield return "its 8-bit floats are held as BF16, twice their size in the file";
        }

        if ((config.Features & Kernels.Cuda.CudaKernels.Lacking) is not 0 and var lacking)
        {
            yield return $"on CUDA it is refused for now: the kernels there lack {lacking}; --device cpu runs it";
        }
        else if (matrices.Any(matrix => matrix.Format is QuantisedFormat))
        {
            yield return "on CUDA its quantised weights are brought to BF16";
        }

        if (config.Layers.Any(layer => layer.Mlp.Experts is not null))
        {
            yield return "rows choose among experts, so passes of several rows read more weights: speculation gains less than with a dense "
                + "model";
        }
    }
}

/// <summary>Matrices of one type.</summary>
/// <param name="Bytes">In the file.</param>
public sealed record TypeShare(string Name, long Bytes, long Parameters);
