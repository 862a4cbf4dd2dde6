using Understory.Models.Kernels;
using Understory.Models.Tokenizers;

namespace Understory.Models.Architecture;

/// <summary>What a model's files say of it, and what it would take: every tensor was looked up and described, and none read.</summary>
public sealed record ModelSurvey
{
    /// <summary>Everything beside weights, keys and values: code, activations, tokenizer, tables.</summary>
    private const long OtherBytes = 150_000_000;

    private ModelSurvey()
    {
    }

    public required ModelConfig Config { get; init; }

    public required Tokenizer Tokenizer { get; init; }

    /// <summary>Weights of all tensors.</summary>
    public required long Parameters { get; init; }

    /// <summary>Bytes of weights once they are packed.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of keys and values of a token.</summary>
    public required long CacheBytesPerToken { get; init; }

    /// <summary>Bytes of memory that serving takes with a full context.</summary>
    public long MemoryBytes => WeightBytes + (CacheBytesPerToken * Config.ContextLength) + OtherBytes;

    /// <param name="loader">Has been asked for <paramref name="weights"/>.</param>
    internal static ModelSurvey Of(ModelConfig config, Tokenizer tokenizer, Weights weights, WeightLoader loader, CacheType cacheType) =>
        new()
        {
            Config = config,
            Tokenizer = tokenizer,
            Parameters = weights.Parameters,
            WeightBytes = loader.MatrixBytes + (loader.VectorElements * sizeof(float)),
            CacheBytesPerToken = KvCache.SlotBytes(config, cacheType),
        };
}
