using System.Text.RegularExpressions;
using Understory.Decoding.Constraints;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using static Understory.Decoding.Tests.Constraints.ConstrainedRuns;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>The first promise under a constraint, and what a constraint promises itself.</summary>
[Collection(DemoGroup.Name)]
public class ConstrainedDecodingTests(DemoBundle demo)
{
    public static TheoryData<int> AllSchemas => [.. Enumerable.Range(0, Schemas.Length)];

    [Theory]
    [MemberData(nameof(AllSchemas))]
    public void Every_mode_and_tree_size_gives_the_plain_tokens_under_a_schema(int schema)
    {
        using DecodingLoop loop = demo.CreateLoop();
        Constraint constraint = ConstrainedRuns.Schema(demo, Schemas[schema]);
        foreach (SamplingParams sampling in new[] { SamplingParams.Greedy, new SamplingParams { Seed = (ulong)schema },
            new SamplingParams { TopK = 20, Seed = 3, RepetitionPenalty = 1.1f } })
        {
            GenerationRequest request = ConstrainedRuns.Request(demo, constraint, sampling) with { TopLogProbs = 2 };
            Sequence plain = loop.Run(request with { Speculation = SpeculationMode.Off });
            Assert.Equal(0, plain.Statistics.DraftProposed);
            foreach (SpeculationMode mode in LoopRuns.Speculating)
            {
                foreach (int? nodes in new int?[] { null, 1, 5, 16, 63 })
                {
                    Sequence other = loop.Run(request with { Speculation = mode, SpeculationNodes = nodes });
                    Assert.Equal(plain.GeneratedIds.ToArray(), other.GeneratedIds.ToArray());
                    Assert.Equal(plain.FinishReason, other.FinishReason);
                    Assert.Equal(plain.LogProbs.Select(entry => (entry.Token, entry.LogProb)),
                        other.LogProbs.Select(entry => (entry.Token, entry.LogProb)));
                }
            }
        }
    }

    [Theory]
    [InlineData("[a-f]{3}-[0-9]{2}( (and|or) [a-f]{3}-[0-9]{2}){1,3}")]
    [InlineData("(yes|no|maybe), because [^\\n\"]{5,30}\\.")]
    [InlineData("\\w{1,6}@\\w{1,9}\\.(com|org)|\\d{4}-\\d\\d")]
    [InlineData("[^\\x00-\\x7F]{2}\\p{Lu}\\S")]
    public void What_ends_by_itself_matches_the_expression_in_another_engine(string pattern)
    {
        using DecodingLoop loop = demo.CreateLoop();
        Constraint constraint = Constraint.Compile(Grammar.Regex(pattern), demo.Target.Tokenizer);
        var regex = new Regex($"^(?:{pattern})$", RegexOptions.CultureInvariant);
        int ended = 0;
        for (ulong seed = 0; seed < 25; seed++)
        {
            (string text, FinishReason reason) = loop.Text(ConstrainedRuns.Request(demo, constraint, new SamplingParams { Seed = seed }));
            ended += reason == FinishReason.Stop ? 1 : 0;
            Assert.True(reason == FinishReason.Length || regex.IsMatch(text), text);
        }

        Assert.InRange(ended, 10, 25);
    }

    [Fact]
    public void The_end_is_possible_only_where_the_grammar_has_one_and_comes_by_itself_where_nothing_else_is_possible()
    {
        using DecodingLoop loop = demo.CreateLoop();
        foreach (SpeculationMode mode in Enum.GetValues<SpeculationMode>())
        {
            foreach (bool ignore in new[] { false, true })
            {
                Constraint constraint = Constraint.Compile(Grammar.Literal("def f(x):"), demo.Target.Tokenizer);
                GenerationRequest request = ConstrainedRuns.Request(demo, constraint,
                    new SamplingParams { Seed = 1 }) with
                { Speculation = mode, IgnoreEos = ignore };
                Assert.Equal(("def f(x):", FinishReason.Stop), loop.Text(request));
                Assert.Equal(FinishReason.Length, loop.Text(request with { MaxTokens = 1 }).Reason);
            }

            Constraint nothing = Constraint.Compile(Grammar.Empty, demo.Target.Tokenizer);
            Assert.Equal(("", FinishReason.Stop),
                loop.Text(ConstrainedRuns.Request(demo, nothing, SamplingParams.Greedy) with { Speculation = mode }));
        }
    }

    [Fact]
    public void Where_the_text_is_forced_it_is_proposed_and_taken()
    {
        using DecodingLoop loop = demo.CreateLoop();
        Constraint constraint = ConstrainedRuns.Schema(demo, """{"type":"object","properties":{"first_name":{"type":"integer","maximum":"""
            + """9,"minimum":0},"second_name":{"type":"boolean"},"the_third_property":{"type":"null"}},"required":"""
            + """["first_name","second_name","the_third_property"]}""");
        GenerationRequest request = ConstrainedRuns.Request(demo, constraint,
            SamplingParams.Greedy) with
        {
            Prompt = demo.Target.Tokenizer.Encode("{\"first_name\": 1, \"second_name\": true, "
                + "\"the_third_property\": null}\n{\"first_name\": 1, \"second_name\": true, \"the_third_property\": null}\n")
        };
        (string text, FinishReason reason) = loop.Text(request with { Speculation = SpeculationMode.Off });
        Assert.True(reason == FinishReason.Stop && constraint.Matches(text), text);
        using var bare = new DecodingLoop(demo.Target, null, null, new DecodingOptions());
        Sequence sequence = bare.Run(request with { Speculation = SpeculationMode.Ngram, SpeculationNodes = 16 });
        Assert.Equal(text, sequence.TakeText());
        Assert.InRange(sequence.Statistics.Grammar.Accepted, 4, 100);
        Assert.InRange(sequence.Statistics.TokensPerBatch, 2, 30);
    }

    [Fact]
    public void Banned_tokens_and_a_constraint_that_leave_nothing_fail_by_name()
    {
        using DecodingLoop loop = demo.CreateLoop();
        Constraint constraint = Constraint.Compile(Grammar.Literal("a"), demo.Target.Tokenizer);
        var bans = Enumerable.Range(0, demo.Target.Config.VocabularySize)
            .Where(token => demo.Target.Tokenizer.TokenBytes(token).StartsWith("a"u8))
            .ToDictionary(token => token, _ => float.NegativeInfinity);
        Sequence sequence = loop.Begin(ConstrainedRuns.Request(demo, constraint, SamplingParams.Greedy with { LogitBias = bans }));
        Exception error = Assert.ThrowsAny<Exception>(() =>
        {
            while (!sequence.Finished)
            {
                loop.Step(sequence);
            }
        });
        Assert.Contains("constraint", error.Message, StringComparison.Ordinal);
        loop.End(sequence);
    }

    [Theory]
    [InlineData(SpeculationMode.Off)]
    [InlineData(SpeculationMode.Staged)]
    public void States_that_were_met_before_are_followed_without_allocating(SpeculationMode mode)
    {
        using DecodingLoop loop = demo.CreateLoop();
        Constraint constraint = Constraint.Compile(Grammar.Repeat(Grammar.Regex("[a-z ]{1,8}\\n"), 400), demo.Target.Tokenizer);
        GenerationRequest request =
            ConstrainedRuns.Request(demo, constraint, new SamplingParams { Seed = 2 }, 200) with { Speculation = mode };
        loop.Run(request);
        loop.Run(request);
        Sequence sequence = loop.Begin(request);
        for (int step = 0; step < 10; step++)
        {
            loop.Step(sequence);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 20; step++)
        {
            loop.Step(sequence);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.False(sequence.Finished);
        loop.End(sequence);
        // A tree of another shape may meet a new state; masks of 64 words and rows of transitions, not more.
        Assert.InRange(allocated, 0, mode == SpeculationMode.Off ? 0 : 60_000);
    }
}
