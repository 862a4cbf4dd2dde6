namespace Understory.Decoding.Drafters;

/// <summary>How <see cref="NgramModel.Build"/> makes a model of counts.</summary>
public sealed record NgramBuildOptions
{
    /// <summary>Katz's k: counts up to it are discounted by Good-Turing, larger ones are trusted.</summary>
    public int DiscountedCounts { get; init; } = 5;

    /// <summary>The file may be this large: the n-grams that the model would miss least are dropped until it fits.</summary>
    public long MaxBytes { get; init; } = long.MaxValue;
}

/// <summary>
/// Katz back-off estimation (S. Katz, "Estimation of probabilities from sparse data for the language model component of a
/// speech recognizer", 1987): a seen n-gram keeps its discounted relative frequency, what the discounts free goes to the
/// unseen continuations of the context in proportion to the next lower order.
/// </summary>
internal sealed class NgramModelBuild
{
    private readonly int _vocabularySize;
    private readonly string _vocabulary;
    private readonly ushort[] _unigrams;
    private readonly double _unigramTotal;
    private readonly NgramModelLevel _bigrams;
    private readonly NgramModelLevel _trigrams;

    public NgramModelBuild(NgramCounts counts, int discountedCounts)
    {
        _vocabularySize = counts.VocabularySize;
        _vocabulary = counts.Vocabulary;
        _unigrams = EstimateUnigrams(counts.Unigrams, discountedCounts);
        foreach (ushort code in _unigrams)
        {
            _unigramTotal += ProbabilityCode.Decode(code);
        }

        // Sorted by context, then token: the result does not depend on the order of counting.
        ulong[] bigramKeys = counts.Bigrams.Keys.ToArray();
        int[] order = new int[bigramKeys.Length];
        for (int i = 0; i < order.Length; i++)
        {
            order[i] = i;
        }

        Array.Sort(bigramKeys, order);
        uint[] bigramCounts = new uint[order.Length];
        int[] rank = new int[order.Length];
        for (int i = 0; i < order.Length; i++)
        {
            bigramCounts[i] = counts.Bigrams.Counts[order[i]];
            rank[order[i]] = i;
        }

        ulong[] trigramKeys = counts.Trigrams.Keys.ToArray();
        uint[] trigramCounts = counts.Trigrams.Counts.ToArray();
        for (int i = 0; i < trigramKeys.Length; i++)
        {
            trigramKeys[i] = NgramCounts.Key(rank[(int)(trigramKeys[i] >> NgramCounts.TokenBits)], NgramCounts.TokenOf(trigramKeys[i]));
        }

        Array.Sort(trigramKeys, trigramCounts);
        _bigrams = new NgramModelLevel(bigramKeys, bigramCounts, _vocabularySize, _vocabularySize, discountedCounts);
        _trigrams = new NgramModelLevel(trigramKeys, trigramCounts, bigramKeys.Length, _vocabularySize, discountedCounts);
        ComputeBackoff();
    }

    /// <summary>Drops n-grams until the file fits.</summary>
    /// <remarks>
    /// What an n-gram is worth is the log-likelihood that the counted text would lose without it (the weighted difference of
    /// Seymore and Rosenfeld, "Scalable backoff language models", 1996). Those kept keep their probability; only the
    /// back-off weights are computed anew.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">Not even the unigrams fit.</exception>
    public void Prune(long maxBytes)
    {
        long bytes = NgramModel.FileBytes(_vocabularySize, _vocabulary, 0, 0, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxBytes, bytes);
        int trigramContexts = _trigrams.ContextsInUse();
        if (NgramModel.FileBytes(_vocabularySize, _vocabulary, _bigrams.Count, trigramContexts, _trigrams.Count) <= maxBytes)
        {
            return;
        }

        int count = _bigrams.Count + _trigrams.Count;
        float[] loss = new float[count];
        int[] order = new int[count];
        for (int i = 0; i < count; i++)
        {
            bool bigram = i < _bigrams.Count;
            double gain = bigram ? BigramGain(i) : TrigramGain(i - _bigrams.Count);
            loss[i] = -(float)gain;
            order[i] = i;
        }

        // Equal losses in the order of the n-grams: the sort itself is not stable.
        Array.Sort(loss, order);
        for (int first = 0, end; first < count; first = end)
        {
            for (end = first + 1; end < count && loss[end] == loss[first];)
            {
                end++;
            }

            Array.Sort(order, first, end - first);
        }

        _bigrams.KeepNone();
        _trigrams.KeepNone();
        int width = NgramModel.TokenBytes(_vocabularySize);
        bool[] opened = new bool[_bigrams.Count];
        foreach (int i in order)
        {
            int context = i < _bigrams.Count ? -1 : _trigrams.Context(i - _bigrams.Count);
            long cost = NgramModel.EntryBytes(width) + (context >= 0 && !opened[context] ? NgramModel.ContextBytes(width) : 0);
            if (bytes + cost > maxBytes)
            {
                break;
            }

            bytes += cost;
            if (context < 0)
            {
                _bigrams.Kept[i] = true;
            }
            else
            {
                opened[context] = true;
                _trigrams.Kept[i - _bigrams.Count] = true;
            }
        }

        ComputeBackoff();
    }

    public NgramModel ToModel()
    {
        int[] bigramStart = new int[_vocabularySize + 1];
        float[] bigramBackoff = new float[_vocabularySize];
        var bigrams = new NgramModelList(_bigrams.KeptCount());
        for (int context = 0; context < _vocabularySize; context++)
        {
            _bigrams.AppendContext(context, bigrams);
            bigramStart[context + 1] = bigrams.Count;
            bigramBackoff[context] = (float)_bigrams.Backoff[context];
        }

        int contexts = _trigrams.ContextsInUse();
        ulong[] trigramContexts = new ulong[contexts];
        int[] trigramStart = new int[contexts + 1];
        float[] trigramBackoff = new float[contexts];
        var trigrams = new NgramModelList(_trigrams.KeptCount());
        for (int context = 0, used = 0; context < _bigrams.Count; context++)
        {
            int before = trigrams.Count;
            _trigrams.AppendContext(context, trigrams);
            if (trigrams.Count > before)
            {
                trigramContexts[used] = _bigrams.Keys[context];
                trigramBackoff[used] = (float)_trigrams.Backoff[context];
                trigramStart[++used] = trigrams.Count;
            }
        }

        return new NgramModel(
            _vocabulary,
            _unigrams,
            new NgramModelOrder(bigramStart, bigramBackoff, bigrams.Tokens, bigrams.Codes),
            trigramContexts,
            new NgramModelOrder(trigramStart, trigramBackoff, trigrams.Tokens, trigrams.Codes));
    }

    private static ushort[] EstimateUnigrams(ReadOnlySpan<uint> counts, int discountedCounts)
    {
        double[] discounted = new KatzDiscount(counts, discountedCounts).Apply(counts, counts.Length);
        double mass = discounted.Sum();
        int unseen = counts.Count(0u);
        ushort[] codes = new ushort[counts.Length];
        for (int i = 0; i < codes.Length; i++)
        {
            codes[i] = ProbabilityCode.Encode(counts[i] > 0 ? discounted[i] : (1 - mass) / unseen);
        }

        return codes;
    }

    /// <summary>Bigrams before trigrams: each order's weights need the next lower one's probabilities.</summary>
    private void ComputeBackoff()
    {
        _bigrams.ComputeBackoff(_ => _unigramTotal, (_, token) => ProbabilityCode.Decode(_unigrams[token]));
        _trigrams.ComputeBackoff(
            context => _bigrams.Total[NgramCounts.TokenOf(_bigrams.Keys[context])],
            (context, token) => BigramProbability(NgramCounts.TokenOf(_bigrams.Keys[context]), token));
    }

    private double BigramProbability(int previous, int token)
    {
        int index = _bigrams.Find(previous, token);
        return index >= 0 && _bigrams.Kept[index]
            ? _bigrams.Probability(index)
            : _bigrams.Backoff[previous] * ProbabilityCode.Decode(_unigrams[token]);
    }

    private double BigramGain(int index)
    {
        ulong key = _bigrams.Keys[index];
        double without = _bigrams.Backoff[_bigrams.Context(index)] * ProbabilityCode.Decode(_unigrams[NgramCounts.TokenOf(key)]);
        return Gain(_bigrams, index, without);
    }

    private double TrigramGain(int index)
    {
        int context = _trigrams.Context(index);
        int previous = NgramCounts.TokenOf(_bigrams.Keys[context]);
        double without = _trigrams.Backoff[context] * BigramProbability(previous, NgramCounts.TokenOf(_trigrams.Keys[index]));
        return Gain(_trigrams, index, without);
    }

    private static double Gain(NgramModelLevel level, int index, double without) =>
        level.Counts[index] * Math.Log(level.Probability(index) / Math.Max(without, 1e-12));
}
