using Understory.Decoding.Planning;
using Understory.Decoding.Verification;

namespace Understory.Decoding;

public sealed record DecodingOptions
{
    /// <summary>Bytes that the KV caches of finished sequences may hold; 0 switches reuse off.</summary>
    public long PrefixCacheBytes { get; init; } = 512L << 20;

    /// <summary>Candidates that the draft model gives per node.</summary>
    public int Branch { get; init; } = 6;

    /// <summary>Deepest node of a tree, from 1 to 63: as many nodes are verified at most.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is none of these.</exception>
    public int MaxDepth
    {
        get;
        init => field = value is >= 1 and <= TreeVerifier.MaxNodes
            ? value
            : throw new ArgumentOutOfRangeException(nameof(value), value,
                $"The deepest node of a tree is from 1 to {TreeVerifier.MaxNodes} levels deep.");
    } = 20;

    /// <summary>
    /// Rows that look ahead in every step of every mode but off, whatever they cost: for measurements. Null: in auto, as many as the ledger
    /// finds worth it.
    /// </summary>
    public int? LookaheadRows { get; init; }

    /// <summary>
    /// The draft model attends to the first few positions and at least so many of the last ones; 0: to all.
    /// </summary>
    public int DraftWindow { get; init; }

    /// <summary>What passes cost in an earlier run with the same models, threads and device; null: nothing is known.</summary>
    public CostCurves? KnownCosts { get; init; }

    /// <summary>Time that the start-up calibration of the cost models may take.</summary>
    public TimeSpan Calibration { get; init; } = TimeSpan.FromMilliseconds(280);
}
