using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;

namespace Understory.Decoding.Tests;

[Collection(DemoGroup.Name)]
public class DecodingLoopTests(DemoBundle demo)
{
    [Fact]
    public void Requests_that_cannot_be_served_are_refused_by_name_and_cost_the_cache_nothing()
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] prompt = demo.Prompts().First();
        GenerationRequest good = LoopRuns.Request(prompt, SamplingParams.Greedy);
        int[] answer = loop.Decode(good);
        int held = loop.CachedTokens;
        Assert.Equal(prompt.Length + answer.Length - 1, held);

        Refused("prompt", "no tokens", good with { Prompt = [] });
        Refused("prompt", "1025 tokens; the model's context is 1024", good with { Prompt = new int[1025] });
        Refused("prompt", "token 4096; ids go from 0 to 4095", good with { Prompt = [.. prompt, 4096] });
        Refused("prompt", "token -1", good with { Prompt = [-1, .. prompt] });
        Refused("max_tokens", "-1", good with { MaxTokens = -1 });
        Refused("top_logprobs", "21", good with { TopLogProbs = 21 });
        Refused("stop", "empty", good with { Stop = ["a", ""] });
        Refused("temperature", "-1", good with { Sampling = new() { Temperature = -1 } });
        Refused("temperature", "NaN", good with { Sampling = new() { Temperature = float.NaN } });
        Refused("top_k", "-1", good with { Sampling = new() { TopK = -1 } });
        Refused("top_p", "0", good with { Sampling = new() { TopP = 0 } });
        Refused("min_p", "1.5", good with { Sampling = new() { MinP = 1.5f } });
        Refused("repetition_penalty", "0", good with { Sampling = new() { RepetitionPenalty = 0 } });
        Refused("presence_penalty", "3", good with { Sampling = new() { PresencePenalty = 3 } });
        Refused("frequency_penalty", "-3", good with { Sampling = new() { FrequencyPenalty = -3 } });
        Refused("logit_bias", "4096", good with { Sampling = new() { LogitBias = new Dictionary<int, float> { [4096] = 1 } } });
        Refused("logit_bias", "101", good with { Sampling = new() { LogitBias = new Dictionary<int, float> { [1] = 101 } } });

        Assert.Equal(held, loop.CachedTokens);
        Sequence again = loop.Run(good with { Prompt = [.. prompt, .. answer] });
        Assert.Equal(held, again.CachedTokens);

        void Refused(string parameter, string says, GenerationRequest request)
        {
            InvalidRequestException refusal = Assert.Throws<InvalidRequestException>(() => loop.Begin(request));
            Assert.Equal(parameter, refusal.Parameter);
            Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Modes_that_need_a_draft_are_refused_without_one()
    {
        using var loop = new DecodingLoop(demo.Target, null, null, new DecodingOptions());
        GenerationRequest request = LoopRuns.Request(demo.Prompts().First(), SamplingParams.Greedy);
        foreach (SpeculationMode mode in new[] { SpeculationMode.Draft, SpeculationMode.Staged })
        {
            Assert.False(loop.Supports(mode));
            InvalidRequestException refusal = Assert.Throws<InvalidRequestException>(() => loop.Begin(request with { Speculation = mode }));
            Assert.Equal("speculation", refusal.Parameter);
        }

        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(plain, loop.Decode(request with { Speculation = SpeculationMode.Auto }));
        Assert.Equal(plain, loop.Decode(request with { Speculation = SpeculationMode.Ngram }));
    }

    [Fact]
    public void Warming_up_leaves_no_trace_in_the_measured_costs_or_the_cache()
    {
        using DecodingLoop loop = demo.CreateLoop();
        double[] Costs() => [.. Enumerable.Range(1, 64).Select(rows => loop.TargetSeconds(rows, 100))];
        double[] before = Costs();
        loop.WarmUp(TimeSpan.FromSeconds(20));
        Assert.Equal(before, Costs());
        Assert.Equal(0, loop.CachedTokens);

        loop.Decode(LoopRuns.Request(demo.Prompts().First(), SamplingParams.Greedy));
        Assert.NotEqual(before, Costs());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Where_every_token_is_banned_the_step_fails_and_the_next_request_does_not(float temperature)
    {
        using DecodingLoop loop = demo.CreateLoop();
        GenerationRequest good = LoopRuns.Request(demo.Prompts().First(), new SamplingParams { Temperature = temperature, Seed = 2 });
        int[] expected = loop.Decode(good);
        var bans = Enumerable.Range(0, demo.Target.Config.VocabularySize).ToDictionary(token => token, _ => float.NegativeInfinity);
        Sequence banned = loop.Begin(good with { Sampling = good.Sampling with { LogitBias = bans } });
        while (banned.Prefilling)
        {
            loop.Step(banned);
        }

        Assert.Throws<InvalidOperationException>(() => loop.Step(banned));
        Assert.Equal(0, banned.GeneratedTokens);
        loop.End(banned);
        Assert.Equal(expected, loop.Decode(good));
    }

    [Fact]
    public void A_prompt_that_fills_the_context_ends_at_once()
    {
        using DecodingLoop loop = demo.CreateLoop();
        Sequence sequence = loop.Run(LoopRuns.Request(new int[loop.ContextLength], SamplingParams.Greedy));
        Assert.Equal(FinishReason.Length, sequence.FinishReason);
        Assert.Equal(0, sequence.GeneratedTokens);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 0)]
    [InlineData(100, 3)]
    public void A_sequence_that_is_given_up_leaves_what_it_computed_to_the_next(int prefills, int steps)
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] prompt = [.. Enumerable.Range(0, 600).Select(i => (i * 37) % 4000)];
        GenerationRequest request = LoopRuns.Request(prompt, new SamplingParams { Seed = 8 }) with { Speculation = SpeculationMode.Staged };
        Sequence given = loop.Begin(request);
        for (int i = 0; i < prefills && given.Prefilling; i++)
        {
            loop.Step(given);
        }

        Assert.Equal(steps == 0, given.Prefilling);
        for (int i = 0; i < steps; i++)
        {
            loop.Step(given);
        }

        int held = steps == 0 ? given.PrefilledTokens : prompt.Length + given.GeneratedTokens - 1;
        loop.End(given);
        Assert.Equal(held, loop.CachedTokens);

        using DecodingLoop cold = demo.CreateLoop();
        int[] expected = cold.Decode(request with { Speculation = SpeculationMode.Off });
        Sequence sequence = loop.Run(request);
        Assert.Equal(Math.Min(held, prompt.Length - 1), sequence.CachedTokens);
        Assert.Equal(expected, sequence.GeneratedIds.ToArray());
        Assert.Equal(0, cold.Run(request with { Prompt = [4, .. prompt] }).CachedTokens);
    }

    [Fact]
    public void Choices_of_one_seed_differ_and_each_is_the_same_in_every_mode()
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] prompt = demo.Prompts().First();
        var choices = new List<int[]>();
        for (uint choice = 0; choice < 4; choice++)
        {
            GenerationRequest request = LoopRuns.Request(prompt, new SamplingParams { Seed = 5, Choice = choice });
            int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
            Assert.All(LoopRuns.Speculating, mode => Assert.Equal(plain, loop.Decode(request with { Speculation = mode })));
            Assert.All(choices, other => Assert.NotEqual(other, plain));
            choices.Add(plain);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Log_probabilities_are_the_same_in_every_mode(bool greedy)
    {
        using DecodingLoop loop = demo.CreateLoop();
        SamplingParams sampling = greedy
            ? SamplingParams.Greedy
            : new SamplingParams { TopK = 40, FrequencyPenalty = 0.5f, Seed = 6, LogitBias = new Dictionary<int, float> { [17] = 3 } };
        GenerationRequest request = LoopRuns.Request(demo.Prompts().First(), sampling) with { TopLogProbs = 4 };
        Sequence plain = loop.Run(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(plain.GeneratedIds.ToArray(), plain.LogProbs.Select(entry => entry.Token));
        Assert.All(plain.LogProbs, entry => Assert.Equal(4, entry.Top.Count));
        Assert.True(!greedy || plain.LogProbs.All(entry => entry.Top[0] == (entry.Token, entry.LogProb)));
        foreach (SpeculationMode mode in LoopRuns.Speculating)
        {
            Sequence sequence = loop.Run(request with { Speculation = mode });
            Assert.Equal(plain.LogProbs.Count, sequence.LogProbs.Count);
            foreach (var (expected, actual) in plain.LogProbs.Zip(sequence.LogProbs))
            {
                Assert.Equal((expected.Token, expected.LogProb, expected.TextOffset), (actual.Token, actual.LogProb, actual.TextOffset));
                Assert.Equal(expected.Top, actual.Top);
            }
        }
    }

    [Fact]
    public void The_end_of_sequence_token_ends_every_mode_alike()
    {
        GenerationRequest request = LoopRuns.Request(demo.Prompts().First(), SamplingParams.Greedy);
        using DecodingLoop endless = demo.CreateLoop();
        int[] whole = endless.Decode(request);
        int end = Enumerable.Range(6, 20).First(i => !whole.AsSpan(0, i).Contains(whole[i]));

        // The same model, but one of the tokens that it says anyway ends its texts.
        using Transformer target = WithEos(whole[end]);
        using var loop = new DecodingLoop(target, demo.Target.Tokenizer, new ModelDrafter(demo.Draft.Transformer, 6, 20), demo.Ngram,
            new DecodingOptions());
        foreach (SpeculationMode mode in Enum.GetValues<SpeculationMode>())
        {
            Sequence sequence = loop.Run(request with { Speculation = mode, IgnoreEos = false, TopLogProbs = 0 });
            Assert.Equal(whole[..(end + 1)], sequence.GeneratedIds.ToArray());
            Assert.Equal(FinishReason.Stop, sequence.FinishReason);
            Assert.Equal(demo.Target.Tokenizer.Decode(whole.AsSpan(0, end), skipSpecial: true), sequence.TakeText());
            Assert.Equal(end, sequence.LogProbs.Count);
            Assert.Equal(whole, loop.Decode(request with { Speculation = mode }));
        }
    }

    private Transformer WithEos(int token)
    {
        DirectoryInfo copy = Directory.CreateTempSubdirectory("understory-tests-");
        try
        {
            foreach (string file in Directory.GetFiles(Standin.Target))
            {
                string to = Path.Combine(copy.FullName, Path.GetFileName(file));
                if (Path.GetFileName(file) is "config.json" or "generation_config.json")
                {
                    File.WriteAllText(to, File.ReadAllText(file)
                        .Replace("\"eos_token_id\": 0", $"\"eos_token_id\": {token}", StringComparison.Ordinal));
                }
                else
                {
                    File.Copy(file, to);
                }
            }

            return ModelLoader.LoadTransformer(copy.FullName, demo.Target.Transformer.Kernels, new LoadOptions());
        }
        finally
        {
            copy.Delete(recursive: true);
        }
    }
}
