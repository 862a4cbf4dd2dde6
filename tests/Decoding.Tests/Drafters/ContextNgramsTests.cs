using FsCheck;
using FsCheck.Fluent;
using Understory.Decoding.Drafters;

namespace Understory.Decoding.Tests.Drafters;

public sealed class ContextNgramsTests
{
    /// <summary>Few distinct tokens, and pieces that come again, so that long suffixes do match.</summary>
    private static readonly Gen<int[]> Tokens =
        from seed in Gen.Choose(0, int.MaxValue - 1)
        from alphabet in Gen.Elements(1, 2, 3, 10, 1000)
        from length in Gen.Choose(0, 300)
        select Repetitive(new Random(seed), alphabet, length);

    private static readonly Arbitrary<(int[] Context, int[] Path)> Cases =
        (from tokens in Tokens
         from path in Gen.Choose(0, 16)
         select (tokens[..^Math.Min(path, tokens.Length)], tokens[^Math.Min(path, tokens.Length)..])).ToArbitrary();

    [Fact]
    public void Guesses_equal_those_of_a_search_through_all_the_tokens() => Prop.ForAll(Cases, x =>
    {
        ContextNgrams ngrams = Filled(x.Context, 400);
        AssertEqualGuesses(Searched([.. x.Context, .. x.Path]), Guesses(ngrams, x.Path));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_path_counts_as_if_it_had_been_appended() => Prop.ForAll(Cases, x =>
    {
        ContextNgrams whole = Filled([.. x.Context, .. x.Path], 300);
        Assert.Equal(Guesses(whole, []), Guesses(Filled(x.Context, 300), x.Path));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Truncating_is_as_if_the_rest_had_never_been_there() => Prop.ForAll(Cases, Tokens.ToArbitrary(), (x, others) =>
    {
        ContextNgrams ngrams = Filled([.. x.Context, .. others], 700);
        ngrams.Truncate(x.Context.Length);
        foreach (int token in x.Path)
        {
            ngrams.Append(token);
        }

        Assert.Equal(x.Context.Length + x.Path.Length, ngrams.Count);
        ContextNgrams rebuilt = Filled([.. x.Context, .. x.Path], 700);
        Assert.Equal(Guesses(rebuilt, []), Guesses(ngrams, []));
        ngrams.Clear();
        Assert.Empty(Guesses(ngrams, x.Path.Length > 0 ? x.Path[..1] : []));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Estimates_fall_and_sum_to_less_than_one() => Prop.ForAll(Cases, x =>
    {
        (int Token, float Estimate)[] guesses = Guesses(Filled(x.Context, 300), x.Path);
        Assert.Equal(guesses.Select(g => g.Token).Distinct().Count(), guesses.Length);
        Assert.Equal(guesses.OrderByDescending(g => g.Estimate), guesses);
        Assert.True(guesses.Sum(g => g.Estimate) < 1);
        Assert.All(guesses, g => Assert.True(g.Estimate > 0));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_longer_match_is_trusted_more()
    {
        float previous = 0;
        for (int length = 1; length <= ContextNgrams.MaxOrder; length++)
        {
            int[] match = [.. Enumerable.Range(1, length)];
            (int Token, float Estimate) guess = Assert.Single(Guesses(Filled([.. match, 99, 100, .. match], 100), []));
            Assert.Equal(99, guess.Token);
            Assert.True(guess.Estimate > previous);
            previous = guess.Estimate;
        }
    }

    [Fact]
    public void Among_equally_frequent_continuations_the_most_recent_comes_first()
    {
        int[] context = [1, 2, 7, 1, 2, 8, 1, 2, 9, 1, 2];
        Assert.Equal([9, 8, 7], Guesses(Filled(context, 100), []).Select(g => g.Token));
        Assert.Equal([7, 9, 8], Guesses(Filled([1, 2, 7, .. context], 100), []).Select(g => g.Token));
    }

    [Fact]
    public void Tokens_of_the_path_itself_may_come_again()
    {
        ContextNgrams ngrams = Filled([5, 6], 100);
        Assert.Empty(Guesses(ngrams, [7]));
        Assert.Equal(7, Guesses(ngrams, [7, 5, 6])[0].Token);
        Assert.Equal(8, Guesses(ngrams, [7, 8, 9, 7])[0].Token);
    }

    [Fact]
    public void Nothing_is_allocated_once_it_is_made()
    {
        int[] context = Repetitive(new Random(1), 20, 3000);
        var ngrams = new ContextNgrams(4000);
        int[] tokens = new int[4];
        float[] estimates = new float[4];
        ngrams.Append(1);
        ngrams.Best([1, 2], tokens, estimates);
        Assert.Equal(0, Allocations.Least(() =>
        {
            ngrams.Clear();
            for (int i = 0; i < context.Length; i++)
            {
                ngrams.Append(context[i]);
                ngrams.Best(context.AsSpan(i / 2, 3), tokens, estimates);
                if (i % 100 == 0)
                {
                    ngrams.Truncate(i);
                    ngrams.Append(context[i]);
                }
            }
        }));
    }

    [Fact]
    public void A_full_context_and_a_wrong_count_are_refused()
    {
        ContextNgrams ngrams = Filled([1, 2, 3], 3);
        Assert.Throws<InvalidOperationException>(() => ngrams.Append(4));
        Assert.Throws<ArgumentOutOfRangeException>(() => ngrams.Truncate(4));
        Assert.Throws<ArgumentOutOfRangeException>(() => ngrams.Truncate(-1));
        Assert.Throws<ArgumentException>(() => ngrams.Best(new int[ContextNgrams.MaxPath + 1], new int[1], new float[1]));
        Assert.Equal(0, new ContextNgrams(0).Best([], new int[1], new float[1]));
    }

    private static ContextNgrams Filled(int[] tokens, int capacity)
    {
        var ngrams = new ContextNgrams(capacity);
        foreach (int token in tokens)
        {
            ngrams.Append(token);
        }

        return ngrams;
    }

    private static (int Token, float Estimate)[] Guesses(ContextNgrams ngrams, int[] path)
    {
        int[] tokens = new int[100];
        float[] estimates = new float[100];
        int found = ngrams.Best(path, tokens, estimates);
        return [.. tokens.Zip(estimates).Take(found)];
    }

    /// <summary>The blend of the class's remarks over all occurrences of each suffix, found by looking everywhere.</summary>
    private static Dictionary<int, double> Searched(int[] all)
    {
        var estimates = new Dictionary<int, double>();
        double weight = 1;
        for (int order = ContextNgrams.MaxOrder; order >= 1 && weight > 1 / 1024.0; order--)
        {
            if (order > all.Length)
            {
                continue;
            }

            int[] continuations =
            [
                .. Enumerable.Range(order, all.Length - order)
                    .Where(i => all.Skip(i - order).Take(order).SequenceEqual(all.TakeLast(order)))
                    .Select(i => all[i])
                    .Reverse()
                    .Take(ContextNgrams.MaxOccurrences),
            ];
            int distinct = continuations.Distinct().Count();
            foreach (int token in continuations)
            {
                estimates[token] = estimates.GetValueOrDefault(token) + (weight / (continuations.Length + distinct));
            }

            weight *= continuations.Length == 0 ? 1 : (double)distinct / (continuations.Length + distinct);
        }

        return estimates;
    }

    private static void AssertEqualGuesses(Dictionary<int, double> expected, (int Token, float Estimate)[] actual)
    {
        Assert.Equal(expected.Keys.Order(), actual.Select(g => g.Token).Order());
        foreach ((int token, float estimate) in actual)
        {
            Assert.Equal(expected[token], estimate, 1e-5);
        }
    }

    private static int[] Repetitive(Random random, int alphabet, int length)
    {
        int[] tokens = new int[length];
        for (int i = 0; i < length; i++)
        {
            tokens[i] = random.Next(alphabet);
            if (i > 10 && random.Next(8) == 0)
            {
                int piece = Math.Min(random.Next(12), length - i);
                Array.Copy(tokens, random.Next(i - 1), tokens, i, Math.Min(piece, i - 1));
                i += Math.Max(0, Math.Min(piece, i - 1) - 1);
            }
        }

        return tokens;
    }
}
