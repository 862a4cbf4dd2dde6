using Understory.Decoding.Tree;

namespace Understory.Decoding.Planning;

/// <summary>
/// Turns a stage's own probability of a candidate into the observed frequency with which the target chose such a candidate: binned by
/// stage, greedy or sampled, place among the siblings, and predicted probability, with a factor for its depth. It learns from every
/// child drafted under an accepted node, verified or pruned; learning from verified ones alone would favour what the planner already
/// believed. A short-lived factor per sequence follows texts that are easier or harder than the average.
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
    /// Candidates that "this sequence is like the others" is worth. Chosen by simulating planning: with 2.5 two misses in a row drove out a
    /// draft that paid; a dozen that all fail halve an estimate.
    /// </summary>
    private const float SequencePrior = 6f;

    /// <summary>
    /// From this frequency on a guess of a stage that is not steady counts among its sure ones. Chosen.
    /// </summary>
    private const float Sure = 0.5f;

    /// <summary>What a token leaves of the memory of a stage that said nothing of it. Chosen.</summary>
    private const float Fading = 0.98f;

    /// <summary>Depths that are told apart; deeper ones are as the deepest of them. Chosen.</summary>
    private const int Depths = 8;

    /// <summary>Expected hits that "it is as at the depth before" is worth. Chosen by simulating planning.</summary>
    private const float DepthPrior = 12f;

    /// <summary>Nothing is surer than that.</summary>
    private const float Surest = 0.995f;

    /// <summary>What is known of one stage.</summary>
    private sealed class Record
    {
        public readonly (float Seen, float Hits)[] Bins = new (float, float)[2 * AcceptanceModel.Ranks * AcceptanceModel.Bins];
        public readonly (float Seen, float Hits)[] Ranks = new (float, float)[2 * AcceptanceModel.Ranks];
        public readonly (float Expected, float Hits)[] Depths = new (float, float)[2 * AcceptanceModel.Depths];

        /// <summary>Of <see cref="Depths"/>: what is made of it.</summary>
        public readonly float[] DepthFactors = [.. Enumerable.Repeat(1f, 2 * AcceptanceModel.Depths)];

        /// <summary>How the sequence goes: for all, or for what is little sure, and for what is sure.</summary>
        public readonly (float Expected, float Hits)[] Sequence = new (float, float)[2];
        public bool Observed;
    }

    private Record[] _records = [];

    /// <summary>Forgets what was special about the last sequence.</summary>
    public void BeginSequence() => Array.ForEach(_records, record => Array.Clear(record.Sequence));

    /// <summary>Forgets all that was observed.</summary>
    public void Clear() => _records = [];

    /// <summary>Calibrated probability that the target chooses a candidate, given that its path reached the parent.</summary>
    /// <param name="depth">Tokens that were guessed before it.</param>
    public float Calibrate(Stage judge, bool greedy, int rank, float raw, int depth = 0)
    {
        Record record = Of(judge);
        float frequency = Math.Min(Frequency(record, judge, greedy, rank, raw) * DepthFactor(record, judge, greedy, rank, depth), Surest);
        return Math.Min(frequency * SequenceFactor(SequenceOf(record, judge, frequency)), Surest);
    }

    /// <summary>Average probability that the candidate in place <paramref name="rank"/> is right, whatever its prediction.</summary>
    /// <param name="depth">As in <see cref="Calibrate"/>.</param>
    public float Average(Stage judge, bool greedy, int rank, int depth = 0)
    {
        IReadOnlyList<float> priors = greedy ? judge.Prior : judge.PriorSampled;
        if (rank >= Math.Min(Ranks, priors.Count))
        {
            return 0;
        }

        Record record = Of(judge);
        var (seen, hits) = record.Ranks[RankIndex(greedy, rank)];
        float frequency = (hits + (priors[rank] * 2 * PriorWeight)) / (seen + (2 * PriorWeight));
        frequency *= DepthFactor(record, judge, greedy, rank, depth);
        return Math.Min(frequency * SequenceFactor(SequenceOf(record, judge, frequency)), Surest);
    }

    /// <summary>
    /// Standard deviation of <see cref="Average"/> of the first candidate: of the long run, <c>p (1 - p) / (seen + prior + 1)</c>, and of
    /// how this sequence goes, <c>(1 - p) (hits + prior) / (expected + prior)^2</c> of its factor.
    /// </summary>
    public double Doubt(Stage judge, bool greedy)
    {
        Record record = Of(judge);
        double p = Average(judge, greedy, 0);
        double seen = record.Ranks[RankIndex(greedy, 0)].Seen + (2 * PriorWeight);
        (float Expected, float Hits) sequence = SequenceOf(record, judge, (float)p);
        double expected = sequence.Expected + SequencePrior;
        return Math.Sqrt((p * (1 - p) / (seen + 1)) + (p * p * (1 - p) * (sequence.Hits + SequencePrior) / (expected * expected)));
    }

    /// <summary>The target decided below a node: was this child its choice?</summary>
    /// <param name="depth">As in <see cref="Calibrate"/>.</param>
    public void Observe(Stage judge, bool greedy, int rank, float raw, bool hit, int depth = 0)
    {
        rank = Math.Min(rank, Ranks - 1);
        Record record = Of(judge);
        record.Observed = true;
        float frequency = Frequency(record, judge, greedy, rank, raw);
        float expected = Math.Min(frequency * DepthFactor(record, judge, greedy, rank, depth), Surest);
        if (rank == 0 && judge.Steady)
        {
            ObserveDepth(record, greedy, depth, frequency, hit);
        }

        Count(ref record.Bins[BinIndex(greedy, rank, raw)], hit);
        Count(ref record.Ranks[RankIndex(greedy, rank)], hit);
        float decay = rank > 0 ? 1 : judge.Decay;
        ref (float Expected, float Hits) sequence = ref SequenceOf(record, judge, expected);
        sequence = ((sequence.Expected * decay) + expected, (sequence.Hits * decay) + (hit ? 1 : 0));
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
            foreach (ref (float Expected, float Hits) sequence in record.Sequence.AsSpan())
            {
                sequence = record.Observed ? sequence : (sequence.Expected * left, sequence.Hits * left);
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

    /// <summary>
    /// How much oftener than on average the first candidate is right so many tokens ahead, shrunk to the depth before by want of
    /// evidence: <c>f(-1) = 1, f(d) = (hits(d) + DepthPrior * f(d - 1)) / (expected(d) + DepthPrior)</c>. Those behind the first are not
    /// rarer where it errs more; and of stages that are not steady, what is nearly sure is so at any depth.
    /// </summary>
    private static float DepthFactor(Record record, Stage judge, bool greedy, int rank, int depth) =>
        rank > 0 || !judge.Steady ? 1 : record.DepthFactors[DepthIndex(greedy, depth)];

    private static void ObserveDepth(Record record, bool greedy, int depth, float frequency, bool hit)
    {
        int first = DepthIndex(greedy, 0);
        int at = DepthIndex(greedy, depth);
        ref (float Expected, float Hits) cell = ref record.Depths[at];
        cell = (cell.Expected + frequency, cell.Hits + (hit ? 1 : 0));
        if (cell.Expected > Window)
        {
            cell = (cell.Expected / 2, cell.Hits / 2);
        }

        float factor = at == first ? 1 : record.DepthFactors[at - 1];
        for (; at < first + Depths; at++)
        {
            (float expected, float hits) = record.Depths[at];
            record.DepthFactors[at] = factor = (hits + (DepthPrior * factor)) / (expected + DepthPrior);
        }
    }

    private static ref (float Expected, float Hits) SequenceOf(Record record, Stage judge, float frequency) =>
        ref record.Sequence[!judge.Steady && frequency >= Sure ? 1 : 0];

    private static float SequenceFactor((float Expected, float Hits) sequence) =>
        (sequence.Hits + SequencePrior) / (sequence.Expected + SequencePrior);

    private static void Count(ref (float Seen, float Hits) cell, bool hit)
    {
        cell = (cell.Seen + 1, cell.Hits + (hit ? 1 : 0));
        if (cell.Seen > Window)
        {
            cell = (cell.Seen / 2, cell.Hits / 2);
        }
    }

    private static int DepthIndex(bool greedy, int depth) => ((greedy ? 1 : 0) * Depths) + Math.Min(depth, Depths - 1);

    private static int RankIndex(bool greedy, int rank) => ((greedy ? 1 : 0) * Ranks) + rank;

    private static int BinIndex(bool greedy, int rank, float raw) => (RankIndex(greedy, rank) * Bins) + Bin(raw);

    /// <summary>Even steps of the log-odds, from about 1/200 to 199/200.</summary>
    private static int Bin(float p)
    {
        float odds = MathF.Log(Math.Max(p, 1e-6f) / Math.Max(1 - p, 1e-6f));
        return Math.Clamp((int)MathF.Round((odds * 1.4f) + 8), 0, Bins - 1);
    }
}
