namespace Understory.Decoding;

public sealed record DecodingOptions
{
    /// <summary>Bytes that the KV caches of finished sequences may hold; 0 switches reuse off.</summary>
    public long PrefixCacheBytes { get; init; } = 512L << 20;

    /// <summary>Candidates that the draft model gives per node.</summary>
    public int Branch { get; init; } = 6;

    /// <summary>Deepest node of a tree.</summary>
    public int MaxDepth { get; init; } = 20;

    /// <summary>Time that the start-up calibration of the cost models may take.</summary>
    public TimeSpan Calibration { get; init; } = TimeSpan.FromMilliseconds(280);
}
