using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Models.Kernels;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public class NgramDrafterTests(DemoBundle demo)
{
    private const int Vocabulary = 4096;

    /// <summary>After 1 2 came 3 three times, 4 twice and 5 once.</summary>
    private static readonly int[] Text = [1, 2, 3, 1, 2, 4, 1, 2, 3, 1, 2, 5, 1, 2, 4, 1, 2, 3, 1, 2];

    [Fact]
    public void Greedy_candidates_are_the_matches_by_falling_probability()
    {
        (int[] tokens, float[] raw) = Best(null, Text, SamplingParams.Greedy, []);
        (int[] matched, float[] probabilities) = Matches(Text, []);
        Assert.Equal(matched, tokens);
        Assert.Equal(probabilities, raw);
        Assert.Equal([3, 4, 5], tokens[..3].Order());
    }

    [Theory]
    [InlineData(1f, 0u)]
    [InlineData(0.7f, 0u)]
    [InlineData(1f, 3u)]
    public void Sampled_candidates_are_ranked_with_the_noise_of_the_decision_rule(float temperature, uint choice)
    {
        var firsts = new HashSet<int>();
        foreach (int[] path in new int[][] { [], [3], [3, 1, 2] })
        {
            (int[] matched, float[] probabilities) = Matches(Text, path);
            for (ulong seed = 0; seed < 20; seed++)
            {
                var sampling = new SamplingParams { Temperature = temperature, Seed = seed, Choice = choice };
                (int[] tokens, float[] raw) = Best(null, Text, sampling, path);
                int position = Text.Length + path.Length;
                double[] scores = [.. matched.Select((token, i) =>
                    (Math.Log(probabilities[i]) / temperature) + GumbelNoise.Exact(seed, position, token, choice))];
                double mass = probabilities.Sum();
                double sum = scores.Sum(Math.Exp);
                int[] order = [.. Enumerable.Range(0, matched.Length).OrderByDescending(i => scores[i])];
                Assert.Equal(order.Select(i => matched[i]), tokens);
                for (int i = 0; i < raw.Length; i++)
                {
                    Assert.Equal(mass * Math.Exp(scores[order[i]]) / sum, raw[i], 1e-5);
                }

                firsts.Add(tokens[0]);
            }
        }

        Assert.True(firsts.Count > 2, "The noise never changed the order.");
    }

    [Fact]
    public void The_trigram_gets_the_probability_that_matches_leave_over()
    {
        // "def" and a name, twice: some matches, and much that the trigram knows better.
        int[] text = demo.Target.Tokenizer.Encode("def add(self, x):\n    return x\n\ndef add(self");
        (int[] matched, float[] probabilities) = Matches(text, []);
        float left = 1 - probabilities.Sum();
        Assert.InRange(left, 0.02f, 0.98f);
        int[] expected = new int[12];
        float[] trigram = new float[12];
        int count = demo.Ngram.Best(text[^2], text[^1], expected, trigram);
        Assert.True(count > 1);

        (int[] tokens, float[] raw) = Best(demo.Ngram, text, SamplingParams.Greedy, []);
        Assert.Equal(matched.Union(expected[..count]).Order(), tokens.Order());
        Assert.Equal(raw.OrderDescending(), raw);
        Assert.InRange(raw.Sum(), 0, 1.0001f);
        for (int i = 0; i < tokens.Length; i++)
        {
            int match = Array.IndexOf(matched, tokens[i]);
            int third = Array.IndexOf(expected, tokens[i], 0, count);
            Assert.Equal((match < 0 ? 0 : probabilities[match]) + (third < 0 ? 0 : left * trigram[third]), raw[i], 1e-6f);
        }
    }

    [Fact]
    public void A_text_without_any_match_is_left_to_the_trigram()
    {
        int[] text = demo.Target.Tokenizer.Encode("import os");
        (int[] tokens, float[] raw) = Best(demo.Ngram, text, SamplingParams.Greedy, []);
        int[] expected = new int[12];
        float[] trigram = new float[12];
        int count = demo.Ngram.Best(text[^2], text[^1], expected, trigram);
        Assert.Equal(expected[..count], tokens);
        Assert.Equal(trigram[..count], raw);
        Assert.Empty(Best(null, text, SamplingParams.Greedy, []).Tokens);
    }

    [Fact]
    public void Another_sequence_begins_without_the_tokens_of_the_last()
    {
        var drafter = new NgramDrafter(null, 100);
        drafter.Follow(Context(Text, SamplingParams.Greedy));
        TokenContext next = Context([7, 1, 2], SamplingParams.Greedy);
        drafter.Follow(next);
        Assert.Equal(0, drafter.Best(next, [], new int[8], new float[8]));

        next.Append(7);
        drafter.Follow(next);
        int[] tokens = new int[8];
        Assert.Equal(1, drafter.Best(next, [], tokens, new float[8]));
        Assert.Equal(1, tokens[0]);
    }

    private static TokenContext Context(int[] text, SamplingParams sampling) => new(text, sampling, Vocabulary, text.Length + 10);

    private static (int[] Tokens, float[] Probabilities) Best(NgramModel? model, int[] text, SamplingParams sampling, int[] path)
    {
        TokenContext context = Context(text, sampling);
        var drafter = new NgramDrafter(model, 100);
        drafter.Follow(context);
        int[] tokens = new int[64];
        float[] probabilities = new float[64];
        int count = drafter.Best(context, path, tokens, probabilities);
        return (tokens[..count], probabilities[..count]);
    }

    private static (int[] Tokens, float[] Probabilities) Matches(int[] text, int[] path)
    {
        var matches = new ContextNgrams(100);
        foreach (int token in text)
        {
            matches.Append(token);
        }

        int[] tokens = new int[32];
        float[] probabilities = new float[32];
        int count = matches.Best(path, tokens, probabilities);
        return (tokens[..count], probabilities[..count]);
    }
}
