namespace Understory.Decoding.Drafters;

/// <summary>
/// A Katz back-off trigram model, read-only: <c>P(v | u, t)</c> is the trigram's own probability where it is kept, else the
/// context's back-off weight times the bigram's, and that likewise falls back to the unigram's. The continuations of a
/// context are stored by falling probability, so that the best of them are merged from the fronts of three lists.
/// </summary>
public sealed class NgramModel
{
    private readonly ushort[] _unigrams;
    private readonly int[] _unigramOrder;
    private readonly NgramModelOrder _bigrams;
    private readonly ulong[] _trigramContexts;
    private readonly NgramModelOrder _trigrams;

    /// <summary>Index of a trigram context + 1, or 0 for a free slot; a power of two of them, at most half taken.</summary>
    private readonly int[] _slots;

    internal NgramModel(string vocabulary, ushort[] unigrams, NgramModelOrder bigrams, ulong[] trigramContexts, NgramModelOrder trigrams)
    {
        Vocabulary = vocabulary;
        _unigrams = unigrams;
        _bigrams = bigrams;
        _trigramContexts = trigramContexts;
        _trigrams = trigrams;

        ulong[] order = new ulong[unigrams.Length];
        for (int token = 0; token < order.Length; token++)
        {
            order[token] = SortKey(token, unigrams[token]);
        }

        Array.Sort(order);
        _unigramOrder = Array.ConvertAll(order, NgramCounts.TokenOf);

        _slots = new int[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(2 * trigramContexts.Length, 2))];
        for (int i = 0; i < trigramContexts.Length; i++)
        {
            _slots[FindSlot(trigramContexts[i])] = i + 1;
        }
    }

    public int VocabularySize => _unigrams.Length;

    /// <summary>The fingerprint of the tokenizer whose ids the model counts: it is of use for no other.</summary>
    public string Vocabulary { get; }

    /// <summary>Size of the model's file; in memory it takes about twice that.</summary>
    public long Bytes => FileBytes(VocabularySize, Vocabulary, _bigrams.Tokens.Length, _trigramContexts.Length, _trigrams.Tokens.Length);

    public int BigramCount => _bigrams.Tokens.Length;

    public int TrigramCount => _trigrams.Tokens.Length;

    /// <exception cref="ArgumentOutOfRangeException">The unigrams alone take more than <see
    /// cref="NgramBuildOptions.MaxBytes"/>.</exception>
    public static NgramModel Build(NgramCounts counts, NgramBuildOptions options)
    {
        var build = new NgramModelBuild(counts, options.DiscountedCounts);
        build.Prune(options.MaxBytes);
        return build.ToModel();
    }

    /// <summary>
    /// The most probable next tokens after (previous2, previous1), by falling probability, the lowest id first among equals.
    /// </summary>
    /// <param name="previous2">The token before <paramref name="previous1"/>; -1 where there is none.</param>
    /// <param name="previous1">The last token; -1 where there is none.</param>
    /// <param name="tokens">As many are given as fit here and in <paramref name="probabilities"/>.</param>
    /// <returns>How many there are: fewer than asked for only where no others have a probability above zero.</returns>
    public int Best(int previous2, int previous1, Span<int> tokens, Span<float> probabilities)
    {
        int wanted = Math.Min(tokens.Length, probabilities.Length);
        float weight2 = 1;
        float weight1 = 1;
        ReadOnlySpan<int> trigramTokens = default;
        ReadOnlySpan<int> bigramTokens = default;
        ReadOnlySpan<ushort> trigramCodes = default;
        ReadOnlySpan<ushort> bigramCodes = default;
        int context = FindContext(previous2, previous1);
        if (context >= 0)
        {
            trigramTokens = _trigrams.TokensOf(context);
            trigramCodes = _trigrams.CodesOf(context);
            weight2 = _trigrams.Backoff[context];
        }

        if (Knows(previous1))
        {
            bigramTokens = _bigrams.TokensOf(previous1);
            bigramCodes = _bigrams.CodesOf(previous1);
            weight1 = _bigrams.Backoff[previous1];
        }

        // As in Probability: the two weights first, so that equal probabilities are equal bits.
        weight1 *= weight2;
        int next3 = 0;
        int next2 = 0;
        int next1 = 0;
        int found = 0;
        while (found < wanted)
        {
            int token = -1;
            float probability = 0;
            int order = 0;
            if (next3 < trigramTokens.Length)
            {
                (token, probability, order) = (trigramTokens[next3], ProbabilityCode.Decode(trigramCodes[next3]), 3);
            }

            if (next2 < bigramTokens.Length)
            {
                float backedOff = weight2 * ProbabilityCode.Decode(bigramCodes[next2]);
                if (backedOff > probability || (backedOff == probability && bigramTokens[next2] < token))
                {
                    (token, probability, order) = (bigramTokens[next2], backedOff, 2);
                }
            }

            if (next1 < _unigramOrder.Length)
            {
                int candidate = _unigramOrder[next1];
                float backedOff = weight1 * ProbabilityCode.Decode(_unigrams[candidate]);
                if (backedOff > probability || (backedOff == probability && candidate < token))
                {
                    (token, probability, order) = (candidate, backedOff, 1);
                }
            }

            bool isNew;
            switch (order)
            {
                case 3:
                    next3++;
                    isNew = true;
                    break;
                case 2:
                    next2++;
                    isNew = !trigramTokens.Contains(token);
                    break;
                case 1:
                    next1++;
                    isNew = !trigramTokens.Contains(token) && !bigramTokens.Contains(token);
                    break;
                default:
                    return found;
            }

            if (isNew)
            {
                tokens[found] = token;
                probabilities[found++] = probability;
            }
        }

        return found;
    }

    /// <summary>P(token | previous2, previous1); -1 stands for a previous token that is not there.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The token is not of the vocabulary.</exception>
    public float Probability(int previous2, int previous1, int token)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(token);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, VocabularySize);
        float weight2 = 1;
        int context = FindContext(previous2, previous1);
        if (context >= 0)
        {
            int index = _trigrams.TokensOf(context).IndexOf(token);
            if (index >= 0)
            {
                return ProbabilityCode.Decode(_trigrams.CodesOf(context)[index]);
            }

            weight2 = _trigrams.Backoff[context];
        }

        float weight1 = 1;
        if (Knows(previous1))
        {
            int index = _bigrams.TokensOf(previous1).IndexOf(token);
            if (index >= 0)
            {
                return weight2 * ProbabilityCode.Decode(_bigrams.CodesOf(previous1)[index]);
            }

            weight1 = _bigrams.Backoff[previous1];
        }

        return weight1 * weight2 * ProbabilityCode.Decode(_unigrams[token]);
    }

    /// <summary>Writes the file in one step: whoever reads it sees the old one or the new one.</summary>
    public void Save(string path) => NgramFileWriter.Replace(path, Magic, writer =>
    {
        int width = TokenBytes(VocabularySize);
        writer.WriteInt(VocabularySize);
        writer.WriteText(Vocabulary);
        writer.WriteInt(_bigrams.Tokens.Length);
        writer.WriteInt(_trigramContexts.Length);
        writer.WriteInt(_trigrams.Tokens.Length);
        writer.WriteArray<ushort>(_unigrams);
        writer.WriteArray<int>(_bigrams.Starts);
        writer.WriteArray<float>(_bigrams.Backoff);
        writer.WritePacked(_bigrams.Tokens, width);
        writer.WriteArray<ushort>(_bigrams.Codes);
        writer.WritePacked(Array.ConvertAll(_trigramContexts, key => (int)(key >> NgramCounts.TokenBits)), width);
        writer.WritePacked(Array.ConvertAll(_trigramContexts, NgramCounts.TokenOf), width);
        writer.WritePacked(_trigrams.LengthsLessOne(), width);
        writer.WriteArray<float>(_trigrams.Backoff);
        writer.WritePacked(_trigrams.Tokens, width);
        writer.WriteArray<ushort>(_trigrams.Codes);
    });

    /// <exception cref="InvalidDataException">The file is not what <see cref="Save"/> wrote; the message says where.</exception>
    public static NgramModel Load(string path)
    {
        using var reader = new NgramFileReader(path, Magic);
        int size = reader.ReadInt("vocabulary size", 1, 1 << NgramCounts.TokenBits);
        int width = TokenBytes(size);
        string vocabulary = reader.ReadText("vocabulary fingerprint");
        int bigramCount = reader.ReadInt("number of bigrams", 0, int.MaxValue);
        int contextCount = reader.ReadInt("number of trigram contexts", 0, 1 << 30);
        int trigramCount = reader.ReadInt("number of trigrams", 0, int.MaxValue);
        ushort[] unigrams = reader.ReadArray<ushort>("unigram probabilities", size);
        int[] bigramStarts = reader.ReadArray<int>("bigram starts", size + 1);
        float[] bigramBackoff = reader.ReadArray<float>("bigram back-off weights", size);
        int[] bigramTokens = reader.ReadPacked("bigram token", bigramCount, width, size);
        ushort[] bigramCodes = reader.ReadArray<ushort>("bigram probabilities", bigramCount);
        int[] previous2 = reader.ReadPacked("trigram context", contextCount, width, size);
        int[] previous1 = reader.ReadPacked("trigram context", contextCount, width, size);
        int[] lengths = reader.ReadPacked("length of trigram context", contextCount, width, size);
        float[] trigramBackoff = reader.ReadArray<float>("trigram back-off weights", contextCount);
        int[] trigramTokens = reader.ReadPacked("trigram token", trigramCount, width, size);
        ushort[] trigramCodes = reader.ReadArray<ushort>("trigram probabilities", trigramCount);
        reader.End();

        // The checksum finds accidents; what follows finds files made to harm.
        int[] trigramStarts = new int[contextCount + 1];
        ulong[] contexts = new ulong[contextCount];
        for (int i = 0; i < contextCount; i++)
        {
            contexts[i] = NgramCounts.Key(previous2[i], previous1[i]);
            if (i > 0 && contexts[i] <= contexts[i - 1])
            {
                throw reader.Broken($"trigram context {i} is out of order");
            }

            if (lengths[i] >= trigramCount - trigramStarts[i])
            {
                throw reader.Broken($"trigram context {i} reaches past the end");
            }

            trigramStarts[i + 1] = trigramStarts[i] + lengths[i] + 1;
        }

        var bigrams = new NgramModelOrder(bigramStarts, bigramBackoff, bigramTokens, bigramCodes);
        var trigrams = new NgramModelOrder(trigramStarts, trigramBackoff, trigramTokens, trigramCodes);
        bigrams.Validate(reader, "bigram");
        trigrams.Validate(reader, "trigram");
        return new NgramModel(vocabulary, unigrams, bigrams, contexts, trigrams);
    }

    internal static int TokenBytes(int vocabularySize) => vocabularySize <= 1 << 16 ? 2 : 3;

    internal static int EntryBytes(int width) => width + sizeof(ushort);

    internal static int ContextBytes(int width) => (3 * width) + sizeof(float);

    internal static long FileBytes(int vocabularySize, string vocabulary, int bigrams, int trigramContexts, int trigrams)
    {
        int width = TokenBytes(vocabularySize);
        int header = Magic.Length + (5 * sizeof(int)) + System.Text.Encoding.UTF8.GetByteCount(vocabulary);
        long perToken = sizeof(ushort) + sizeof(int) + sizeof(float);
        return header + (vocabularySize * perToken) + sizeof(int)
            + (((long)bigrams + trigrams) * EntryBytes(width))
            + ((long)trigramContexts * ContextBytes(width)) + sizeof(ulong);
    }

    /// <summary>Ascending keys are falling probabilities, the lowest token first among equals.</summary>
    internal static ulong SortKey(int token, ushort code) => ((ulong)(ushort)~code << NgramCounts.TokenBits) | (uint)token;

    private static ReadOnlySpan<byte> Magic => "UNGRAMM1"u8;

    private bool Knows(int token) => (uint)token < (uint)_unigrams.Length;

    private int FindContext(int previous2, int previous1) =>
        Knows(previous2) && Knows(previous1) ? _slots[FindSlot(NgramCounts.Key(previous2, previous1))] - 1 : -1;

    private int FindSlot(ulong key)
    {
        int mask = _slots.Length - 1;
        int slot = (int)((key * 0x9E3779B97F4A7C15) >> 32) & mask;
        while (_slots[slot] > 0 && _trigramContexts[_slots[slot] - 1] != key)
        {
            slot = (slot + 1) & mask;
        }

        return slot;
    }
}

/// <summary>
/// The n-grams of one order by context: those of context c at <c>Starts[c] .. Starts[c + 1]</c>, by falling probability;
/// <c>Backoff[c]</c> multiplies the lower order's probability of every other token.
/// </summary>
internal sealed record NgramModelOrder(int[] Starts, float[] Backoff, int[] Tokens, ushort[] Codes)
{
    public ReadOnlySpan<int> TokensOf(int context) => Tokens.AsSpan(Starts[context], Starts[context + 1] - Starts[context]);

    public ReadOnlySpan<ushort> CodesOf(int context) => Codes.AsSpan(Starts[context], Starts[context + 1] - Starts[context]);

    public int[] LengthsLessOne()
    {
        int[] lengths = new int[Backoff.Length];
        for (int context = 0; context < lengths.Length; context++)
        {
            lengths[context] = Starts[context + 1] - Starts[context] - 1;
        }

        return lengths;
    }

    /// <summary>Holds what was read against what the queries rely on.</summary>
    public void Validate(NgramFileReader reader, string what)
    {
        if (Starts[0] != 0 || Starts[^1] != Tokens.Length)
        {
            throw reader.Broken($"the {what} contexts do not cover the {what}s");
        }

        for (int context = 0; context < Backoff.Length; context++)
        {
            if (Starts[context + 1] < Starts[context] || Starts[context + 1] > Tokens.Length)
            {
                throw reader.Broken($"the start of {what} context {context + 1} is out of order");
            }

            if (!float.IsFinite(Backoff[context]) || Backoff[context] < 0)
            {
                throw reader.Broken($"the back-off weight of {what} context {context} is {Backoff[context]}");
            }

            for (int i = Starts[context] + 1; i < Starts[context + 1]; i++)
            {
                if (NgramModel.SortKey(Tokens[i], Codes[i]) <= NgramModel.SortKey(Tokens[i - 1], Codes[i - 1]))
                {
                    throw reader.Broken($"{what} {i} is out of order");
                }
            }
        }
    }
}
