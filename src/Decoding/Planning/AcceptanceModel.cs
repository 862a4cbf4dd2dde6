using Understory.Decoding.Tree;

namespace Understory.Decoding.Planning;

/// <summary>
/// Turns a stage's own probability of a candidate into the observed frequency with which the target chose such a candidate: binned by
/// stage, greedy or sampled, place among the siblings, and predicted probability. It learns from every child drafted
/// under an accepted node, verified or pruned; learning from verified ones alone would favour what the planner already believed.
/// A short-lived factor per sequence follows texts that are easier or harder than the average.
/// </summary>
public sealed class AcceptanceModel
{
    public const int Ranks = 4;

    private const int Bins = 16;
    private const int Stages = 6;
    private const float PriorWeight = 6;
    private const float Window = 1500;
    private const float DraftDecay = 0.95f;
    private const float NgramDecay = 0.88f;
    private const float SequencePrior = 2.5f;

    // What the first, second, ... candidate holds before anything was observed.
    private static readonly float[] DraftGreedy = [0.55f, 0.15f, 0.06f, 0.03f];
    private static readonly float[] DraftSampled = [0.45f, 0.15f, 0.07f, 0.05f];
    private static readonly float[] NgramPrior = [0.25f, 0.08f, 0.04f, 0.02f];

    private readonly (float Seen, float Hits)[] _bins = new (float, float)[Stages * 2 * Ranks * Bins];
    private readonly (float Seen, float Hits)[] _ranks = new (float, float)[Stages * 2 * Ranks];
    private readonly (float Expected, float Hits)[] _sequence = new (float, float)[Stages];

    /// <summary>Forgets what was special about the last sequence.</summary>
    public void BeginSequence() => Array.Clear(_sequence);

    /// <summary>Forgets all that was observed.</summary>
    public void Clear()
    {
        BeginSequence();
        Array.Clear(_bins);
        Array.Clear(_ranks);
    }

    /// <summary>Calibrated probability that the target chooses a candidate, given that its path reached the parent.</summary>
    public float Calibrate(Stage judge, bool greedy, int rank, float raw)
    {
        float frequency = Frequency(judge, greedy, rank, raw);
        float change = SequenceFactor(judge) - 1;
        // An n-gram that is nearly sure has found a long repetition: that it knew little before says nothing of it.
        float share = judge == Stage.Draft ? 1 : 1 - frequency;
        return Math.Min(frequency * (1 + (change * share)), 0.995f);
    }

    /// <summary>Average probability that the candidate in place <paramref name="rank"/> is right, whatever its prediction.</summary>
    public float Average(Stage judge, bool greedy, int rank)
    {
        if (rank >= Ranks)
        {
            return 0;
        }

        var (seen, hits) = _ranks[RankIndex(judge, greedy, rank)];
        float prior = (judge == Stage.Ngram ? NgramPrior : greedy ? DraftGreedy : DraftSampled)[rank];
        return Math.Min((hits + (prior * 2 * PriorWeight)) / (seen + (2 * PriorWeight)) * SequenceFactor(judge), 0.995f);
    }

    /// <summary>The target decided below a node: was this child its choice?</summary>
    public void Observe(Stage judge, bool greedy, int rank, float raw, bool hit)
    {
        rank = Math.Min(rank, Ranks - 1);
        float expected = Frequency(judge, greedy, rank, raw);
        Count(ref _bins[BinIndex(judge, greedy, rank, raw)], hit);
        Count(ref _ranks[RankIndex(judge, greedy, rank)], hit);
        ref var recent = ref _sequence[(int)judge];
        float decay = rank > 0 ? 1 : judge == Stage.Draft ? DraftDecay : NgramDecay;
        recent = ((recent.Expected * decay) + expected, (recent.Hits * decay) + (hit ? 1 : 0));
    }

    private float Frequency(Stage judge, bool greedy, int rank, float raw)
    {
        var (seen, hits) = _bins[BinIndex(judge, greedy, Math.Min(rank, Ranks - 1), raw)];
        // What the draft does not confirm is seldom right, until it is seen to be.
        float prior = judge == Stage.Disputed ? 0.3f * raw : raw;
        return (hits + (prior * PriorWeight)) / (seen + PriorWeight);
    }

    private float SequenceFactor(Stage judge)
    {
        var (expected, hits) = _sequence[(int)judge];
        return (hits + SequencePrior) / (expected + SequencePrior);
    }

    private static void Count(ref (float Seen, float Hits) cell, bool hit)
    {
        cell = (cell.Seen + 1, cell.Hits + (hit ? 1 : 0));
        if (cell.Seen > Window)
        {
            cell = (cell.Seen / 2, cell.Hits / 2);
        }
    }

    private static int RankIndex(Stage judge, bool greedy, int rank) => ((((int)judge * 2) + (greedy ? 1 : 0)) * Ranks) + rank;

    private static int BinIndex(Stage judge, bool greedy, int rank, float raw) => (RankIndex(judge, greedy, rank) * Bins) + Bin(raw);

    /// <summary>Even steps of the log-odds, from about 1/200 to 199/200.</summary>
    private static int Bin(float p)
    {
        float odds = MathF.Log(Math.Max(p, 1e-6f) / Math.Max(1 - p, 1e-6f));
        return Math.Clamp((int)MathF.Round((odds * 1.4f) + 8), 0, Bins - 1);
    }
}
