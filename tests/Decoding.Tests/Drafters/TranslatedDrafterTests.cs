using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public sealed class TranslatedDrafterTests(DemoBundle demo) : IDisposable
{
    private static readonly SamplingParams[] Samplings =
    [
        SamplingParams.Greedy,
        new SamplingParams { Seed = 3 },
        new SamplingParams
        {
            RepetitionPenalty = 1.1f, FrequencyPenalty = 0.5f, Seed = 7, TopK = 50,
            LogitBias = new Dictionary<int, float> { [3] = -100, [199] = 2, [12] = float.NegativeInfinity },
        },
    ];

    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);
    private readonly List<IDisposable> _owned = [];

    public static TheoryData<string, string> Pairs => new()
    {
        { "demo", "shuffled" },
        { "demo", "lacking" },
        { "lacking", "demo" },
        { "shuffled", "lacking" },
        { "demo", "bytes" },
        { "bytes", "demo" },
    };

    [Fact]
    public void A_draft_whose_ids_are_shuffled_proposes_what_it_proposes_unshuffled()
    {
        LanguageModel shuffled = Model("shuffled", "draft");
        foreach (SamplingParams sampling in Samplings)
        {
            foreach (int[] prompt in demo.Prompts().Take(4))
            {
                Assert.Equal(Candidates(demo.Draft, prompt, sampling), Candidates(shuffled, prompt, sampling));
            }
        }
    }

    [Fact]
    public void A_draft_whose_ids_are_shuffled_has_the_same_accept_lengths()
    {
        using DecodingLoop plain = Loop(demo.Target, demo.Draft);
        using DecodingLoop shuffled = Loop(demo.Target, Model("shuffled", "draft"));
        int several = 0;
        foreach (SamplingParams sampling in Samplings)
        {
            foreach (int[] prompt in demo.Prompts().Take(4))
            {
                // A chain of four passes has one row each: nothing of it depends on the clock.
                GenerationRequest request = Request(prompt, sampling, 64) with
                {
                    Speculation = SpeculationMode.Draft,
                    DraftPasses = 4,
                    SpeculationNodes = 4,
                    Branch = 1,
                };
                List<int> expected = AcceptLengths(plain, request);
                Assert.Equal(expected, AcceptLengths(shuffled, request));
                several += expected.Count(length => length > 2);
            }
        }

        Assert.True(several > 10, $"{several} steps of several tokens");
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Text_is_the_same_whatever_vocabulary_the_draft_has(string target, string draft)
    {
        LanguageModel model = Model(target, "target");
        using DecodingLoop loop = Loop(model, Model(draft, "draft"));
        foreach (SamplingParams sampling in Samplings)
        {
            if (sampling.LogitBias?.Keys.Max() >= model.Config.VocabularySize)
            {
                continue;
            }

            foreach (string text in Samples.Prompts.Take(3))
            {
                int[] prompt = model.Tokenizer.Encode(text);
                int[] plain = loop.Decode(Request(prompt, sampling, 40) with { Speculation = SpeculationMode.Off });
                foreach (SpeculationMode mode in Speculating)
                {
                    foreach (int? nodes in new int?[] { null, 1, 16, 63 })
                    {
                        GenerationRequest request = Request(prompt, sampling, 40) with { Speculation = mode, SpeculationNodes = nodes };
                        Assert.Equal(plain, loop.Decode(request));
                    }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Behind_cached_prefixes_and_cuts_within_a_character_it_is_the_same(string target, string draft)
    {
        LanguageModel model = Model(target, "target");
        LanguageModel small = Model(draft, "draft");
        using DecodingLoop warm = Loop(model, small);
        int[] text = model.Tokenizer.Encode("naïve — 日本語 🙂🙂 größer; " + Samples.Prompts[0]);
        text = text[..Math.Min(text.Length, 90)];
        foreach (int keep in (int[])[90, 89, 40, 25, 20, 16, 12, 9, 7, 5, 3, 1])
        {
            int[] prompt = [.. text.Take(keep), .. text.Take(keep / 3)];
            foreach (SamplingParams sampling in Samplings.Take(2))
            {
                using DecodingLoop cold = Loop(model, small);
                int[] expected = cold.Decode(Request(prompt, sampling, 12) with { Speculation = SpeculationMode.Off });
                foreach (SpeculationMode mode in (SpeculationMode[])[SpeculationMode.Draft, SpeculationMode.Staged])
                {
                    Assert.Equal(expected, warm.Decode(Request(prompt, sampling, 12) with { Speculation = mode, SpeculationNodes = 12 }));
                }
            }
        }
    }

    [Fact]
    public void A_text_as_long_as_the_context_is_the_same()
    {
        LanguageModel draft = Model("lacking", "draft");
        using DecodingLoop loop = Loop(demo.Target, draft);
        int[] prompt = [.. demo.Prompts().SelectMany(prompt => prompt).Take(600)];
        GenerationRequest request = Request(prompt, SamplingParams.Greedy, 2000);
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(loop.ContextLength, prompt.Length + plain.Length);
        Assert.Equal(plain, loop.Decode(request with { Speculation = SpeculationMode.Draft }));
    }

    [Theory]
    [InlineData("demo", "lacking", 1.25)]
    [InlineData("lacking", "demo", 1.25)]
    public void Where_some_tokens_are_only_on_one_side_the_draft_is_still_worth_its_passes(string target, string draft, double least)
    {
        LanguageModel model = Model(target, "target");
        using DecodingLoop loop = Loop(model, Model(draft, "draft"));
        double tokens = 0;
        double passes = 0;
        foreach (string text in Samples.Prompts)
        {
            Sequence sequence = loop.Run(Request(model.Tokenizer.Encode(text), SamplingParams.Greedy, 48) with
            {
                Speculation = SpeculationMode.Draft,
                DraftPasses = 3,
                SpeculationNodes = 16,
            });
            tokens += sequence.Statistics.CommittedTokens;
            passes += sequence.Statistics.TargetPasses;
        }

        Assert.True(tokens / passes > least, $"{tokens / passes:F3} tokens a batch");
    }

    [Theory]
    [InlineData("demo", "lacking", true)]
    [InlineData("demo", "lacking", false)]
    [InlineData("lacking", "demo", false)]
    public void A_step_in_steady_state_allocates_nothing(string target, string draft, bool greedy)
    {
        LanguageModel model = Model(target, "target");
        using DecodingLoop loop = Loop(model, Model(draft, "draft"));
        SamplingParams sampling = greedy ? SamplingParams.Greedy : new SamplingParams { TopK = 50, Seed = 4 };
        GenerationRequest request = Request(model.Tokenizer.Encode(Samples.Prompts[0]), sampling, 600) with
        {
            Speculation = SpeculationMode.Staged,
        };
        Assert.Equal(0, loop.Allocated(request));
    }

    [Fact]
    public void A_vocabulary_that_shares_less_than_half_is_refused_with_the_figure()
    {
        using var files = OtherVocabulary.Lacking("draft", 70);
        using LanguageModel draft = files.Load(_kernels);
        ModelLoadException refused = Assert.Throws<ModelLoadException>(() => Loop(demo.Target, draft).Dispose());
        Assert.Matches(@"only 3\d\.\d % of the smaller one's tokens are in both, by their bytes", refused.Message);
        Assert.Contains("--draft none", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_draft_whose_logits_are_padded_further_than_the_targets_needs_no_translation()
    {
        Assert.Null(Vocabularies.Require(
            ("target", demo.Target.Tokenizer, demo.Target.Config),
            ("draft", demo.Draft.Tokenizer, demo.Draft.Config with { VocabularySize = 4224 })));
        Assert.NotNull(Vocabularies.Require(
            ("target", demo.Target.Tokenizer, demo.Target.Config with { VocabularySize = 4224 }),
            ("draft", demo.Draft.Tokenizer, demo.Draft.Config)));
    }

    [Fact]
    public void An_n_gram_of_a_draft_that_is_padded_less_serves_the_target_and_one_of_more_tokens_does_not()
    {
        int[] text = [.. demo.Prompts().First()];
        NgramModel Table(int vocabulary)
        {
            var counts = new NgramCounts(vocabulary, demo.Target.Tokenizer.Fingerprint);
            counts.Add([.. text.Where(token => token < vocabulary)]);
            return NgramModel.Build(counts, new NgramBuildOptions());
        }

        using var loop = new DecodingLoop(demo.Target, null, Table(2000), new DecodingOptions());
        GenerationRequest request = Request(text, SamplingParams.Greedy, 40);
        Assert.Equal(
            loop.Decode(request with { Speculation = SpeculationMode.Off }),
            loop.Decode(request with { Speculation = SpeculationMode.Ngram }));
        Assert.Throws<ModelLoadException>(() => new DecodingLoop(demo.Target, null, Table(5000), new DecodingOptions()).Dispose());
    }

    public void Dispose()
    {
        _owned.ForEach(owned => owned.Dispose());
        _kernels.Dispose();
    }

    private static DecodingLoop Loop(LanguageModel target, LanguageModel draft) =>
        new(target, draft, null, new DecodingOptions { Calibration = TimeSpan.FromMilliseconds(20) });

    private static List<int> AcceptLengths(DecodingLoop loop, GenerationRequest request)
    {
        Sequence sequence = loop.Begin(request);
        var lengths = new List<int>();
        while (!sequence.Finished)
        {
            loop.Step(sequence);
            lengths.Add(loop.LastStep.Committed);
        }

        loop.End(sequence);
        return lengths;
    }

    /// <summary>Candidates of the root and of three rows below it, with their probabilities.</summary>
    private List<(int, float)> Candidates(LanguageModel draft, int[] prompt, SamplingParams sampling)
    {
        IDraftModel drafter = Vocabularies.Drafter(demo.Target, draft, new DecodingOptions { Branch = 4, MaxDepth = 6 })!;
        using DraftCache cache = drafter.CreateCache(null!, 512);
        var context = new TokenContext(prompt, sampling, demo.Target.Config.VocabularySize, prompt.Length + 16);
        int[] tokens = new int[4];
        float[] probabilities = new float[4];
        var all = new List<(int, float)>();
        void Take(int answer)
        {
            int count = drafter.Candidates(context, answer, 0, tokens, probabilities);
            for (int i = 0; i < count; i++)
            {
                all.Add((tokens[i], probabilities[i]));
            }
        }

        drafter.BeginStep(cache, context);
        Assert.Equal(prompt.Length, drafter.Pending(cache, context));
        drafter.Begin(cache, context);
        drafter.Run(cache, context);
        Take(0);
        int best = tokens[0];
        Assert.Equal(0, drafter.Pending(cache, context));
        drafter.Begin(cache, context);
        int slot = drafter.Add(context, [], [best], 0);
        drafter.Add(context, [], [prompt[0]], 0);
        drafter.Add(context, [slot], [best, prompt[1]], 0);
        drafter.Run(cache, context);
        for (int answer = 0; answer < 3; answer++)
        {
            Take(answer);
        }

        (drafter as IDisposable)?.Dispose();
        return all;
    }

    private LanguageModel Model(string vocabulary, string role)
    {
        if (vocabulary == "demo")
        {
            return role == "target" ? demo.Target : demo.Draft;
        }

        OtherVocabulary files = vocabulary switch
        {
            "shuffled" => OtherVocabulary.Shuffled(role),
            "bytes" => OtherVocabulary.Bytes(role),
            _ => OtherVocabulary.Lacking(role, 25),
        };
        LanguageModel model = files.Load(_kernels);
        _owned.Add(files);
        _owned.Insert(0, model);
        return model;
    }
}
