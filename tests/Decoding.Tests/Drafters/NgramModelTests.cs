using FsCheck;
using FsCheck.Fluent;
using Understory.Decoding.Drafters;

namespace Understory.Decoding.Tests.Drafters;

public sealed class NgramModelTests
{
    /// <summary>Small vocabularies, so that contexts with every token seen, with none, and everything between occur.</summary>
    private static readonly Arbitrary<NgramText> Texts =
        (from seed in Gen.Choose(0, int.MaxValue - 1)
         from vocabulary in Gen.Elements(1, 2, 3, 5, 17, 60)
         from length in Gen.Elements(0, 1, 2, 3, 10, 100, 2000)
         from zipf in Gen.Elements(false, true)
         select new NgramText(seed, vocabulary, length, zipf)).ToArbitrary();

    [Theory]
    [InlineData(60, 20, true)]
    [InlineData(60, 300, false)]
    [InlineData(60, 60_000, true)]
    [InlineData(200, 100_000, true)]
    [InlineData(8, 5_000, false)]
    public void Probabilities_agree_with_a_plain_Katz_estimate_in_double_precision(int vocabulary, int length, bool zipf)
    {
        var text = new NgramText(7, vocabulary, length, zipf);
        var plain = new PlainKatz(text.Sequences, vocabulary, 5);
        NgramModel model = text.Model(long.MaxValue);
        foreach ((int u, int t) in text.Contexts(300))
        {
            for (int v = 0; v < vocabulary; v++)
            {
                Assert.Equal(plain.Probability(u, t, v), model.Probability(u, t, v), 5e-4);
            }
        }
    }

    [Fact]
    public void Both_kinds_of_discount_are_met_in_these_tests()
    {
        Assert.True(new PlainKatz(new NgramText(7, 60, 60_000, true).Sequences, 60, 5).UsesGoodTuring(3));
        Assert.False(new PlainKatz(new NgramText(7, 60, 20, true).Sequences, 60, 5).UsesGoodTuring(3));
    }

    [Fact]
    public void Probabilities_sum_to_one_under_every_context() => Prop.ForAll(Texts, text =>
    {
        AssertSums(text, text.Model(long.MaxValue));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Pruning_keeps_to_the_size_and_the_sum() => Prop.ForAll(Texts, Gen.Choose(0, 100).ToArbitrary(), (text, percent) =>
    {
        long whole = text.Model(long.MaxValue).Bytes;
        long least = NgramModel.FileBytes(text.Vocabulary, NgramText.Fingerprint, 0, 0, 0);
        long limit = least + ((whole - least) * percent / 100);
        NgramModel model = text.Model(limit);
        Assert.InRange(model.Bytes, least, limit);
        AssertSums(text, model);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Best_gives_the_most_probable_tokens_lowest_id_first_among_equals() =>
        Prop.ForAll(Texts, Gen.Choose(1, 70).ToArbitrary(), Gen.Choose(20, 100).ToArbitrary(), (text, wanted, percent) =>
        {
            long whole = text.Model(long.MaxValue).Bytes;
            NgramModel model =
                text.Model(Math.Max(whole * percent / 100, NgramModel.FileBytes(text.Vocabulary, NgramText.Fingerprint, 0, 0, 0)));
            int[] tokens = new int[wanted];
            float[] probabilities = new float[wanted];
            foreach ((int u, int t) in text.Contexts(20))
            {
                (int Token, float Probability)[] expected =
                [
                    .. Enumerable.Range(0, text.Vocabulary)
                        .Select(v => (v, model.Probability(u, t, v)))
                        .Where(x => x.Item2 > 0)
                        .OrderByDescending(x => x.Item2).ThenBy(x => x.v)
                        .Take(wanted),
                ];
                int found = model.Best(u, t, tokens, probabilities);
                Assert.Equal(expected, tokens.Zip(probabilities).Take(found));
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_trigram_that_always_follows_comes_first()
    {
        var counts = new NgramCounts(10, "v");
        for (int i = 0; i < 20; i++)
        {
            counts.Add([1, 2, 3, 4, 2, 5, 4, 2, 5]);
        }

        NgramModel model = NgramModel.Build(counts, new NgramBuildOptions());
        int[] tokens = new int[1];
        float[] probabilities = new float[1];
        Assert.Equal(1, model.Best(1, 2, tokens, probabilities));
        Assert.Equal(3, tokens[0]);
        Assert.True(probabilities[0] > 0.9f);
        Assert.Equal(1, model.Best(4, 2, tokens, probabilities));
        Assert.Equal(5, tokens[0]);

        // Without the token before, the bigram decides; without any, the unigram.
        Assert.Equal(1, model.Best(-1, 2, tokens, probabilities));
        Assert.Equal(5, tokens[0]);
        Assert.Equal(1, model.Best(-1, -1, tokens, probabilities));
        Assert.Equal(2, tokens[0]);
    }

    [Fact]
    public void The_model_does_not_depend_on_the_order_of_counting() => Prop.ForAll(Texts, text =>
    {
        var forwards = new NgramCounts(text.Vocabulary, NgramText.Fingerprint);
        var backwards = new NgramCounts(text.Vocabulary, NgramText.Fingerprint);
        foreach (int[] sequence in text.Sequences)
        {
            forwards.Add(sequence);
        }

        foreach (int[] sequence in text.Sequences.Reverse())
        {
            backwards.Add(sequence);
        }

        long limit = NgramModel.Build(forwards, new NgramBuildOptions()).Bytes * 3 / 4;
        var options =
            new NgramBuildOptions { MaxBytes = Math.Max(limit, NgramModel.FileBytes(text.Vocabulary, NgramText.Fingerprint, 0, 0, 0)) };
        using var files = new TemporaryFiles();
        NgramModel.Build(forwards, options).Save(files["a"]);
        NgramModel.Build(backwards, options).Save(files["b"]);
        Assert.Equal(File.ReadAllBytes(files["a"]), File.ReadAllBytes(files["b"]));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_limit_below_the_unigrams_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new NgramText(1, 17, 100, true).Model(100));

    [Fact]
    public void Best_allocates_nothing()
    {
        var text = new NgramText(3, 60, 20_000, true);
        NgramModel model = text.Model(long.MaxValue);
        (int, int)[] contexts = [.. text.Contexts(200)];
        int[] tokens = new int[4];
        float[] probabilities = new float[4];
        model.Best(1, 2, tokens, probabilities);
        Assert.Equal(0, Allocations.Least(() =>
        {
            foreach ((int u, int t) in contexts)
            {
                model.Best(u, t, tokens, probabilities);
                model.Probability(u, t, tokens[0]);
            }
        }));
    }

    private static void AssertSums(NgramText text, NgramModel model)
    {
        foreach ((int u, int t) in text.Contexts(40))
        {
            double sum = Enumerable.Range(0, text.Vocabulary).Sum(v => (double)model.Probability(u, t, v));
            Assert.Equal(1, sum, 1e-3);
        }
    }
}

/// <summary>Katz's estimate as the book has it: dictionaries, no rounding, no sharing of code with the model.</summary>
internal sealed class PlainKatz
{
    private readonly int _vocabulary;
    private readonly int _k;
    private readonly Dictionary<string, Dictionary<int, int>> _counts = [];
    private readonly Dictionary<string, (double Kept, double All, double Unseen)> _totals = [];
    private readonly Dictionary<int, Dictionary<int, int>> _countsOfCounts = new() { [1] = [], [2] = [], [3] = [] };

    public PlainKatz(IEnumerable<int[]> sequences, int vocabulary, int k)
    {
        _vocabulary = vocabulary;
        _k = k;
        foreach (int[] sequence in sequences)
        {
            for (int i = 0; i < sequence.Length; i++)
            {
                for (int order = 1; order <= 3 && order <= i + 1; order++)
                {
                    string context = string.Join(' ', sequence[(i - order + 1)..i]);
                    Dictionary<int, int> continuations = _counts.TryGetValue(context, out Dictionary<int, int>? known)
                        ? known : _counts[context] = [];
                    continuations[sequence[i]] = continuations.GetValueOrDefault(sequence[i]) + 1;
                }
            }
        }

        foreach ((string context, Dictionary<int, int> continuations) in _counts)
        {
            int order = context.Length == 0 ? 1 : context.Split(' ').Length + 1;
            foreach (int count in continuations.Values)
            {
                _countsOfCounts[order][count] = _countsOfCounts[order].GetValueOrDefault(count) + 1;
            }
        }
    }

    public double Probability(int u, int t, int v) => Probability(u >= 0 ? $"{u} {t}" : t >= 0 ? $"{t}" : "", v);

    public bool UsesGoodTuring(int order) => Enumerable.Range(1, _k).All(r => GoodTuring(order, r) is > 0 and < 1);

    private double Probability(string context, int v)
    {
        int order = context.Length == 0 ? 1 : context.Split(' ').Length + 1;
        string shorter = order == 3 ? context.Split(' ')[1] : "";
        if (!_counts.TryGetValue(context, out Dictionary<int, int>? continuations))
        {
            return order == 1 ? 1.0 / _vocabulary : Probability(shorter, v);
        }

        if (!_totals.TryGetValue(context, out (double Kept, double All, double Unseen) total))
        {
            double kept = continuations.Values.Sum(c => Discounted(order, c));
            double all = continuations.Values.Sum();
            all = continuations.Count == _vocabulary ? kept : kept == all ? all + 1 : all;
            double unseen = Enumerable.Range(0, _vocabulary)
                .Where(w => !continuations.ContainsKey(w))
                .Sum(w => order == 1 ? 1 : Probability(shorter, w));
            total = _totals[context] = (kept, all, unseen);
        }

        return continuations.TryGetValue(v, out int count)
            ? Discounted(order, count) / total.All
            : (1 - (total.Kept / total.All)) * (order == 1 ? 1 : Probability(shorter, v)) / total.Unseen;
    }

    private double Discounted(int order, int count)
    {
        if (UsesGoodTuring(order))
        {
            return count > _k ? count : GoodTuring(order, count) * count;
        }

        double once = N(order, 1);
        return count - (once == 0 ? 0.5 : Math.Clamp(once / (once + (2 * N(order, 2))), 0.1, 0.9));
    }

    /// <summary>Katz 1987, equation 19; NaN or infinite where a count of counts is missing.</summary>
    private double GoodTuring(int order, int r)
    {
        double star = (r + 1) * N(order, r + 1) / N(order, r);
        double common = (_k + 1) * N(order, _k + 1) / N(order, 1);
        return ((star / r) - common) / (1 - common);
    }

    private double N(int order, int count) => _countsOfCounts[order].GetValueOrDefault(count);
}

/// <summary>Random text: uniform tokens, or a Zipf distribution that depends on the token before.</summary>
internal sealed record NgramText(int Seed, int Vocabulary, int Length, bool Zipf)
{
    public const string Fingerprint = "test vocabulary";

    public IReadOnlyList<int[]> Sequences { get; } = Make(Seed, Vocabulary, Length, Zipf);

    public NgramCounts Counts()
    {
        var counts = new NgramCounts(Vocabulary, Fingerprint);
        foreach (int[] sequence in Sequences)
        {
            counts.Add(sequence);
        }

        return counts;
    }

    public NgramModel Model(long maxBytes) => NgramModel.Build(Counts(), new NgramBuildOptions { MaxBytes = maxBytes });

    /// <summary>No context at all, one token of context, contexts that occur, and any.</summary>
    public IEnumerable<(int Previous2, int Previous1)> Contexts(int count)
    {
        var random = new Random(Seed);
        int[] all = [.. Sequences.SelectMany(s => s)];
        yield return (-1, -1);
        for (int i = 0; i < count; i++)
        {
            int any = random.Next(Vocabulary);
            yield return (i % 4) switch
            {
                0 => (-1, any),
                1 => (any, random.Next(Vocabulary)),
                _ when all.Length < 2 => (any, any),
                _ => Pair(random.Next(all.Length - 1)),
            };
        }

        (int, int) Pair(int at) => (all[at], all[at + 1]);
    }

    private static int[][] Make(int seed, int vocabulary, int length, bool zipf)
    {
        var random = new Random(seed);
        var sequences = new List<int[]>();
        for (int done = 0; done < length;)
        {
            int[] sequence = new int[Math.Min(random.Next(1, 200), length - done)];
            for (int i = 0; i < sequence.Length; i++)
            {
                int previous = i == 0 ? 0 : sequence[i - 1];
                int rank = (int)Math.Pow(vocabulary, random.NextDouble()) - 1;
                sequence[i] = zipf ? ((rank * 7) + previous) % vocabulary : random.Next(vocabulary);
            }

            sequences.Add(sequence);
            done += sequence.Length;
        }

        return [.. sequences];
    }
}
