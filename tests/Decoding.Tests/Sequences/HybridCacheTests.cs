using System.Text.Json;
using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Sequences;

/// <summary>
/// Recurrent layers cannot forget a token: what a sequence leaves behind for later ones must be what they would have computed, and as much
/// of it as can be.
/// </summary>
[Collection(DemoGroup.Name)]
public sealed class HybridCacheTests : IDisposable
{
    private const string Golden = "families/qwen35/golden.json";
    private const int Nodes = 16;

    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);
    private readonly Lazy<LanguageModel> _model;
    private readonly Lazy<int[]> _prompt;

    public HybridCacheTests()
    {
        _model = new(() => ModelLoader.Load(SharedData.PathOf("families/qwen35"), _kernels, new LoadOptions()));
        _prompt = new(() =>
        {
            using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(SharedData.PathOf(Golden)));
            int[] prompt = [.. golden.RootElement.GetProperty("prompt").EnumerateArray().Select(item => item.GetInt32())];
            // Short ones are not worth a copy.
            return [.. prompt, .. prompt.Reverse(), .. prompt.Order()];
        });
    }

    [SharedDataFact(Golden)]
    public void A_regenerated_answer_begins_where_the_prompt_ended()
    {
        using DecodingLoop loop = Loop(out _);
        int[] first = loop.Decode(Request(Prompt, new SamplingParams { Seed = 1 }));
        Sequence again = loop.Run(Request(Prompt, new SamplingParams { Seed = 1 }));
        Assert.Equal(first, again.GeneratedIds.ToArray());
        Assert.Equal(Prompt.Length - 1, again.CachedTokens);
        Sequence other = loop.Run(Request(Prompt, new SamplingParams { Seed = 2 }));
        Assert.Equal(Prompt.Length - 1, other.CachedTokens);
        Assert.Equal(Alone(Request(Prompt, new SamplingParams { Seed = 2 })), other.GeneratedIds.ToArray());
    }

    /// <summary>Wherever the answer ends, accepted rows are left that nobody has applied, and some that are no text any more.</summary>
    [SharedDataFact(Golden)]
    public void A_turn_continued_behind_an_answer_that_ended_in_mid_path_takes_up_all_of_it()
    {
        int[] answer = Alone(Request(Prompt, SamplingParams.Greedy, 40));
        for (int length = 1; length < 20; length++)
        {
            using DecodingLoop loop = Loop(out OracleDrafter oracle);
            oracle.Reveal([.. Prompt, .. answer]);
            Sequence first = loop.Run(Request(Prompt, SamplingParams.Greedy, length) with
            {
                Speculation = SpeculationMode.Draft,
                SpeculationNodes = Nodes,
                DraftPasses = 6,
            });
            Assert.Equal(answer[..length], first.GeneratedIds.ToArray());
            AssertContinues(loop, [.. Prompt, .. answer[..length], 9, 8, 7], Prompt.Length + length - 1);
        }
    }

    [SharedDataFact(Golden)]
    public void So_does_one_behind_a_stop_string_in_mid_path()
    {
        int[] answer = Alone(Request(Prompt, SamplingParams.Greedy, 40));
        for (int end = 2; end < 16; end++)
        {
            using DecodingLoop loop = Loop(out OracleDrafter oracle);
            oracle.Reveal([.. Prompt, .. answer]);
            string stop = Model.Tokenizer.Decode(answer.AsSpan(end, 1));
            if (stop.Length == 0)
            {
                continue;
            }

            GenerationRequest request = Request(Prompt, SamplingParams.Greedy, 40) with { Stop = [stop] };
            int[] expected = Alone(request);
            Sequence first = loop.Run(request with { Speculation = SpeculationMode.Draft, SpeculationNodes = Nodes, DraftPasses = 6 });
            Assert.Equal(expected, first.GeneratedIds.ToArray());
            AssertContinues(loop, [.. Prompt, .. expected, 9, 8, 7], Prompt.Length + expected.Length - 1);
        }
    }

    [SharedDataFact(Golden)]
    public void An_entry_that_goes_on_otherwise_is_taken_up_at_the_last_place_that_was_remembered()
    {
        (int, int, int)[] cases = [(90, 0, 0), (90, 80, 80), (80, 80, 80), (79, 80, 0), (119, 80, 119)];
        foreach ((int shared, int turn, int cached) in cases)
        {
            using DecodingLoop loop = Loop(out _);
            loop.Run(Request(Prompt, SamplingParams.Greedy) with { PartingPoints = [turn] });
            AssertContinues(loop, [.. Prompt[..shared], 5, 6, 7, 8], cached);
            // Whoever took a copy, or the entry itself, left the other one whole.
            AssertContinues(loop, [.. Prompt[..shared], 5, 6, 9], cached);
        }
    }

    [SharedDataFact(Golden)]
    public void A_prompt_that_was_given_up_while_it_was_prefilled_leaves_what_it_had()
    {
        using DecodingLoop loop = Loop(out _);
        Sequence given = loop.Begin(Request(Prompt, SamplingParams.Greedy) with { PartingPoints = [57] });
        loop.Step(given);
        Assert.Equal(57, given.PrefilledTokens);
        loop.End(given);
        AssertContinues(loop, Prompt, 57);
        AssertContinues(loop, [.. Prompt[..57], 4, 4, 4], 57);
    }

    /// <summary>A chunk's first rows are convolved with the last rows of the one before it.</summary>
    [SharedDataFact(Golden)]
    public void Chunks_may_end_inside_the_reach_of_the_convolution()
    {
        int[] expected = Alone(Request(Prompt, SamplingParams.Greedy));
        for (int turn = 33; turn < 42; turn++)
        {
            using DecodingLoop loop = Loop(out _);
            Assert.Equal(expected, loop.Decode(Request(Prompt, SamplingParams.Greedy) with { PartingPoints = [turn] }));
            AssertContinues(loop, [.. Prompt[..turn], 3, 2, 1], turn);
        }
    }

    [SharedDataFact(Golden)]
    public void Tight_memory_and_many_turns_change_no_text()
    {
        var random = new Random(3);
        foreach (long budget in (long[])[0, 1, 1 << 22, 1 << 30])
        {
            using DecodingLoop loop = Loop(out OracleDrafter oracle, budget);
            int[] text = Prompt;
            for (int turn = 0; turn < 9; turn++)
            {
                GenerationRequest request = Request(text, new SamplingParams { Seed = (ulong)turn }, random.Next(1, 9)) with
                {
                    PartingPoints = [random.Next(0, text.Length), random.Next(0, text.Length)],
                    Speculation = Speculating[random.Next(Speculating.Length)],
                };
                int[] answer = Alone(request);
                oracle.Reveal([.. text, .. answer]);
                Assert.Equal(answer, loop.Decode(request));
                text = random.Next(3) == 0 ? [.. Prompt[..random.Next(5, 120)], 7] : [.. text, .. answer, 11, 12];
            }
        }
    }

    public void Dispose()
    {
        if (_model.IsValueCreated)
        {
            _model.Value.Transformer.Dispose();
        }

        _kernels.Dispose();
    }

    private LanguageModel Model => _model.Value;

    private int[] Prompt => _prompt.Value;

    private void AssertContinues(DecodingLoop loop, int[] prompt, int cached)
    {
        GenerationRequest request = Request(prompt, SamplingParams.Greedy, 12);
        Sequence sequence = loop.Run(request with { Speculation = SpeculationMode.Auto });
        Assert.Equal(Alone(request), sequence.GeneratedIds.ToArray());
        Assert.Equal(cached, sequence.CachedTokens);
    }

    /// <summary>The answer of a loop that knows nothing yet, one by one.</summary>
    private int[] Alone(GenerationRequest request)
    {
        using DecodingLoop loop = Loop(out _);
        return loop.Decode(request with { Speculation = SpeculationMode.Off });
    }

    private DecodingLoop Loop(out OracleDrafter oracle, long budget = 1 << 28)
    {
        oracle = new OracleDrafter(Model.Transformer, 3, 12, [60, 85]);
        return new DecodingLoop(
            Model.Transformer, Model.Tokenizer, oracle, null, new DecodingOptions
            {
                MaxDepth = 12,
                PrefixCacheBytes = budget,
                Calibration = TimeSpan.Zero,
            });
    }
}
