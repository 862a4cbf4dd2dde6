using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Kernels;

namespace Understory.Decoding.Drafters;

/// <summary>
/// Stage 1: what the longest matches in prompt and output suggest, and, for the probability that they leave over, the Katz trigram.
/// Where the request samples, candidates are ranked with the decision rule's own noise, as the target ranks them.
/// </summary>
public sealed class NgramDrafter(NgramModel? model, int contextLength) : IProposalSource
{
    /// <summary>Candidates in play: where noise reorders them, less probable ones may win.</summary>
    private const int Pool = 16;
    private const int GreedyPool = 12;

    /// <summary>Most proposals for one place: a third was never worth its row.</summary>
    private const int MaxGuesses = 2;

    private readonly ContextNgrams _matches = new(contextLength);
    private readonly int[] _tokens = new int[2 * Pool];
    private readonly float[] _raw = new float[2 * Pool];
    private readonly double[] _scores = new double[2 * Pool];
    private readonly int[] _best = new int[MaxGuesses];
    private readonly float[] _bestRaw = new float[MaxGuesses];
    private TokenContext? _context;

    public Reach Reach => Reach.LookedUp;

    public void Propose(in Place place, Proposals proposals)
    {
        Follow(place.Context);
        int count = Best(place.Context, place.Path, place.State, _best, _bestRaw);
        for (int rank = 0; rank < count; rank++)
        {
            proposals.Add(_best[rank], Stage.Ngram, rank, _bestRaw[rank]);
        }
    }

    /// <summary>Brings the matcher up to the committed tokens of <paramref name="context"/>.</summary>
    public void Follow(TokenContext context)
    {
        if (!ReferenceEquals(_context, context))
        {
            _context = context;
            _matches.Clear();
        }

        ReadOnlySpan<int> tokens = context.Tokens;
        for (int i = _matches.Count; i < tokens.Length; i++)
        {
            _matches.Append(tokens[i]);
        }
    }

    /// <summary>
    /// The best candidates to follow <paramref name="path"/> (tokens below the last committed one), best first, with their probabilities.
    /// </summary>
    /// <returns>How many there are.</returns>
    public int Best(TokenContext context, ReadOnlySpan<int> path, Span<int> tokens, Span<float> probabilities) =>
        Best(context, path, context.State, tokens, probabilities);

    /// <summary>As above; only what the request's constraint allows after <paramref name="state"/>.</summary>
    internal int Best(TokenContext context, ReadOnlySpan<int> path, int state, Span<int> tokens, Span<float> probabilities)
    {
        int pool = context.Greedy ? GreedyPool : Pool;
        int count = _matches.Best(path, _tokens.AsSpan(0, pool), _raw.AsSpan(0, pool));
        float left = 1;
        for (int i = 0; i < count; i++)
        {
            left -= _raw[i];
        }

        if (model is not null && left > 0.01f)
        {
            count = AddTrigrams(context, path, count, left, pool);
        }

        if (context.Matcher is not null)
        {
            count = KeepAllowed(context, state, count);
        }

        return context.Greedy
            ? Take(count, tokens, probabilities, _raw)
            : TakeWithNoise(context, path.Length, count, tokens, probabilities);
    }

    /// <summary>Drops what may not follow. The rest keeps its estimates, which are then rather too low: calibration sees to that.</summary>
    private int KeepAllowed(TokenContext context, int state, int count)
    {
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (context.StateAfter(state, _tokens[i]) != ConstraintMatcher.Dead)
            {
                _tokens[kept] = _tokens[i];
                _raw[kept++] = _raw[i];
            }
        }

        return kept;
    }

    private int AddTrigrams(TokenContext context, ReadOnlySpan<int> path, int count, float left, int pool)
    {
        ReadOnlySpan<int> committed = context.Tokens;
        int previous1 = path.Length > 0 ? path[^1] : committed[^1];
        int before = path.Length - 2;
        int previous2 = before >= 0 ? path[before] : committed.Length + before >= 0 ? committed[committed.Length + before] : -1;
        int more = model!.Best(previous2, previous1, _tokens.AsSpan(Pool, pool), _raw.AsSpan(Pool, pool));
        for (int i = 0; i < more; i++)
        {
            int known = _tokens.AsSpan(0, count).IndexOf(_tokens[Pool + i]);
            if (known >= 0)
            {
                _raw[known] += left * _raw[Pool + i];
            }
            else
            {
                // At most Pool matches precede, so this never overtakes the entry that is read.
                _tokens[count] = _tokens[Pool + i];
                _raw[count++] = left * _raw[Pool + i];
            }
        }

        return count;
    }

    private int Take<TKey>(int count, Span<int> tokens, Span<float> probabilities, TKey[] keys)
        where TKey : IComparable<TKey>
    {
        int wanted = Math.Min(count, tokens.Length);
        for (int i = 0; i < wanted; i++)
        {
            int best = i;
            for (int j = i + 1; j < count; j++)
            {
                if (keys[j].CompareTo(keys[best]) > 0)
                {
                    best = j;
                }
            }

            (keys[i], keys[best]) = (keys[best], keys[i]);
            if (!ReferenceEquals(keys, _raw))
            {
                (_raw[i], _raw[best]) = (_raw[best], _raw[i]);
            }

            (_tokens[i], _tokens[best]) = (_tokens[best], _tokens[i]);
            tokens[i] = _tokens[i];
            probabilities[i] = _raw[i];
        }

        return wanted;
    }

    private int TakeWithNoise(TokenContext context, int depth, int count, Span<int> tokens, Span<float> probabilities)
    {
        DecisionParams decision = context.Decision;
        float mass = 0;
        double highest = double.NegativeInfinity;
        for (int i = 0; i < count; i++)
        {
            mass += _raw[i];
            _scores[i] = (Math.Log(Math.Max(_raw[i], 1e-9f)) / decision.Temperature)
                + GumbelNoise.Exact(decision.Seed, context.Length + depth, _tokens[i], decision.Choice);
            highest = Math.Max(highest, _scores[i]);
        }

        double sum = 0;
        for (int i = 0; i < count; i++)
        {
            sum += Math.Exp(_scores[i] - highest);
        }

        for (int i = 0; i < count; i++)
        {
            _raw[i] = (float)(mass * Math.Exp(_scores[i] - highest) / sum);
        }

        return Take(count, tokens, probabilities, _scores);
    }
}
