using System.Text.Json;
using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests;

/// <summary>The first promise: the bytes do not depend on how they were decoded.</summary>
[Collection(DemoGroup.Name)]
public class LosslessTests(DemoBundle demo)
{
    public static TheoryData<string> Samplings => [.. Cases.Keys];

    private static Dictionary<string, SamplingParams> Cases { get; } = new()
    {
        ["greedy"] = SamplingParams.Greedy,
        ["T = 1"] = new SamplingParams { Seed = 3 },
        ["T = 1, top_k 50"] = new SamplingParams { TopK = 50, Seed = 4 },
        ["T = 0.7, top_p 0.9"] = new SamplingParams { Temperature = 0.7f, TopP = 0.9f, Seed = 5 },
        ["T = 1.3, min_p 0.05"] = new SamplingParams { Temperature = 1.3f, MinP = 0.05f, Seed = 6 },
        ["greedy, penalties"] =
            new SamplingParams { Temperature = 0, RepetitionPenalty = 1.2f, FrequencyPenalty = 0.3f, PresencePenalty = 0.4f },
        ["greedy, a penalty of the last 3 tokens"] = new SamplingParams { Temperature = 0, RepetitionPenalty = 1.4f, RepetitionWindow = 3 },
        ["greedy, a penalty of the last 64 tokens"] =
            new SamplingParams { Temperature = 0, RepetitionPenalty = 1.2f, RepetitionWindow = 64 },
        ["T = 1, a penalty of the last 17 tokens"] =
            new SamplingParams { RepetitionPenalty = 1.3f, RepetitionWindow = 17, PresencePenalty = 0.3f, Seed = 8 },
        ["T = 1, penalties and bias"] = new SamplingParams
        {
            RepetitionPenalty = 1.1f,
            FrequencyPenalty = 0.5f,
            Seed = 7,
            LogitBias = new Dictionary<int, float> { [3] = -100, [199] = 2, [12] = float.NegativeInfinity },
        },
    };

    [Theory]
    [MemberData(nameof(Samplings))]
    public void Every_mode_and_tree_size_gives_the_plain_tokens(string sampling)
    {
        using DecodingLoop loop = demo.CreateLoop();
        foreach (int[] prompt in demo.Prompts().Take(4))
        {
            int[] plain = loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = SpeculationMode.Off });
            foreach (SpeculationMode mode in Speculating)
            {
                foreach (int? nodes in new int?[] { null, 1, 5, 16, 63 })
                {
                    int[] tokens = loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = mode, SpeculationNodes = nodes });
                    Assert.True(plain.AsSpan().SequenceEqual(tokens), $"{mode}, {nodes} nodes: {Difference(plain, tokens)}");
                }
            }
        }
    }

    [Fact]
    public void Threads_and_draft_rounds_and_loops_do_not_change_the_tokens()
    {
        int[] prompt = demo.Prompts().First();
        SamplingParams sampling = Cases["T = 1, top_k 50"];
        using DecodingLoop plainLoop = demo.CreateLoop();
        int[] plain = plainLoop.Decode(Request(prompt, sampling) with { Speculation = SpeculationMode.Off });
        foreach (int threads in new[] { 1, 3 })
        {
            using IKernels kernels = KernelCatalog.Create(threads: threads);
            using LanguageModel target = ModelLoader.Load(Standin.Target, kernels, new LoadOptions());
            using LanguageModel draft = ModelLoader.Load(Standin.Draft, kernels, new LoadOptions());
            using var loop = new DecodingLoop(target, draft, demo.Ngram, new DecodingOptions { Branch = 3, MaxDepth = 7 });
            foreach (int rounds in new[] { 1, 2, 5 })
            {
                Assert.Equal(plain,
                    loop.Decode(Request(prompt, sampling) with { Speculation = SpeculationMode.Staged, DraftPasses = rounds }));
            }
        }
    }

    [Theory]
    [InlineData("Q8_0")]
    [InlineData("Q4_K")]
    public void Weights_quantised_while_loading_change_nothing_of_it(string name)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        var options = new LoadOptions(Weights: QuantisedTensors.Formats.Single(format => format.Name == name));
        using LanguageModel target = ModelLoader.Load(Standin.Target, kernels, options);
        using LanguageModel draft = ModelLoader.Load(Standin.Draft, kernels, options);
        using var loop = new DecodingLoop(target, draft, demo.Ngram, new DecodingOptions { Calibration = TimeSpan.FromMilliseconds(50) });
        foreach (string sampling in (string[])["greedy", "T = 1, top_k 50"])
        {
            foreach (int[] prompt in demo.Prompts().Take(3))
            {
                int[] plain = loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = SpeculationMode.Off });
                foreach (SpeculationMode mode in Speculating)
                {
                    foreach (int? nodes in new int?[] { null, 5, 63 })
                    {
                        int[] tokens = loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = mode, SpeculationNodes = nodes });
                        Assert.True(plain.AsSpan().SequenceEqual(tokens), $"{mode}, {nodes} nodes: {Difference(plain, tokens)}");
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData("greedy")]
    [InlineData("T = 1, top_k 50")]
    public void Keys_and_values_in_8_bits_give_the_same_tokens_in_every_mode_and_behind_a_cached_prefix(string sampling)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        var options = new LoadOptions { CacheType = CacheType.Q8 };
        using LanguageModel target = ModelLoader.Load(Standin.Target, kernels, options);
        using LanguageModel draft = ModelLoader.Load(Standin.Draft, kernels, options);
        using var warm = new DecodingLoop(target, draft, demo.Ngram, new DecodingOptions());
        foreach (int[] prompt in demo.Prompts().Take(4))
        {
            using var cold = new DecodingLoop(target, draft, demo.Ngram, new DecodingOptions());
            int[] plain = cold.Decode(Request(prompt, Cases[sampling]) with { Speculation = SpeculationMode.Off });
            foreach (SpeculationMode mode in Speculating)
            {
                Assert.Equal(plain, warm.Decode(Request(prompt, Cases[sampling]) with { Speculation = mode }));
            }

            // What was generated is a cached prefix now.
            int[] longer = [.. prompt, .. plain, .. prompt.Take(9)];
            Assert.Equal(
                cold.Decode(Request(longer, Cases[sampling]) with { Speculation = SpeculationMode.Off }),
                warm.Decode(Request(longer, Cases[sampling]) with { Speculation = SpeculationMode.Staged }));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_cached_prefix_does_not_change_the_tokens(bool greedy)
    {
        using DecodingLoop warm = demo.CreateLoop();
        SamplingParams sampling = greedy ? SamplingParams.Greedy : Cases["T = 1"];
        int[] prompt = [.. demo.Prompts().SelectMany(p => p).Take(300)];
        foreach (int keep in new[] { 300, 299, 150, 40, 16, 5 })
        {
            // Prompts that continue, branch off, or stop inside what is cached.
            int[] branched = [.. prompt.Take(keep), .. prompt.Take(25)];
            using DecodingLoop cold = demo.CreateLoop();
            foreach (SpeculationMode mode in new[] { SpeculationMode.Off, SpeculationMode.Staged })
            {
                int[] expected = cold.Decode(Request(branched, sampling) with { Speculation = SpeculationMode.Off });
                Assert.Equal(expected, warm.Decode(Request(branched, sampling) with { Speculation = mode }));
            }
        }
    }

    [Fact]
    public void A_draft_that_is_always_wrong_or_always_right_changes_nothing_but_the_number_of_passes()
    {
        int[] prompt = demo.Prompts().First();
        foreach (float percent in new[] { 0f, 50f, 100f })
        {
            var oracle = new OracleDrafter(demo.Draft.Transformer, 4, 12, [percent]);
            using var loop =
                new DecodingLoop(demo.Target.Transformer, demo.Target.Tokenizer, oracle, null, new DecodingOptions { MaxDepth = 12 });
            GenerationRequest request = Request(prompt, Cases["T = 1"]);
            int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
            oracle.Reveal([.. prompt, .. plain]);
            Sequence sequence = loop.Run(request with { Speculation = SpeculationMode.Draft, DraftPasses = 3, SpeculationNodes = 12 });
            Assert.Equal(plain, sequence.GeneratedIds.ToArray());
            Assert.InRange(sequence.Statistics.TokensPerBatch, percent == 100 ? 3.5 : 1, percent == 0 ? 1.0 : 4.01);
        }
    }

    [Fact]
    public void Text_ends_at_the_same_byte_whatever_the_mode()
    {
        using DecodingLoop loop = demo.CreateLoop();
        foreach (int[] prompt in demo.Prompts().Take(8))
        {
            GenerationRequest request =
                Request(prompt, Cases["T = 1"]) with { MaxTokens = 61, Stop = ["\n\n", "self."], IgnoreEos = false };
            (string text, FinishReason reason) = loop.Text(request with { Speculation = SpeculationMode.Off });
            Assert.DoesNotContain("self.", text, StringComparison.Ordinal);
            foreach (SpeculationMode mode in Speculating)
            {
                Assert.Equal((text, reason), loop.Text(request with { Speculation = mode }));
            }
        }
    }

    [Fact]
    public void The_end_of_the_context_is_reached_alike()
    {
        using IKernels kernels = KernelCatalog.Create();
        var options = new LoadOptions { Context = 96 };
        using LanguageModel target = ModelLoader.Load(Standin.Target, kernels, options);
        using LanguageModel draft = ModelLoader.Load(Standin.Draft, kernels, options);
        using var loop = new DecodingLoop(target, draft, demo.Ngram, new DecodingOptions());
        int[] prompt = [.. demo.Prompts().SelectMany(p => p).Take(50)];
        GenerationRequest request = Request(prompt, SamplingParams.Greedy) with { MaxTokens = 1000 };
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(46, plain.Length);
        foreach (SpeculationMode mode in Speculating)
        {
            Assert.Equal(plain, loop.Decode(request with { Speculation = mode }));
        }
    }

    /// <summary>All prompts of the set, where it is at hand.</summary>
    [SharedDataTheory("humaneval-even.jsonl")]
    [InlineData("greedy")]
    [InlineData("T = 1, top_k 50")]
    public void Every_HumanEval_prompt_gives_the_same_tokens_in_every_mode(string sampling)
    {
        using DecodingLoop loop = demo.CreateLoop();
        foreach (string line in File.ReadLines(SharedData.PathOf("humaneval-even.jsonl")))
        {
            int[] prompt = demo.Target.Tokenizer.Encode(JsonDocument.Parse(line).RootElement.GetProperty("prompt").GetString()!);
            int[] plain = loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = SpeculationMode.Off });
            foreach (SpeculationMode mode in Speculating)
            {
                Assert.Equal(plain, loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = mode }));
            }
        }
    }

    [Fact]
    public void Staged_drafting_commits_more_tokens_per_batch_than_drafting_with_the_same_draft_passes()
    {
        using DecodingLoop loop = demo.CreateLoop();
        double PerBatch(SpeculationMode mode)
        {
            double tokens = 0;
            double passes = 0;
            foreach (int[] prompt in demo.Prompts())
            {
                Sequence sequence = loop.Run(Request(prompt, SamplingParams.Greedy) with
                {
                    Speculation = mode,
                    DraftPasses = 2,
                    SpeculationNodes = 16,
                    MaxTokens = 64
                });
                tokens += sequence.Statistics.CommittedTokens;
                passes += sequence.Statistics.TargetPasses;
            }

            return tokens / passes;
        }

        double draft = PerBatch(SpeculationMode.Draft);
        double staged = PerBatch(SpeculationMode.Staged);
        Assert.True(staged > draft, $"staged {staged:F3}, draft {draft:F3}");
    }

    private static string Difference(int[] expected, int[] actual)
    {
        int at = expected.AsSpan().CommonPrefixLength(actual);
        return $"first difference at token {at} of {expected.Length}";
    }
}
