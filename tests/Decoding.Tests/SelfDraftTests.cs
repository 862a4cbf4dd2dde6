using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests;

/// <summary>The target's own weights in four bits, over its keys and values: the text stays the target's.</summary>
[Collection(DemoGroup.Name)]
public class SelfDraftTests(DemoBundle demo)
{
    private const int Depth = 12;

    public static TheoryData<string> Samplings => [.. Cases.Keys];

    /// <summary>Windows, keys shared between layers, caps, experts, and recurrent layers.</summary>
    public static TheoryData<string> Families =>
    [
        "llama3", "mistral-window", "qwen2-window", "gemma2", "gemma3", "gemma4-e", "qwen3-moe", "qwen35", "qwen35-published", "qwen35-moe",
        "qwen3-next", "qwen3/model.gguf",
    ];

    private static Dictionary<string, SamplingParams> Cases { get; } = new()
    {
        ["greedy"] = SamplingParams.Greedy,
        ["T = 1"] = new SamplingParams { Seed = 3 },
        ["T = 0.8, top_k 50, penalties"] = new SamplingParams { Temperature = 0.8f, TopK = 50, FrequencyPenalty = 0.4f, Seed = 4 },
    };

    [Theory]
    [MemberData(nameof(Samplings))]
    public void Every_mode_and_tree_size_gives_the_plain_tokens(string sampling)
    {
        using LanguageModel copy = Copy(demo.Target);
        using var loop = new DecodingLoop(demo.Target, copy, demo.Ngram, Options());
        foreach (int[] prompt in demo.Prompts().Take(4))
        {
            int[] plain = loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = SpeculationMode.Off });
            foreach (SpeculationMode mode in Speculating)
            {
                foreach (int? nodes in new int?[] { null, 1, 5, 16, 63 })
                {
                    int[] tokens = loop.Decode(Request(prompt, Cases[sampling]) with { Speculation = mode, SpeculationNodes = nodes });
                    Assert.True(plain.AsSpan().SequenceEqual(tokens), $"{mode}, {nodes} nodes");
                }
            }
        }
    }

    [Theory]
    [InlineData(CacheType.BF16)]
    [InlineData(CacheType.Q8)]
    public void What_the_draft_leaves_in_the_targets_slots_is_never_read(CacheType type)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        var options = new LoadOptions(CacheType: type);
        using LanguageModel target = ModelLoader.Load(Standin.Target, kernels, options);
        using LanguageModel copy = Copy(target);
        var spoiler = new Spoiler(target.Transformer, copy.Transformer);
        using var loop = new DecodingLoop(target.Transformer, target.Tokenizer, spoiler, null, Options());
        foreach (SamplingParams sampling in Cases.Values)
        {
            foreach (int[] prompt in demo.Prompts().Take(3))
            {
                GenerationRequest request = Request(prompt, sampling);
                int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
                int before = spoiler.Spoiled;
                Sequence sequence = loop.Run(request with { Speculation = SpeculationMode.Draft, DraftPasses = 1, SpeculationNodes = 12 });
                Assert.Equal(plain, sequence.GeneratedIds.ToArray());
                Assert.True(spoiler.Spoiled > before);
                Assert.True(sequence.Statistics.Draft.Accepted > 0);
            }
        }
    }

    [Fact]
    public void Drafting_changes_no_slot_before_the_last_committed_token()
    {
        using LanguageModel copy = Copy(demo.Target);
        var spoiler = new Spoiler(demo.Target.Transformer, copy.Transformer);
        using var loop = new DecodingLoop(demo.Target.Transformer, demo.Target.Tokenizer, spoiler, null, Options());
        // Behind a prompt whose last token is the first, the last, or inside a block of 16 slots.
        foreach (int length in (int[])[1, 2, 16, 17, 32, 41])
        {
            int[] prompt = [.. Enumerable.Range(0, length).Select(i => 5 + (i * 37 % 4000))];
            _ = loop.Run(Request(prompt, SamplingParams.Greedy) with
            {
                Speculation = SpeculationMode.Draft,
                DraftPasses = 3,
                SpeculationNodes = 20,
            });
        }

        Assert.True(spoiler.Compared > 10);
    }

    [Fact]
    public void Most_of_what_it_proposes_first_is_what_the_target_says()
    {
        using LanguageModel copy = Copy(demo.Target);
        using var loop = new DecodingLoop(demo.Target, copy, null, Options());
        int proposed = 0;
        int accepted = 0;
        foreach (int[] prompt in demo.Prompts())
        {
            Sequence sequence = loop.Run(Request(prompt, SamplingParams.Greedy, 64) with
            {
                Speculation = SpeculationMode.Draft,
                DraftPasses = 1,
                SpeculationNodes = 1,
            });
            proposed += sequence.Statistics.Draft.Proposed;
            accepted += sequence.Statistics.Draft.Accepted;
        }

        // Measured: 0.98. A draft that read other keys and values than the target's, or at other positions, would be near 0.
        Assert.InRange((double)accepted / proposed, 0.8, 1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_cached_prefix_does_not_change_the_tokens(bool greedy)
    {
        using LanguageModel copy = Copy(demo.Target);
        using var warm = new DecodingLoop(demo.Target, copy, demo.Ngram, Options());
        using var cold = new DecodingLoop(demo.Target, copy, null, Options() with { PrefixCacheBytes = 0 });
        SamplingParams sampling = greedy ? SamplingParams.Greedy : Cases["T = 1"];
        int[] prompt = [.. demo.Prompts().SelectMany(p => p).Take(300)];
        foreach (int keep in (int[])[300, 299, 150, 40, 16, 5])
        {
            // Prompts that continue, branch off, or stop inside what is cached.
            int[] branched = [.. prompt.Take(keep), .. prompt.Take(25)];
            int[] expected = cold.Decode(Request(branched, sampling) with { Speculation = SpeculationMode.Off });
            foreach (SpeculationMode mode in (SpeculationMode[])[SpeculationMode.Draft, SpeculationMode.Staged])
            {
                Assert.Equal(expected, warm.Decode(Request(branched, sampling) with { Speculation = mode, DraftPasses = 3 }));
            }
        }
    }

    [Fact]
    public void Long_texts_and_the_end_of_the_context_are_reached_alike_without_a_prefill_of_its_own()
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        using LanguageModel target =
            ModelLoader.Load(Standin.Target, kernels, new LoadOptions { Context = 720 });
        using LanguageModel copy = Copy(target);
        using var loop = new DecodingLoop(target, copy, demo.Ngram, Options());
        int[] prompt = [.. Enumerable.Range(0, 600).Select(i => (i * 37 % 4000) + 1)];
        GenerationRequest request = Request(prompt, SamplingParams.Greedy, 1000);
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(120, plain.Length);
        foreach (SpeculationMode mode in Speculating)
        {
            int? nodes = mode == SpeculationMode.Auto ? null : 63;
            Assert.Equal(plain, loop.Decode(request with { Speculation = mode, SpeculationNodes = nodes }));
        }

        // The first step behind a long prompt drafts at once.
        Sequence sequence = loop.Begin(request with { Prompt = [9, .. prompt], Speculation = SpeculationMode.Draft });
        while (sequence.Prefilling)
        {
            loop.Step(sequence);
        }

        loop.Step(sequence);
        loop.End(sequence);
        Assert.True(sequence.Statistics.Draft is { Passes: > 0, Proposed: > 0 });
    }

    [Theory]
    [InlineData(SpeculationMode.Auto)]
    [InlineData(SpeculationMode.Staged)]
    public void A_step_in_steady_state_allocates_nothing(SpeculationMode mode)
    {
        using LanguageModel copy = Copy(demo.Target);
        using var loop = new DecodingLoop(demo.Target, copy, demo.Ngram, Options());
        Assert.Equal(0, loop.Allocated(Request(demo.Prompts().First(), SamplingParams.Greedy, 600) with { Speculation = mode }));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Recurrent_layers_draft_on_a_scratch_of_their_states(bool greedy)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        const string shape = "qwen3_5:256x4:4096:400";
        using Transformer target = ModelLoader.Random(shape, kernels, 3);
        using Transformer copy = ModelLoader.Random(shape, kernels, 3, new LoadOptions { CopyOf = target });
        using var loop = new DecodingLoop(target, demo.Target.Tokenizer, new Spoiler(target, copy), null, Options());
        SamplingParams sampling = greedy ? SamplingParams.Greedy : Cases["T = 1"];
        foreach (int length in (int[])[1, 2, 40, 300])
        {
            int[] prompt = [.. Enumerable.Range(0, length).Select(i => 5 + (i * 37 % 4000))];
            GenerationRequest request = Request(prompt, sampling);
            int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
            foreach (int rounds in (int[])[1, 4])
            {
                foreach (int nodes in (int[])[1, 7, 40])
                {
                    GenerationRequest drafted = request with { Speculation = SpeculationMode.Draft, DraftPasses = rounds };
                    Sequence sequence = loop.Run(drafted with { SpeculationNodes = nodes });
                    Assert.Equal(plain, sequence.GeneratedIds.ToArray());
                    Assert.True(sequence.Statistics.Draft.Accepted > 0);
                }
            }

            // What was generated is a cached prefix now, and a snapshot of it may be gone back to.
            int[] longer = [.. prompt, .. plain.Take(20), 8, 9];
            using var cold = new DecodingLoop(target, demo.Target.Tokenizer, null, null, Options());
            Assert.Equal(
                cold.Decode(Request(longer, sampling) with { Speculation = SpeculationMode.Off }),
                loop.Decode(Request(longer, sampling) with { Speculation = SpeculationMode.Draft, DraftPasses = 2 }));
        }
    }

    [SharedDataTheory("families/gemma4-e/golden.json")]
    [MemberData(nameof(Families))]
    public void Families_of_every_kind_give_the_plain_tokens(string name)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        string path = SharedData.PathOf(Path.Combine("families", name));
        using LanguageModel target = ModelLoader.Load(path, kernels, new LoadOptions());
        using LanguageModel copy = Copy(target);
        var spoiler = new Spoiler(target.Transformer, copy.Transformer);
        using var loop = new DecodingLoop(target.Transformer, target.Tokenizer, spoiler, null, Options());
        int[] prompt = [.. Enumerable.Range(0, 60).Select(i => 3 + (i * 37 % 250))];
        foreach (SamplingParams sampling in (SamplingParams[])[SamplingParams.Greedy, Cases["T = 1"]])
        {
            int[] plain = loop.Decode(Request(prompt, sampling, 40) with { Speculation = SpeculationMode.Off });
            foreach (int nodes in (int[])[1, 6, 30])
            {
                foreach (int rounds in (int[])[1, 3])
                {
                    GenerationRequest request = Request(prompt, sampling, 40) with { SpeculationNodes = nodes, DraftPasses = rounds };
                    Assert.Equal(plain, loop.Decode(request with { Speculation = SpeculationMode.Draft }));
                }
            }
        }
    }

    [Theory]
    [InlineData("Q8_0", null)]
    [InlineData("Q4_K", "--draft self: a copy in 4 bits would read")]
    public void A_model_of_eight_bits_is_copied_and_one_of_four_is_refused(string format, string? refused)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 1);
        var options = new LoadOptions(Weights: Understory.Models.Formats.QuantisedTensors.Formats.Single(known => known.Name == format));
        using Transformer target = ModelLoader.Random("llama:256x2:512", kernels, 1, options);
        if (refused is null)
        {
            using Transformer copy = ModelLoader.Random("llama:256x2:512", kernels, 1, new LoadOptions { CopyOf = target });
            Assert.InRange((double)copy.WeightBytes / target.WeightBytes, 0.5, 0.56);
            return;
        }

        ModelLoadException error = Assert.Throws<ModelLoadException>(
            () => ModelLoader.Random("llama:256x2:512", kernels, 1, new LoadOptions { CopyOf = target }));
        Assert.Contains(refused, error.Message, StringComparison.Ordinal);
        Assert.Contains("another draft than 'self'", error.Message, StringComparison.Ordinal);
    }

    private static LanguageModel Copy(LanguageModel target) =>
        ModelLoader.Load(target.Path, target.Transformer.Kernels, new LoadOptions { CopyOf = target.Transformer });

    private static DecodingOptions Options() => new() { MaxDepth = Depth, Calibration = TimeSpan.FromMilliseconds(30) };

    /// <summary>
    /// A self draft that looks after the target's slots: behind each of its passes it compares those of committed tokens with what they
    /// were, and fills all others, which the target has yet to write, with NaN. So a second round of a step reads NaN, and proposes little.
    /// </summary>
    private sealed class Spoiler(Transformer target, Transformer copy) : IDraftModel, IDisposable
    {
        private readonly SelfDrafter _inner = new(copy, 4, Depth);
        private byte[][] _before = [];

        public int Spoiled { get; private set; }

        public int Compared { get; private set; }

        public Stage Stage => _inner.Stage;

        public int Branch => _inner.Branch;

        public int MaxRows => _inner.MaxRows;

        public int MaxPending => _inner.MaxPending;

        public int ContextLength => _inner.ContextLength;

        public bool WantsStates => false;

        public int Rows => _inner.Rows;

        public double Seconds => _inner.Seconds;

        public DraftCache CreateCache(KvCache cache, int context) => _inner.CreateCache(cache, context);

        public void BeginStep(DraftCache cache, TokenContext context)
        {
            Spoil(cache.Target!, context.Length - 1);
            _before = Bytes(cache.Target!, context.Length);
            _inner.BeginStep(cache, context);
        }

        public int SlotsLeft(TokenContext context) => _inner.SlotsLeft(context);

        public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state) =>
            _inner.Feed(cache, context, position, state);

        public void CatchUp(DraftCache cache, TokenContext context) => Assert.Fail("There is nothing to catch up with.");

        public void Begin(DraftCache cache, TokenContext context) => _inner.Begin(cache, context);

        public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
        {
            int slot = _inner.Add(context, slots, tokens, state);
            Assert.InRange(slot, context.Length, int.MaxValue);
            return slot;
        }

        public void Run(DraftCache cache, TokenContext context)
        {
            _inner.Run(cache, context);
            Spoil(cache.Target!, context.Length - 1);
            byte[][] after = Bytes(cache.Target!, context.Length);
            Assert.True(_before.Zip(after).All(pair => pair.First.AsSpan().SequenceEqual(pair.Second)));
            Compared++;
        }

        public int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities) =>
            _inner.Candidates(context, answer, ahead, tokens, probabilities);

        public void Accept(DraftCache cache, ReadOnlySpan<int> slots) => _inner.Accept(cache, slots);

        public void Dispose() => _inner.Dispose();

        /// <summary>Keys and values of slots <c>from ..</c> become NaN, as far as a draft of these tests can have written.</summary>
        private unsafe void Spoil(KvCache cache, int from)
        {
            const int reach = 128;
            int whole = Math.Min((from + KvLayer.BlockSlots) / KvLayer.BlockSlots * KvLayer.BlockSlots, cache.Slots - KvLayer.BlockSlots);
            int end = Math.Min(whole + reach, cache.Slots);
            foreach (KvLayer layer in cache.Layers)
            {
                // A head's slots stand in blocks of 16 one behind the other: all bits set is NaN in every type.
                int head = layer.Type.Bytes(layer.HeadDim);
                for (int h = 0; h < layer.KvHeads; h++)
                {
                    foreach (nint data in (nint[])[layer.Keys, layer.Values])
                    {
                        nint start = data + (nint)((((long)h * layer.Slots) + whole) * head);
                        new Span<byte>((void*)start, (end - whole) * head).Fill(0xFF);
                    }
                }
            }

            for (int slot = from; slot < whole; slot++)
            {
                target.Kernels.MoveSlots(cache.Layers, [whole], slot);
            }

            Spoiled++;
        }

        /// <summary>What stands in all blocks that hold committed tokens.</summary>
        private static unsafe byte[][] Bytes(KvCache cache, int tokens)
        {
            var bytes = new List<byte[]>();
            int slots = (tokens + KvLayer.BlockSlots - 1) / KvLayer.BlockSlots * KvLayer.BlockSlots;
            foreach (KvLayer layer in cache.Layers)
            {
                int head = layer.Type.Bytes(layer.HeadDim);
                for (int h = 0; h < layer.KvHeads; h++)
                {
                    foreach (nint data in (nint[])[layer.Keys, layer.Values])
                    {
                        bytes.Add(new Span<byte>((void*)(data + (nint)((long)h * layer.Slots * head)), slots * head).ToArray());
                    }
                }
            }

            return [.. bytes];
        }
    }
}
