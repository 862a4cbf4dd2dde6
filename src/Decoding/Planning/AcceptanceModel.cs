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

    /// <summary>Steps of the log-odds in which a stage's own probabilities are told apart. Chosen.</summary>
    private const int Bins = 16;

    /// <summary>Observations that a stage's own probability is worth. Chosen.</summary>
    private const float PriorWeight = 6;

    /// <summary>Observations after which the older half counts half. Chosen.</summary>
    private const float Window = 1500;

    /// <summary>
    /// Candidates that "this sequence is like the others" is worth. Chosen by simulating planning: with 2.5 two misses in a row drove out
    /// a draft that paid; a
    /// dozen that all fail halve an estimate.
    /// </summary>
    private const float SequencePrior = 6f;

    /// <summary>What a token leaves of the memory of a stage that said nothing of it. Chosen.</summary>
    private const float Fading = 0.98f;

    /// <summary>Nothing is surer than that.</summary>
    private const float Surest = 0.995f;

    /// <summary>What is known of one stage.</summary>
    private sealed class Record
    {
        public readonly (float Seen, float Hits)[] Bins = new (float, float)[2 * AcceptanceModel.Ranks * AcceptanceModel.Bins];
        public readonly (float Seen, float Hits)[] Ranks = new (float, float)[2 * AcceptanceModel.Ranks];
        public (float Expected, float Hits) Sequence;
        public bool Observed;
    }

    private Record[] _records = [];

    /// <summary>Forgets what was special about the last sequence.</summary>
    public void BeginSequence() => Array.ForEach(_records, record => record.Sequence = default);

    /// <summary>Forgets all that was observed.</summary>
    public void Clear() => _records = [];

    /// <summary>Calibrated probability that the target chooses a candidate, given that its path reached the parent.</summary>
    public float Calibrate(Stage judge, bool greedy, int rank, float raw)
    {
        Record record = Of(judge);
        float frequency = Frequency(record, judge, greedy, rank, raw);
        float change = SequenceFactor(record) - 1;
        float share = judge.Steady ? 1 : 1 - frequency;
        return Math.Min(frequency * (1 + (change * share)), Surest);
    }

    /// <summary>Average probability that the candidate in place <paramref name="rank"/> is right, whatever its prediction.</summary>
    public float Average(Stage judge, bool greedy, int rank)
    {
        IReadOnlyList<float> priors = greedy ? judge.Prior : judge.PriorSampled;
        if (rank >= Math.Min(Ranks, priors.Count))
        {
            return 0;
        }

        Record record = Of(judge);
        var (seen, hits) = record.Ranks[RankIndex(greedy, rank)];
        return Math.Min((hits + (priors[rank] * 2 * PriorWeight)) / (seen + (2 * PriorWeight)) * SequenceFactor(record), Surest);
    }

    /// <summary>The target decided below a node: was this child its choice?</summary>
    public void Observe(Stage judge, bool greedy, int rank, float raw, bool hit)
    {
        rank = Math.Min(rank, Ranks - 1);
        Record record = Of(judge);
        record.Observed = true;
        float expected = Frequency(record, judge, greedy, rank, raw);
        Count(ref record.Bins[BinIndex(greedy, rank, raw)], hit);
        Count(ref record.Ranks[RankIndex(greedy, rank)], hit);
        float decay = rank > 0 ? 1 : judge.Decay;
        record.Sequence = ((record.Sequence.Expected * decay) + expected, (record.Sequence.Hits * decay) + (hit ? 1 : 0));
    }

    /// <summary>
    /// So many tokens were committed: how the sequence went for a stage that said nothing of them is forgotten slowly, so that it is
    /// asked again.
    /// </summary>
    public void Committed(int tokens)
    {
        float left = MathF.Pow(Fading, tokens);
        foreach (Record record in _records)
        {
            if (!record.Observed)
            {
                record.Sequence = (record.Sequence.Expected * left, record.Sequence.Hits * left);
            }

            record.Observed = false;
        }
    }

    /// <summary>What is known of a stage; a new one is given room when it is first met.</summary>
    private Record Of(Stage stage)
    {
        if (stage.Index >= _records.Length)
        {
            int known = _records.Length;
            Array.Resize(ref _records, stage.Index + 1);
            for (int i = known; i < _records.Length; i++)
            {
                _records[i] = new Record();
            }
        }

        return _records[stage.Index];
    }

    private static float Frequency(Record record, Stage judge, bool greedy, int rank, float raw)
    {
        var (seen, hits) = record.Bins[BinIndex(greedy, Math.Min(rank, Ranks - 1), raw)];
        return (hits + (judge.Trust * raw * PriorWeight)) / (seen + PriorWeight);
    }

    private static float SequenceFactor(Record record) =>
        (record.Sequence.Hits + SequencePrior) / (record.Sequence.Expected + SequencePrior);

    private static void Count(ref (float Seen, float Hits) cell, bool hit)
    {
        cell = (cell.Seen + 1, cell.Hits + (hit ? 1 : 0));
        if (cell.Seen > Window)
        {
            cell = (cell.Seen / 2, cell.Hits / 2);
        }
    }

    private static int RankIndex(bool greedy, int rank) => ((greedy ? 1 : 0) * Ranks) + rank;

    private static int BinIndex(bool greedy, int rank, float raw) => (RankIndex(greedy, rank) * Bins) + Bin(raw);

    /// <summary>Even steps of the log-odds, from about 1/200 to 199/200.</summary>
    private static int Bin(float p)
    {
        float odds = MathF.Log(Math.Max(p, 1e-6f) / Math.Max(1 - p, 1e-6f));
        return Math.Clamp((int)MathF.Round((odds * 1.4f) + 8), 0, Bins - 1);
    }
}
