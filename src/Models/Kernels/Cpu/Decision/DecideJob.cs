using System.Numerics;
using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>
/// The decision rule (see <see cref="DecisionParams"/>): an item is a row of logits. Nothing is sorted that need not be: the k-th largest
/// of the maxima of a few hundred groups of tokens is a bound that few more than k tokens reach, and only those are looked at one by one.
/// A NaN among the logits counts as -infinity, +infinity as the largest float.
/// </summary>
internal sealed unsafe class DecideJob<T>(int workers) : Job, IDisposable
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    /// <summary>Tokens that the noise looks at together.</summary>
    private const int Chunk = 4 * Lanes;

    private readonly DecideScratch[] _scratch = [.. Enumerable.Range(0, workers).Select(_ => new DecideScratch())];
    private Tensor _logits;
    private DecisionBatch _batch = null!;
    private bool _changes;

    public void Set(Tensor logits, DecisionBatch batch)
    {
        (_logits, _batch, _changes) = (logits, batch, DecisionLogits.Changes(batch));
        foreach (DecideScratch scratch in _scratch)
        {
            scratch.Reserve(logits.Columns);
        }
    }

    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            Decide(_scratch[worker], row);
        }
    }

    public void Dispose()
    {
        foreach (DecideScratch scratch in _scratch)
        {
            scratch.Dispose();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Decide(DecideScratch scratch, int row)
    {
        int vocabulary = _logits.Columns;
        float* logits = (float*)_logits.Data + ((long)row * _logits.Stride);
        if (_changes)
        {
            DecisionLogits.Apply(_batch, row, new ReadOnlySpan<float>(logits, vocabulary), new Span<float>(scratch.Changed, vocabulary));
            logits = scratch.Changed;
        }

        DecisionParams rule = _batch.Params;
        int best = _batch.Best;
        int wanted = rule.Temperature > 0 && rule.TopK > 0 ? Math.Max(rule.TopK, best) : best;
        int segments = wanted <= 64 ? 16 : DecideScratch.Segments;
        float max = Selection<T>.Maxima(scratch, logits, vocabulary, segments);
        double normaliser = max == float.NegativeInfinity
            ? max : max + Math.Log(Selection<T>.SumOfExponentials(logits, vocabulary, max, 1, float.MinValue));
        BestTokens winners = new(_batch.Tokens.AsSpan(row * _batch.MaxBest, best), _batch.Scores.AsSpan(row * _batch.MaxBest, best));
        if (rule.Temperature <= 0)
        {
            Selection<T>.Gather(scratch, logits, vocabulary, segments, Selection<T>.KthLargest(scratch.Maxima, segments * Lanes, best));
            for (int i = 0; i < scratch.Count; i++)
            {
                winners.Offer(scratch.Tokens[i], scratch.Logits[i]);
            }
        }
        else if (rule.TopK > 0 || rule.TopP < 1 || rule.MinP > 0)
        {
            Filter(scratch, rule, logits, vocabulary, segments, max);
            OfferAll(scratch, rule, row, winners);
        }
        else
        {
            SampleAll(scratch, rule, row, logits, vocabulary, segments, winners);
        }

        for (int i = 0; i < best; i++)
        {
            int token = _batch.Tokens[(row * _batch.MaxBest) + i];
            _batch.LogProbs[(row * _batch.MaxBest) + i] = token < 0
                ? float.NegativeInfinity : (float)(Selection<T>.Clean(logits[token]) - normaliser);
        }

        int given = _batch.Given[row];
        _batch.GivenLogProbs[row] = given < 0 ? 0 : (float)(Selection<T>.Clean(logits[given]) - normaliser);
    }

    /// <summary>Leaves in the scratch what top_k, then top_p, then min_p keep of softmax(l' / T).</summary>
    private static void Filter(DecideScratch scratch, in DecisionParams rule, float* logits, int vocabulary, int segments, float max)
    {
        bool all = rule.TopK <= 0 || rule.TopK >= vocabulary;
        if (!all)
        {
            Selection<T>.Gather(scratch, logits, vocabulary, segments,
                Selection<T>.KthLargest(scratch.Maxima, segments * Lanes, rule.TopK));
            Selection<T>.KeepLargest(scratch, rule.TopK);
        }

        if (rule.TopP < 1)
        {
            double total = 0;
            if (all)
            {
                total = Selection<T>.GatherMass(scratch, rule, logits, vocabulary, segments, max);
            }

            Selection<T>.KeepMass(scratch, rule, max, total);
            all = false;
        }

        if (rule.MinP > 0)
        {
            double least = max + (Math.Log(rule.MinP) * rule.Temperature);
            if (all)
            {
                Selection<T>.Gather(scratch, logits, vocabulary, segments, MathF.BitDecrement((float)least));
                all = false;
            }

            Selection<T>.Keep(scratch, rule.MinP >= 1 ? max : least);
        }

        if (all)
        {
            Selection<T>.Gather(scratch, logits, vocabulary, segments, float.MinValue);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void OfferAll(DecideScratch scratch, in DecisionParams rule, int row, BestTokens winners)
    {
        scratch.Pad();
        Noise<T>.Score(rule, _batch.Positions[row], scratch.Tokens, scratch.Logits, scratch.Count, scratch.Scores);
        for (int i = 0; i < scratch.Count; i++)
        {
            if (scratch.Scores[i] >= winners.Worst)
            {
                winners.Offer(scratch.Tokens[i], scratch.Scores[i]);
            }
        }

        scratch.Count = 0;
    }

    /// <summary>
    /// Samples among all tokens. The most probable ones set a bound; of the others only those are scored whose random bits are so few that
    /// they can reach it: <c>G >= g</c> needs <c>u &lt;= e^-g</c>, and no G exceeds <see cref="GumbelNoise.Max"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SampleAll(DecideScratch scratch, in DecisionParams rule, int row, float* logits, int vocabulary, int segments,
        BestTokens winners)
    {
        float sure = Math.Max(Selection<T>.KthLargest(scratch.Maxima, segments * Lanes, Math.Max(2 * Lanes, _batch.Best)), float.MinValue);
        Selection<T>.Gather(scratch, logits, vocabulary, segments, sure);
        OfferAll(scratch, rule, row, winners);
        uint* hits = stackalloc uint[4];
        for (int first = 0; first < vocabulary; first += Chunk)
        {
            int count = Math.Min(Chunk, vocabulary - first);
            T largest = Selection<T>.Load(logits, first, vocabulary);
            for (int i = Lanes; i < count; i += Lanes)
            {
                largest = T.Max(largest, Selection<T>.Load(logits, first + i, vocabulary));
            }

            float gap = winners.Worst - (Math.Min(largest.Largest(), sure) / rule.Temperature);
            if (gap > GumbelNoise.Max)
            {
                continue;
            }

            // In units of 2^8; a little more than e^-gap, for the roundings on the way.
            float limit = gap <= 0 ? float.MaxValue : (VectorMath.Exp(T.Broadcast(-gap)).Largest() * (1.01f * (1 << 24))) + 1;
            if (!Noise<T>.Scan(rule, _batch.Positions[row], first, limit, hits))
            {
                continue;
            }

            for (int lane = 0; lane < 4; lane++)
            {
                for (uint mask = hits[lane]; mask != 0; mask &= mask - 1)
                {
                    int token = first + (4 * BitOperations.TrailingZeroCount(mask)) + lane;
                    if (token < vocabulary && Selection<T>.Clean(logits[token]) is float logit && logit < sure
                        && logit != float.NegativeInfinity)
                    {
                        scratch.Add(token, logit);
                    }
                }
            }

            if (scratch.Count >= Lanes)
            {
                OfferAll(scratch, rule, row, winners);
            }
        }

        OfferAll(scratch, rule, row, winners);
    }
}
