using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public class DraftWindowTests(DemoBundle demo)
{
    /// <summary>Some 700 tokens.</summary>
    private int[] Text => [.. Enumerable.Range(0, 4).SelectMany(_ => demo.Prompts().SelectMany(prompt => prompt)).Take(700)];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_window_as_long_as_the_text_changes_no_step(bool greedy)
    {
        using DecodingLoop whole = Loop(0);
        using DecodingLoop windowed = Loop(400);
        GenerationRequest request = Request(Text[..200], greedy ? SamplingParams.Greedy : new SamplingParams { Seed = 3 }, 190) with
        {
            // A chain has one row a pass: nothing of it depends on the clock.
            Speculation = SpeculationMode.Draft,
            DraftPasses = 3,
            SpeculationNodes = 3,
            Branch = 1,
        };
        Assert.Equal(AcceptLengths(whole, request), AcceptLengths(windowed, request));
    }

    [Theory]
    [InlineData(16)]
    [InlineData(40)]
    [InlineData(200)]
    public void Text_is_the_same_with_any_window_and_behind_any_cached_prefix(int window)
    {
        using DecodingLoop loop = Loop(window);
        foreach (SamplingParams sampling in (SamplingParams[])[SamplingParams.Greedy, new SamplingParams { Seed = 4, TopK = 50 }])
        {
            foreach (int keep in (int[])[300, 299, 250, 120, 60, 20, 3])
            {
                int[] prompt = [.. Text.Take(keep), .. Text.Take(11)];
                using DecodingLoop cold = Loop(0);
                int[] plain = cold.Decode(Request(prompt, sampling, 150) with { Speculation = SpeculationMode.Off });
                foreach (SpeculationMode mode in (SpeculationMode[])[SpeculationMode.Draft, SpeculationMode.Staged, SpeculationMode.Auto])
                {
                    Assert.Equal(plain, loop.Decode(Request(prompt, sampling, 150) with { Speculation = mode }));
                }
            }
        }
    }

    [Fact]
    public void A_long_prompt_is_read_at_its_two_ends_at_the_true_positions()
    {
        const int Window = 32;
        int[] prompt = Text[..300];
        var drafter = new ModelDrafter(demo.Draft.Transformer, 4, 6, new DraftWindow(Window));
        using DraftCache cache = drafter.CreateCache(null!, 512);
        var context = new TokenContext(prompt, SamplingParams.Greedy, demo.Target.Config.VocabularySize, 320);
        Assert.Equal(DraftWindow.Sinks + Window, drafter.Pending(cache, context));
        drafter.BeginStep(cache, context);
        drafter.Begin(cache, context);
        Assert.Equal(DraftWindow.Sinks + Window, drafter.Rows);
        drafter.Run(cache, context);
        int[] tokens = new int[4];
        float[] probabilities = new float[4];
        Assert.Equal(4, drafter.Candidates(context, 0, 0, tokens, probabilities));

        // The same rows written as a tree's: each names all that it reads.
        var batch = new ForwardBatch(64, 64);
        int[] positions = [.. Enumerable.Range(0, DraftWindow.Sinks), .. Enumerable.Range(300 - Window, Window)];
        for (int row = 0; row < positions.Length; row++)
        {
            batch.Add(prompt[positions[row]], positions[row], row, 0, Enumerable.Range(0, row).ToArray());
        }

        batch.FirstLogitsRow = positions.Length - 1;
        using KvCache plain = demo.Draft.Transformer.CreateCache(64);
        Tensor logits = demo.Draft.Transformer.Forward(batch, plain);
        var decision = new DecisionBatch(1, 4, 1) { Rows = 1, Best = 4 };
        decision.Positions[0] = 300;
        decision.Given[0] = -1;
        demo.Draft.Transformer.Kernels.Decide(logits, decision);
        Assert.Equal(decision.Tokens, tokens);
        Assert.Equal(decision.LogProbs.Select(MathF.Exp), probabilities);
    }

    [Fact]
    public void What_the_window_leaves_behind_is_dropped_and_the_rest_is_what_it_was()
    {
        const int Window = 16;
        var drafter = new ModelDrafter(demo.Draft.Transformer, 4, 6, new DraftWindow(Window));
        using DraftCache cache = drafter.CreateCache(null!, 512);
        int[] text = Text;
        var context = new TokenContext(text.AsSpan(0, 10), SamplingParams.Greedy, demo.Target.Config.VocabularySize, 512);
        int dropped = 0;
        while (context.Length < 300)
        {
            drafter.BeginStep(cache, context);
            Assert.Equal(context.Length == 10 ? 10 : 1, drafter.Pending(cache, context));
            drafter.Begin(cache, context);
            drafter.Run(cache, context);
            int held = context.Length - cache.Dropped;
            Assert.InRange(held, Math.Min(context.Length, DraftWindow.Sinks + Window), DraftWindow.Sinks + Window + DraftWindow.Slack + 1);
            Assert.True(cache.Dropped >= dropped);
            dropped = cache.Dropped;
            context.Append(text[context.Length]);
        }

        Assert.True(dropped > 150);
    }

    [Fact]
    public void Its_memory_does_not_grow_with_the_context()
    {
        var windowed = new ModelDrafter(demo.Draft.Transformer, 4, 6, new DraftWindow(64));
        var whole = new ModelDrafter(demo.Draft.Transformer, 4, 6);
        using DraftCache small = windowed.CreateCache(null!, 1024);
        using DraftCache large = whole.CreateCache(null!, 1024);
        Assert.Equal(small.BytesFor(900), small.BytesFor(100_000));
        Assert.True(small.BytesFor(1024) < large.BytesFor(1024));
        Assert.True(small.Own!.Tokens <= DraftWindow.Sinks + 64 + DraftWindow.Slack + windowed.MaxPending);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_draft_of_another_vocabulary_can_have_a_window_too(bool greedy)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        using OtherVocabulary files = OtherVocabulary.Lacking("draft", 25);
        using LanguageModel draft = files.Load(kernels);
        using var loop = new DecodingLoop(demo.Target, draft, null, new DecodingOptions { DraftWindow = 24 });
        SamplingParams sampling = greedy ? SamplingParams.Greedy : new SamplingParams { Seed = 5 };
        foreach (int keep in (int[])[300, 200, 60, 9])
        {
            GenerationRequest request = Request([.. Text.Take(keep), 7, 8], sampling, 120);
            int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
            Assert.Equal(plain, loop.Decode(request with { Speculation = SpeculationMode.Draft }));
        }
    }

    [Fact]
    public void Drafters_that_need_the_whole_text_refuse_a_window()
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        using LanguageModel hybrid = ModelLoader.Load(MtpFixture.Folder, kernels, new LoadOptions(Head: true));
        using LanguageModel copy =
            ModelLoader.Load(demo.Target.Path, demo.Target.Transformer.Kernels, new LoadOptions { CopyOf = demo.Target.Transformer });
        foreach ((LanguageModel target, LanguageModel? draft, string why) in new[]
        {
            (hybrid, null, "A draft head reads the model's states one after the other"),
            (hybrid, hybrid, "A draft whose layers are recurrent remembers what it read as a whole"),
            (demo.Target, copy, "The target's own copy reads the target's keys and values, all of them"),
        })
        {
            var refusal = Assert.Throws<ModelLoadException>(
                () => Vocabularies.Drafter(target, draft, new DecodingOptions { DraftWindow = 32 }));
            Assert.Equal($"{why}: it has no window (--draft-window 0).", refusal.Message);
            Assert.NotNull(Vocabularies.Drafter(target, draft, new DecodingOptions()));
        }
    }

    [Fact]
    public void A_step_in_steady_state_allocates_nothing()
    {
        using DecodingLoop loop = Loop(32);
        GenerationRequest request = Request(Text[..150], SamplingParams.Greedy, 600) with { Speculation = SpeculationMode.Draft };
        Assert.Equal(0, loop.Allocated(request));
    }

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

    private DecodingLoop Loop(int window) => new(demo.Target, demo.Draft, null, new DecodingOptions
    {
        Calibration = TimeSpan.FromMilliseconds(20),
        DraftWindow = window,
    });
}
