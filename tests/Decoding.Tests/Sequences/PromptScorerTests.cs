using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Sequences;

/// <summary>A prompt's tokens have the log-probabilities that decoding them would have given.</summary>
[Collection(DemoGroup.Name)]
public class PromptScorerTests(DemoBundle demo)
{
    [Theory]
    [InlineData(0, SpeculationMode.Off)]
    [InlineData(1, SpeculationMode.Staged)]
    public void Scoring_a_generated_text_gives_the_bits_that_decoding_it_gave(float temperature, SpeculationMode mode)
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] prompt = demo.Prompts().First();
        GenerationRequest request = Request(prompt, new SamplingParams { Temperature = temperature, Seed = 3 },
            maxTokens: 300) with
        { TopLogProbs = 5, Speculation = mode };
        Sequence decoded = loop.Run(request);
        int[] whole = [.. prompt, .. decoded.GeneratedIds];
        // Longer than a prefill chunk, and beginning with what is in the prefix cache.
        Sequence scored = loop.Run(request with { Prompt = whole, PromptLogProbs = true, MaxTokens = 0 });

        Assert.Equal(0, scored.CachedTokens);
        Assert.Equal(0, scored.GeneratedTokens);
        Assert.Equal(FinishReason.Length, scored.FinishReason);
        Assert.Equal(whole.Skip(1), scored.PromptLogProbs.Select(token => token.Token));
        TokenLogProb[] again = [.. scored.PromptLogProbs.Skip(prompt.Length - 1)];
        Assert.Equal(decoded.LogProbs.Count, again.Length);
        foreach ((TokenLogProb expected, TokenLogProb actual) in decoded.LogProbs.Zip(again))
        {
            Assert.Equal((expected.Token, expected.LogProb), (actual.Token, actual.LogProb));
            Assert.Equal(expected.Top, actual.Top);
        }
    }

    [Fact]
    public void Scoring_does_not_change_what_is_generated_and_penalties_do_not_change_the_scores()
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] prompt = demo.Prompts().First();
        GenerationRequest plain = Request(prompt, new SamplingParams { Seed = 5 });
        int[] expected = loop.Decode(plain);
        Sequence scored = loop.Run(plain with { PromptLogProbs = true, TopLogProbs = 0 });
        Assert.Equal(expected, scored.GeneratedIds.ToArray());
        var penalised =
            new SamplingParams { Seed = 5, RepetitionPenalty = 1.5f, LogitBias = new Dictionary<int, float> { [prompt[1]] = 50 } };
        Sequence other = loop.Run(plain with { Sampling = penalised, PromptLogProbs = true, TopLogProbs = 0 });
        Assert.Equal(scored.PromptLogProbs.Select(token => token.LogProb), other.PromptLogProbs.Select(token => token.LogProb));
    }

    [Fact]
    public void A_prompt_of_one_token_has_nothing_to_score()
    {
        using DecodingLoop loop = demo.CreateLoop();
        Sequence sequence = loop.Run(Request([5], SamplingParams.Greedy, maxTokens: 0) with { PromptLogProbs = true, TopLogProbs = 1 });
        Assert.Empty(sequence.PromptLogProbs);
        Assert.True(sequence.Finished);
    }

    [Fact]
    public void Where_the_prompt_is_scored_the_end_of_the_text_counts_as_a_token()
    {
        using DecodingLoop loop = demo.CreateLoop();
        int end = demo.Target.Config.EosTokenIds[0];
        var sampling = new SamplingParams { Temperature = 0, LogitBias = new Dictionary<int, float> { [end] = 100 } };
        GenerationRequest request = Request([5, 6, 7], sampling) with { IgnoreEos = false, TopLogProbs = 0 };
        Assert.Empty(loop.Run(request).LogProbs);
        Assert.Equal(end, Assert.Single(loop.Run(request with { PromptLogProbs = true }).LogProbs).Token);
    }

    [Fact]
    public void A_scored_prompt_is_in_the_prefix_cache_afterwards()
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] prompt = [.. demo.Prompts().SelectMany(p => p).Take(100)];
        loop.Run(Request(prompt, SamplingParams.Greedy, maxTokens: 0) with { PromptLogProbs = true, TopLogProbs = 0 });
        Assert.Equal(99, loop.Run(Request(prompt, SamplingParams.Greedy)).CachedTokens);
    }
}
