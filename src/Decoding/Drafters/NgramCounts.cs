using System.Runtime.InteropServices;

namespace Understory.Decoding.Drafters;

/// <summary>
/// Counts of the unigrams, bigrams and trigrams in a stream of token sequences. N-grams do not reach across sequences.
/// Grows by about 20 bytes per distinct bigram or trigram.
/// </summary>
public sealed class NgramCounts
{
    /// <summary>Token ids take at most this many bits, so that a bigram's index and a token share a 64-bit key.</summary>
    internal const int TokenBits = 24;

    private readonly uint[] _unigrams;

    /// <param name="vocabularySize">Ids are 0 .. vocabularySize - 1; at most 2^24.</param>
    /// <param name="vocabulary">The tokenizer's fingerprint: counts over different vocabularies are never mixed.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is not in 1 .. 2^24.</exception>
    public NgramCounts(int vocabularySize, string vocabulary)
        : this(new uint[Checked(vocabularySize)], vocabulary, new NgramTable(), new NgramTable())
    {
    }

    private NgramCounts(uint[] unigrams, string vocabulary, NgramTable bigrams, NgramTable trigrams)
    {
        _unigrams = unigrams;
        Vocabulary = vocabulary;
        Bigrams = bigrams;
        Trigrams = trigrams;
    }

    public int VocabularySize => _unigrams.Length;

    /// <summary>The fingerprint of the tokenizer whose ids were counted.</summary>
    public string Vocabulary { get; }

    /// <summary>Tokens counted so far.</summary>
    public long Tokens { get; private set; }

    public int DistinctBigrams => Bigrams.Count;

    public int DistinctTrigrams => Trigrams.Count;

    internal ReadOnlySpan<uint> Unigrams => _unigrams;

    /// <summary>Keyed by <c>previous &lt;&lt; 24 | token</c>.</summary>
    internal NgramTable Bigrams { get; }

    /// <summary>Keyed by <c>index of the first two tokens in <see cref="Bigrams"/> &lt;&lt; 24 | token</c>.</summary>
    internal NgramTable Trigrams { get; }

    /// <summary>Counts every unigram, bigram and trigram of one sequence.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A token is not of the vocabulary; nothing of the sequence is counted then.</exception>
    public void Add(ReadOnlySpan<int> sequence)
    {
        foreach (int token in sequence)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(token, nameof(sequence));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, VocabularySize, nameof(sequence));
        }

        int context = -1;
        for (int i = 0; i < sequence.Length; i++)
        {
            int token = sequence[i];
            _unigrams[token] = NgramTable.Saturated(_unigrams[token], 1);
            if (context >= 0)
            {
                Trigrams.Add(Key(context, token), 1);
            }

            context = i > 0 ? Bigrams.Add(Key(sequence[i - 1], token), 1) : -1;
        }

        Tokens += sequence.Length;
    }

    /// <summary>Adds what another instance counted.</summary>
    /// <exception cref="ArgumentException">The other counted another vocabulary.</exception>
    public void Merge(NgramCounts other)
    {
        if (other.VocabularySize != VocabularySize || other.Vocabulary != Vocabulary)
        {
            throw new ArgumentException("Counts over different vocabularies cannot be merged.", nameof(other));
        }

        for (int i = 0; i < _unigrams.Length; i++)
        {
            _unigrams[i] = NgramTable.Saturated(_unigrams[i], other._unigrams[i]);
        }

        int[] contexts = new int[other.Bigrams.Count];
        for (int i = 0; i < contexts.Length; i++)
        {
            contexts[i] = Bigrams.Add(other.Bigrams.Keys[i], other.Bigrams.Counts[i]);
        }

        for (int i = 0; i < other.Trigrams.Count; i++)
        {
            ulong key = other.Trigrams.Keys[i];
            Trigrams.Add(Key(contexts[(int)(key >> TokenBits)], TokenOf(key)), other.Trigrams.Counts[i]);
        }

        Tokens += other.Tokens;
    }

    /// <summary>Writes the counts, replacing the file in one step: whoever reads it sees the old one or the new one.</summary>
    public void Save(string path) => NgramFileWriter.Replace(path, CountsMagic, Write);

    /// <exception cref="InvalidDataException">The file is not what <see cref="Save"/> wrote; the message says where.</exception>
    public static NgramCounts Load(string path)
    {
        using var reader = new NgramFileReader(path, CountsMagic);
        NgramCounts counts = Read(reader);
        reader.End();
        return counts;
    }

    internal static ulong Key(int context, int token) => ((ulong)(uint)context << TokenBits) | (uint)token;

    internal static int TokenOf(ulong key) => (int)(key & ((1 << TokenBits) - 1));

    internal void Write(NgramFileWriter writer)
    {
        writer.WriteInt(VocabularySize);
        writer.WriteText(Vocabulary);
        writer.WriteLong(Tokens);
        writer.WriteArray<uint>(_unigrams);
        foreach (NgramTable table in (NgramTable[])[Bigrams, Trigrams])
        {
            writer.WriteInt(table.Count);
            writer.WriteArray(table.Keys);
            writer.WriteArray(table.Counts);
        }
    }

    internal static NgramCounts Read(NgramFileReader reader)
    {
        int size = reader.ReadInt("vocabulary size", 1, 1 << TokenBits);
        string vocabulary = reader.ReadText("vocabulary fingerprint");
        long tokens = reader.ReadLong("token count");
        uint[] unigrams = reader.ReadArray<uint>("unigram counts", size);
        NgramTable bigrams = ReadTable("bigram", size);
        NgramTable trigrams = ReadTable("trigram", bigrams.Count);
        return new NgramCounts(unigrams, vocabulary, bigrams, trigrams) { Tokens = tokens };

        NgramTable ReadTable(string what, int contexts)
        {
            int count = reader.ReadInt($"number of {what}s", 0, int.MaxValue);
            ulong[] keys = reader.ReadArray<ulong>($"{what} keys", count);
            uint[] counts = reader.ReadArray<uint>($"{what} counts", count);
            var table = new NgramTable();
            for (int i = 0; i < count; i++)
            {
                if (keys[i] >> TokenBits >= (ulong)contexts || TokenOf(keys[i]) >= size)
                {
                    throw reader.Broken($"{what} {i} has an unknown context or token");
                }

                if (counts[i] == 0 || table.Add(keys[i], counts[i]) != i)
                {
                    throw reader.Broken($"{what} {i} has a count of zero or occurs twice");
                }
            }

            return table;
        }
    }

    private static ReadOnlySpan<byte> CountsMagic => "UNGRAMC1"u8;

    private static int Checked(int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabularySize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vocabularySize, 1 << TokenBits);
        return vocabularySize;
    }
}

/// <summary>Counts by 64-bit key: open addressing over entries that keep the index of their first insertion.</summary>
internal sealed class NgramTable
{
    private readonly List<ulong> _keys = [];
    private readonly List<uint> _counts = [];

    /// <summary>Entry index + 1, or 0 for a free slot; a power of two of them, at most 3/4 taken.</summary>
    private int[] _slots = new int[1024];

    public int Count => _keys.Count;

    /// <summary>In the order of their first insertion.</summary>
    public ReadOnlySpan<ulong> Keys => CollectionsMarshal.AsSpan(_keys);

    public ReadOnlySpan<uint> Counts => CollectionsMarshal.AsSpan(_counts);

    /// <summary>Adds to a key's count, which stays at its maximum once it is there.</summary>
    /// <returns>The key's index.</returns>
    public int Add(ulong key, uint count)
    {
        int slot = Find(key);
        if (_slots[slot] > 0)
        {
            int known = _slots[slot] - 1;
            CollectionsMarshal.AsSpan(_counts)[known] = Saturated(_counts[known], count);
            return known;
        }

        _keys.Add(key);
        _counts.Add(count);
        _slots[slot] = _keys.Count;
        if (_keys.Count > _slots.Length / 4 * 3)
        {
            Grow();
        }

        return _keys.Count - 1;
    }

    internal static uint Saturated(uint count, uint more) => (uint)Math.Min((ulong)count + more, uint.MaxValue);

    /// <summary>The slot that holds the key, or the free one where it belongs.</summary>
    private int Find(ulong key)
    {
        ReadOnlySpan<ulong> keys = Keys;
        int mask = _slots.Length - 1;
        int slot = (int)((key * 0x9E3779B97F4A7C15) >> 32) & mask;
        while (_slots[slot] > 0 && keys[_slots[slot] - 1] != key)
        {
            slot = (slot + 1) & mask;
        }

        return slot;
    }

    private void Grow()
    {
        _slots = new int[checked(_slots.Length * 2)];
        for (int i = 0; i < _keys.Count; i++)
        {
            _slots[Find(_keys[i])] = i + 1;
        }
    }
}
