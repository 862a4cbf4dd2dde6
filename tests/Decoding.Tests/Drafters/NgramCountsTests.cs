using Understory.Decoding.Drafters;

namespace Understory.Decoding.Tests.Drafters;

public sealed class NgramCountsTests
{
    [Fact]
    public void Counts_equal_those_of_a_dictionary()
    {
        var text = new NgramText(5, 60, 20_000, true);
        NgramCounts counts = text.Counts();
        var expected = new SortedDictionary<string, uint>(StringComparer.Ordinal);
        foreach (int[] sequence in text.Sequences)
        {
            for (int i = 0; i < sequence.Length; i++)
            {
                for (int order = 1; order <= 3 && order <= i + 1; order++)
                {
                    string ngram = string.Join(' ', sequence[(i - order + 1)..(i + 1)]);
                    expected[ngram] = expected.GetValueOrDefault(ngram) + 1;
                }
            }
        }

        Assert.Equal(expected, Listed(counts));
        Assert.Equal(text.Sequences.Sum(s => s.Length), counts.Tokens);
    }

    [Fact]
    public void Merged_counts_equal_those_of_the_whole()
    {
        var text = new NgramText(6, 60, 5000, true);
        NgramCounts whole = text.Counts();
        NgramCounts[] parts = [new(60, NgramText.Fingerprint), new(60, NgramText.Fingerprint)];
        for (int i = 0; i < text.Sequences.Count; i++)
        {
            parts[i % 2].Add(text.Sequences[i]);
        }

        parts[0].Merge(parts[1]);
        Assert.Equal(Listed(whole), Listed(parts[0]));
        Assert.Equal(whole.Tokens, parts[0].Tokens);
        Assert.Throws<ArgumentException>(() => whole.Merge(new NgramCounts(60, "another")));
        Assert.Throws<ArgumentException>(() => whole.Merge(new NgramCounts(61, NgramText.Fingerprint)));
    }

    [Fact]
    public void Loaded_counts_go_on_as_if_they_had_never_been_saved()
    {
        var text = new NgramText(6, 60, 5000, true);
        using var files = new TemporaryFiles();
        var counts = new NgramCounts(60, NgramText.Fingerprint);
        for (int i = 0; i < text.Sequences.Count; i++)
        {
            counts.Add(text.Sequences[i]);
            if (i == text.Sequences.Count / 2)
            {
                counts.Save(files["half"]);
                counts = NgramCounts.Load(files["half"]);
            }
        }

        counts.Save(files["resumed"]);
        text.Counts().Save(files["whole"]);
        Assert.Equal(File.ReadAllBytes(files["whole"]), File.ReadAllBytes(files["resumed"]));
    }

    [Fact]
    public void Ids_may_take_24_bits()
    {
        const int top = (1 << 24) - 1;
        var counts = new NgramCounts(1 << 24, "v");
        counts.Add([top, top - 1, top, top - 1, 0]);
        Assert.Equal(3, counts.DistinctBigrams);
        Assert.Equal(3, counts.DistinctTrigrams);
        NgramModel model = NgramModel.Build(counts, new NgramBuildOptions());
        Assert.True(model.Probability(top, top - 1, top) > 1000 * model.Probability(top, top - 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new NgramCounts((1 << 24) + 1, "v"));
    }

    [Fact]
    public void A_sequence_with_a_token_outside_the_vocabulary_counts_for_nothing()
    {
        var counts = new NgramCounts(5, "v");
        Assert.Throws<ArgumentOutOfRangeException>(() => counts.Add([1, 2, 5]));
        Assert.Throws<ArgumentOutOfRangeException>(() => counts.Add([1, 2, -1]));
        Assert.Equal(0, counts.Tokens);
        Assert.Equal(0, counts.DistinctBigrams);
    }

    [Fact]
    public void Counts_stay_at_their_maximum()
    {
        var table = new NgramTable();
        Assert.Equal(0, table.Add(9, uint.MaxValue - 1));
        Assert.Equal(0, table.Add(9, 5));
        Assert.Equal(uint.MaxValue, table.Counts[0]);
    }

    private static SortedDictionary<string, uint> Listed(NgramCounts counts)
    {
        var listed = new SortedDictionary<string, uint>(StringComparer.Ordinal);
        for (int token = 0; token < counts.VocabularySize; token++)
        {
            if (counts.Unigrams[token] > 0)
            {
                listed[$"{token}"] = counts.Unigrams[token];
            }
        }

        for (int i = 0; i < counts.Bigrams.Count; i++)
        {
            listed[Pair(counts.Bigrams.Keys[i])] = counts.Bigrams.Counts[i];
        }

        for (int i = 0; i < counts.Trigrams.Count; i++)
        {
            ulong key = counts.Trigrams.Keys[i];
            listed[$"{Pair(counts.Bigrams.Keys[(int)(key >> 24)])} {NgramCounts.TokenOf(key)}"] = counts.Trigrams.Counts[i];
        }

        return listed;

        static string Pair(ulong key) => $"{key >> 24} {NgramCounts.TokenOf(key)}";
    }
}
