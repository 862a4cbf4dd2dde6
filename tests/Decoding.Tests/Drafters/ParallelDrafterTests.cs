using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public sealed class ParallelDrafterTests : IDisposable
{
    private const int Mask = 4095;

    private readonly DemoBundle _demo;
    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);
    private readonly OtherVocabulary _files = OtherVocabulary.Masked("draft", Mask);
    private readonly LanguageModel _draft;

    public ParallelDrafterTests(DemoBundle demo)
    {
        _demo = demo;
        _draft = _files.Load(_kernels);
    }

    [Fact]
    public void A_model_whose_config_names_a_mask_token_guesses_several_tokens_a_row()
    {
        Assert.Equal(Mask, _draft.Config.MaskToken);
        Assert.Equal(ParallelDrafter.Guesses, Drafter().Ahead);
        Assert.Equal(1, Vocabularies.Drafter(_demo.Target, _demo.Draft, new DecodingOptions())!.Ahead);
    }

    [Fact]
    public void Its_guesses_are_those_of_a_plain_forward_with_masks_behind_the_text()
    {
        int[] prompt = _demo.Prompts().First();
        IDraftModel drafter = Drafter();
        using DraftCache cache = drafter.CreateCache(null!, 512);
        var context = new TokenContext(prompt, SamplingParams.Greedy, _demo.Target.Config.VocabularySize, prompt.Length + 40);
        drafter.BeginStep(cache, context);
        drafter.Begin(cache, context);
        drafter.Run(cache, context);
        List<int> best = Guesses(drafter, context, 0);
        Assert.Equal(ParallelDrafter.Guesses, best.Count);
        Assert.Equal(Plain(prompt), best);

        // Rows of the tree, each with masks of its own.
        drafter.Begin(cache, context);
        int slot = drafter.Add(context, [], [best[0]], 0);
        drafter.Add(context, [], [prompt[0]], 0);
        drafter.Add(context, [slot], [best[0], best[1]], 0);
        drafter.Run(cache, context);
        Assert.Equal(Plain([.. prompt, best[0]]), Guesses(drafter, context, 0));
        Assert.Equal(Plain([.. prompt, prompt[0]]), Guesses(drafter, context, 1));
        Assert.Equal(Plain([.. prompt, best[0], best[1]]), Guesses(drafter, context, 2));

        // Of the masks nothing is left when the text has gone on.
        drafter.Accept(cache, [slot]);
        context.Append(best[0]);
        context.Append(prompt[1]);
        drafter.BeginStep(cache, context);
        Assert.Equal(1, drafter.Pending(cache, context));
        drafter.Begin(cache, context);
        drafter.Run(cache, context);
        Assert.Equal(Plain([.. prompt, best[0], prompt[1]]), Guesses(drafter, context, 0));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Text_is_the_same_in_every_mode(bool greedy)
    {
        using var loop = new DecodingLoop(_demo.Target, _draft, _demo.Ngram, new DecodingOptions());
        foreach (int[] prompt in _demo.Prompts().Take(4))
        {
            GenerationRequest request = Request(prompt, greedy ? SamplingParams.Greedy : new SamplingParams { Seed = 8 }, 48);
            int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
            foreach (SpeculationMode mode in Speculating)
            {
                foreach (int? nodes in new int?[] { null, 5, 63 })
                {
                    Assert.Equal(plain, loop.Decode(request with { Speculation = mode, SpeculationNodes = nodes }));
                }
            }
        }
    }

    [Fact]
    public void One_pass_proposes_a_chain()
    {
        using var loop = new DecodingLoop(_demo.Target, _draft, null, new DecodingOptions());
        Sequence sequence = loop.Begin(Request(_demo.Prompts().First(), SamplingParams.Greedy, 16) with
        {
            Speculation = SpeculationMode.Draft,
            DraftPasses = 1,
            SpeculationNodes = 40,
            Branch = 1,
        });
        do
        {
            loop.Step(sequence);
        }
        while (loop.LastStep.DraftPasses == 0);

        Assert.Equal(1, loop.LastStep.DraftPasses);
        Assert.Equal(ParallelDrafter.Guesses, loop.LastStep.Nodes);
        loop.End(sequence);
    }

    public void Dispose()
    {
        _draft.Dispose();
        _kernels.Dispose();
        _files.Dispose();
    }

    private IDraftModel Drafter() => Vocabularies.Drafter(_demo.Target, _draft, new DecodingOptions { Branch = 3, MaxDepth = 12 })!;

    private static List<int> Guesses(IDraftModel drafter, TokenContext context, int answer)
    {
        int[] tokens = new int[3];
        var best = new List<int>();
        for (int ahead = 0; drafter.Candidates(context, answer, ahead, tokens, new float[3]) > 0; ahead++)
        {
            best.Add(tokens[0]);
        }

        return best;
    }

    /// <summary>The likeliest tokens behind a text and behind masks after it, as one plain sequence.</summary>
    private List<int> Plain(int[] text)
    {
        int masks = ParallelDrafter.Guesses - 1;
        var batch = new ForwardBatch(256, 1);
        int[] all = [.. text, .. Enumerable.Repeat(Mask, masks)];
        for (int position = 0; position < all.Length; position++)
        {
            batch.Add(all[position], position);
        }

        batch.FirstLogitsRow = text.Length - 1;
        using KvCache cache = _draft.Transformer.CreateCache(256);
        Tensor logits = _draft.Transformer.Forward(batch, cache);
        var decision = new DecisionBatch(ParallelDrafter.Guesses, 1, 1) { Rows = ParallelDrafter.Guesses, Best = 1 };
        Array.Fill(decision.Given, -1);
        _kernels.Decide(logits, decision);
        return [.. decision.Tokens];
    }
}
