namespace Understory.Decoding.Drafters;

/// <summary>
/// What a count is worth in Katz's estimate. Good-Turing: a count r up to k becomes
/// <c>d_r r</c>, <c>d_r = (r*/r - A) / (1 - A)</c>, <c>r* = (r + 1) n_(r+1) / n_r</c>, <c>A = (k + 1) n_(k+1) / n_1</c>, with n_r the
/// number of n-grams that occur r times. Where that is undefined (an n_r of zero, a d_r outside 0 .. 1) every count loses the same
/// <c>D = n_1 / (n_1 + 2 n_2)</c>, held within 0.1 .. 0.9 (Ney, Essen and Kneser 1994).
/// </summary>
internal sealed class KatzDiscount
{
    private readonly double[]? _goodTuring;
    private readonly double _absolute;

    public KatzDiscount(ReadOnlySpan<uint> counts, int k)
    {
        long[] n = new long[k + 2];
        foreach (uint count in counts)
        {
            if (count > 0 && count <= k + 1)
            {
                n[count]++;
            }
        }

        double[] d = new double[k + 1];
        bool defined = n.AsSpan(1).IndexOf(0) < 0;
        for (int r = 1; r <= k && defined; r++)
        {
            double common = (double)((k + 1) * n[k + 1]) / n[1];
            d[r] = (((r + 1.0) * n[r + 1] / (n[r] * (double)r)) - common) / (1 - common);
            defined = d[r] > 0 && d[r] < 1;
        }

        _goodTuring = defined ? d : null;
        double once = k >= 1 ? n[1] : 0;
        double twice = k >= 1 ? n[2] : 0;
        _absolute = once == 0 ? 0.5 : Math.Clamp(once / (once + (2 * twice)), 0.1, 0.9);
    }

    /// <summary>
    /// The probabilities that the counted continuations of one context keep. Something is left for the others, if there are
    /// any in the vocabulary (one more occurrence where no count was discounted), and nothing if there are none.
    /// </summary>
    public double[] Apply(ReadOnlySpan<uint> counts, int vocabularySize)
    {
        double[] kept = new double[counts.Length];
        double total = 0;
        double mass = 0;
        int seen = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            if (counts[i] > 0)
            {
                kept[i] = Discounted(counts[i]);
                total += counts[i];
                mass += kept[i];
                seen++;
            }
        }

        double denominator = seen == vocabularySize ? mass : mass == total ? total + 1 : total;
        for (int i = 0; i < kept.Length; i++)
        {
            kept[i] /= denominator;
        }

        return kept;
    }

    private double Discounted(uint count)
    {
        if (_goodTuring is null)
        {
            return count - _absolute;
        }

        return count < _goodTuring.Length ? _goodTuring[count] * count : count;
    }
}

/// <summary>One order of n-grams under estimation: sorted by context and token, contexts numbered densely.</summary>
internal sealed class NgramModelLevel
{
    private readonly int[] _starts;
    private readonly ushort[] _codes;

    /// <param name="keys">Ascending <c>context &lt;&lt; 24 | token</c>.</param>
    public NgramModelLevel(ulong[] keys, uint[] counts, int contexts, int vocabularySize, int discountedCounts)
    {
        Keys = keys;
        Counts = counts;
        Kept = new bool[keys.Length];
        Array.Fill(Kept, true);
        Backoff = new double[contexts];
        Total = new double[contexts];
        _codes = new ushort[keys.Length];
        _starts = new int[contexts + 1];
        var discount = new KatzDiscount(counts, discountedCounts);
        for (int context = 0, end = 0; context < contexts; context++)
        {
            int start = end;
            while (end < keys.Length && Context(end) == context)
            {
                end++;
            }

            _starts[context + 1] = end;
            double[] probabilities = discount.Apply(counts.AsSpan(start, end - start), vocabularySize);
            for (int i = start; i < end; i++)
            {
                _codes[i] = ProbabilityCode.Encode(probabilities[i - start]);
            }
        }
    }

    public ulong[] Keys { get; }

    public uint[] Counts { get; }

    /// <summary>False for pruned n-grams.</summary>
    public bool[] Kept { get; }

    /// <summary>Per context: what the next lower order's probabilities are multiplied with where no n-gram is kept.</summary>
    public double[] Backoff { get; }

    /// <summary>Per context: the sum over the vocabulary; 1 but for rounding.</summary>
    public double[] Total { get; }

    public int Count => Keys.Length;

    public int Context(int index) => (int)(Keys[index] >> NgramCounts.TokenBits);

    public double Probability(int index) => ProbabilityCode.Decode(_codes[index]);

    public int Find(int context, int token)
    {
        int start = _starts[context];
        int found = Keys.AsSpan(start, _starts[context + 1] - start).BinarySearch(NgramCounts.Key(context, token));
        return found < 0 ? -1 : start + found;
    }

    public void KeepNone() => Array.Clear(Kept);

    public int KeptCount() => Kept.AsSpan().Count(true);

    public int ContextsInUse()
    {
        int used = 0;
        for (int context = 0; context + 1 < _starts.Length; context++)
        {
            used += Kept.AsSpan(_starts[context].._starts[context + 1]).Contains(true) ? 1 : 0;
        }

        return used;
    }

    /// <param name="lowerTotal">The sum of the lower order's probabilities under a context.</param>
    /// <param name="lower">The lower order's probability of a token under a context.</param>
    public void ComputeBackoff(Func<int, double> lowerTotal, Func<int, int, double> lower)
    {
        for (int context = 0; context + 1 < _starts.Length; context++)
        {
            double kept = 0;
            double covered = 0;
            for (int i = _starts[context]; i < _starts[context + 1]; i++)
            {
                if (Kept[i])
                {
                    kept += Probability(i);
                    covered += lower(context, NgramCounts.TokenOf(Keys[i]));
                }
            }

            double rest = lowerTotal(context) - covered;
            Backoff[context] = rest > 1e-12 ? Math.Max(0, 1 - kept) / rest : 0;
            Total[context] = kept + (Backoff[context] * rest);
        }
    }

    /// <summary>Appends the kept n-grams of a context by falling probability, the lowest token first among equals.</summary>
    public void AppendContext(int context, NgramModelList list)
    {
        int first = list.Count;
        for (int i = _starts[context]; i < _starts[context + 1]; i++)
        {
            if (Kept[i])
            {
                list.Add(NgramCounts.TokenOf(Keys[i]), _codes[i]);
            }
        }

        list.Sort(first);
    }
}

/// <summary>Continuations with their probability codes, in the order in which the model stores them.</summary>
internal sealed class NgramModelList(int capacity)
{
    public int[] Tokens { get; } = new int[capacity];

    public ushort[] Codes { get; } = new ushort[capacity];

    public int Count { get; private set; }

    public void Add(int token, ushort code)
    {
        Tokens[Count] = token;
        Codes[Count++] = code;
    }

    /// <summary>Sorts everything from <paramref name="first"/> on.</summary>
    public void Sort(int first)
    {
        int length = Count - first;
        if (length < 2)
        {
            return;
        }

        ulong[] keys = new ulong[length];
        for (int i = 0; i < length; i++)
        {
            keys[i] = NgramModel.SortKey(Tokens[first + i], Codes[first + i]);
        }

        Array.Sort(keys);
        for (int i = 0; i < length; i++)
        {
            Tokens[first + i] = NgramCounts.TokenOf(keys[i]);
            Codes[first + i] = (ushort)~(keys[i] >> NgramCounts.TokenBits);
        }
    }
}

/// <summary>
/// Probabilities in 16 bits: the exponent's low 5 bits and 11 bits of mantissa of a float, for 2^-31 .. 2. Relative error at most 2^-12.
/// </summary>
internal static class ProbabilityCode
{
    private const int DroppedBits = 12;
    private const uint Smallest = 96u << 23;

    public static ushort Encode(double probability)
    {
        uint bits = BitConverter.SingleToUInt32Bits((float)probability) + (1u << (DroppedBits - 1));
        return bits < Smallest ? (ushort)0 : (ushort)((bits - Smallest) >> DroppedBits);
    }

    public static float Decode(ushort code) => BitConverter.UInt32BitsToSingle(((uint)code << DroppedBits) + Smallest);
}
