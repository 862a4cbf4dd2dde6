using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Drafters;

/// <summary>A wrong input only lowers acceptance: so it is held to what a plain forward pass of the same weights predicts.</summary>
[Collection(DemoGroup.Name)]
public sealed class HeadDrafterTests : IDisposable
{
    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);
    private readonly LanguageModel _model;

    public HeadDrafterTests() =>
        _model = ModelLoader.Load(MtpFixture.Folder, _kernels, new LoadOptions(CacheType: CacheType.F32, Head: true));

    [Fact]
    public void Chains_of_one_two_and_three_guesses_are_accepted_exactly_as_far_as_a_plain_forward_predicts()
    {
        int most = 0;
        foreach (MtpFixture.Case one in MtpFixture.Cases)
        {
            for (int depth = 1; depth <= MtpFixture.Depth; depth++)
            {
                using DecodingLoop loop = Loop();
                Sequence sequence = loop.Begin(Chain(one.Prompt, one.Greedy.Length, depth));
                foreach ((int before, int committed) in Steps(loop, sequence))
                {
                    if (before + depth < one.Accepted.Length)
                    {
                        Assert.Equal(Math.Min(depth, one.Accepted[before]), committed - 1);
                        most = Math.Max(most, committed - 1);
                    }
                }

                Assert.Equal(one.Greedy, sequence.GeneratedIds.ToArray());
                loop.End(sequence);
            }
        }

        Assert.Equal(MtpFixture.Depth, most);
    }

    [Fact]
    public void A_prefix_of_the_cache_is_drafted_behind_as_a_prompt_that_was_read_anew()
    {
        MtpFixture.Case one = MtpFixture.Cases[1];
        using DecodingLoop loop = Loop();
        int[] fresh = Commits(loop, one.Prompt, 30);
        // Regenerated: all but the last token is held.
        Assert.Equal(fresh, Commits(loop, one.Prompt, 30));
        // Continued: behind what the last step accepted.
        int[] longer = [.. one.Prompt, .. one.Greedy.Take(30)];
        Assert.Equal(Commits(Loop(), longer, 20), Commits(loop, longer, 20));
        // Taken up by another sequence, from where the prompt ended.
        int[] branched = [.. one.Prompt, .. MtpFixture.Cases[2].Prompt.Take(20)];
        Assert.Equal(Commits(Loop(), branched, 20), Commits(loop, branched, 20));
    }

    [Fact]
    public void What_was_never_read_is_drafted_behind_all_the_same()
    {
        MtpFixture.Case one = MtpFixture.Cases[0];
        using DecodingLoop loop = Loop();
        loop.Run(Chain(one.Prompt, 40, 2) with { Speculation = SpeculationMode.Off });
        int[] longer = [.. one.Prompt, .. one.Greedy.Take(40)];
        Sequence sequence = loop.Run(Chain(longer, 30, 2));
        Assert.True(sequence.CachedTokens > one.Prompt.Length);
        Assert.Equal(one.Greedy[40..70], sequence.GeneratedIds.ToArray());
        Assert.True(sequence.Statistics.TokensPerBatch > 1.2, $"{sequence.Statistics.TokensPerBatch:F2} tokens a batch");
    }

    [Fact]
    public void A_head_cut_to_the_first_tokens_proposes_no_others_and_changes_nothing_but_the_number_of_passes()
    {
        const int Tokens = 112;
        using Transformer trimmed = Trimmed(Tokens, out DraftHead head);
        Assert.Equal(Tokens, head.Network.Config.LogitsSize);
        bool proposed = false;
        foreach (SamplingParams sampling in (SamplingParams[])[SamplingParams.Greedy, new SamplingParams { Seed = 3 }])
        {
            using var loop = new DecodingLoop(_model with { Transformer = trimmed, Head = head }, null, null, new DecodingOptions());
            using DecodingLoop whole = Loop();
            GenerationRequest request = Request(MtpFixture.Cases[0].Prompt, sampling, 60) with
            {
                Speculation = SpeculationMode.Draft,
                SpeculationNodes = 16,
                ReportTree = true,
            };
            int[] plain = whole.Decode(request with { Speculation = SpeculationMode.Off });
            Sequence sequence = loop.Begin(request);
            while (!sequence.Finished)
            {
                loop.Step(sequence);
                Assert.All(loop.LastTree?.Nodes ?? [], node => Assert.InRange(node.Token, 0, Tokens - 1));
                proposed |= loop.LastTree is { Nodes.Count: > 0 };
            }

            loop.End(sequence);
            Assert.Equal(plain, sequence.GeneratedIds.ToArray());
        }

        Assert.True(proposed);
    }

    [Fact]
    public void The_loop_drafts_by_the_model_s_own_head_unless_it_has_none()
    {
        using DecodingLoop with = Loop();
        Assert.True(with.Supports(SpeculationMode.Draft));
        using var without = new DecodingLoop(_model with { Head = null }, null, null, new DecodingOptions());
        Assert.False(without.Supports(SpeculationMode.Draft));
    }

    [Fact]
    public void Staged_goes_on_behind_the_block_s_guesses_by_what_the_text_suggests()
    {
        // A text that repeats itself: a chain of one guess, and behind it the n-gram's.
        int[] prompt = [.. MtpFixture.Cases[0].Prompt, .. MtpFixture.Cases[0].Prompt, .. MtpFixture.Cases[0].Prompt];
        using DecodingLoop loop = Loop();
        GenerationRequest request = Request(prompt, SamplingParams.Greedy, 40) with { DraftPasses = 1, SpeculationNodes = 12, Branch = 1 };
        Sequence staged = loop.Run(request with { Speculation = SpeculationMode.Staged });
        Sequence draft = loop.Run(request with { Speculation = SpeculationMode.Draft });
        Assert.Equal(draft.GeneratedIds.ToArray(), staged.GeneratedIds.ToArray());
        Assert.True(staged.Statistics.Of(Stage.Ngram).Proposed > 0);
        Assert.Equal(0, draft.Statistics.Of(Stage.Ngram).Proposed);
        Assert.True(staged.Statistics.TokensPerBatch >= draft.Statistics.TokensPerBatch);
    }

    [Theory]
    [InlineData(SpeculationMode.Draft)]
    [InlineData(SpeculationMode.Staged)]
    public void A_step_in_steady_state_allocates_nothing(SpeculationMode mode)
    {
        using DecodingLoop loop = Loop();
        GenerationRequest request = Request(MtpFixture.Cases[3].Prompt, new SamplingParams { Seed = 4 }, 400) with { Speculation = mode };
        Assert.Equal(0, loop.Allocated(request, before: 200, steps: 30));
    }

    public void Dispose()
    {
        _model.Dispose();
        _kernels.Dispose();
    }

    /// <summary>The model anew, with a head of so many logits.</summary>
    private Transformer Trimmed(int tokens, out DraftHead head)
    {
        using var checkpoint = Checkpoint.Open(MtpFixture.Folder);
        ModelConfig config = checkpoint.Config with { DraftHead = checkpoint.Config.DraftHead! with { Logits = tokens } };
        Weights weights = Weights.Load(config, checkpoint.Tensors, checkpoint.Names, _kernels);
        head = new DraftHead(weights.DraftHead!, _kernels, CacheType.F32);
        return new Transformer(config, weights, _kernels, CacheType.F32);
    }

    private DecodingLoop Loop() => new(_model, null, null, new DecodingOptions { Calibration = TimeSpan.Zero });

    private static GenerationRequest Chain(int[] prompt, int tokens, int depth) => Request(prompt, SamplingParams.Greedy, tokens) with
    {
        Speculation = SpeculationMode.Draft,
        Branch = 1,
        DraftPasses = depth,
        SpeculationNodes = depth,
    };

    /// <summary>Tokens generated before each step, and committed in it.</summary>
    private static IEnumerable<(int Before, int Committed)> Steps(DecodingLoop loop, Sequence sequence)
    {
        while (!sequence.Finished)
        {
            int before = sequence.GeneratedTokens;
            loop.Step(sequence);
            if (sequence.GeneratedTokens > before)
            {
                yield return (before, sequence.GeneratedTokens - before);
            }
        }
    }

    private static int[] Commits(DecodingLoop loop, int[] prompt, int tokens)
    {
        Sequence sequence = loop.Begin(Chain(prompt, tokens, MtpFixture.Depth));
        int[] commits = [.. Steps(loop, sequence).Select(step => step.Committed)];
        loop.End(sequence);
        return commits;
    }
}
