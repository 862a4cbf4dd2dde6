using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;

namespace Understory.Decoding.Tests.Drafters;

/// <summary>What a drafter is given that reads the target's states.</summary>
[Collection(DemoGroup.Name)]
public class StateFeedTests(DemoBundle demo)
{
    [Fact]
    public void A_drafter_that_wants_states_gets_every_kept_row_once_in_order_and_the_same_whatever_was_drafted()
    {
        GenerationRequest request = LoopRuns.Request(demo.Prompts().First(), SamplingParams.Greedy, 40);
        var plain = new Reader(demo.Draft.Transformer);
        var drafted = new Reader(demo.Draft.Transformer);
        int[] off = Run(plain, request with { Speculation = SpeculationMode.Ngram, SpeculationNodes = 1 });
        int[] draft = Run(drafted, request with { Speculation = SpeculationMode.Draft, DraftPasses = 3, SpeculationNodes = 12 });

        Assert.Equal(off, draft);
        int kept = request.Prompt.Length + off.Length - 1;
        Assert.Equal(Enumerable.Range(0, kept), plain.Positions);
        Assert.Equal(plain.Positions, drafted.Positions);
        Assert.Equal(plain.States, drafted.States);
        Assert.True(plain.States.Distinct().Count() > kept / 2);
    }

    [Fact]
    public void A_sequence_that_is_never_drafted_for_is_not_read()
    {
        var reader = new Reader(demo.Draft.Transformer);
        Run(reader, LoopRuns.Request(demo.Prompts().First(), SamplingParams.Greedy, 8) with { Speculation = SpeculationMode.Off });
        Assert.Empty(reader.Positions);
    }

    private int[] Run(Reader reader, GenerationRequest request)
    {
        using var loop =
            new DecodingLoop(demo.Target.Transformer, demo.Target.Tokenizer, reader, null, new DecodingOptions { MaxDepth = 12 });
        return loop.Decode(request);
    }

    /// <summary>The demo's draft, which notes what it is fed beside.</summary>
    private sealed class Reader(Transformer transformer) : IDraftModel
    {
        private readonly ModelDrafter _inner = new(transformer, 4, 12);

        public List<int> Positions { get; } = [];

        public List<float> States { get; } = [];

        public Stage Stage => _inner.Stage;

        public int Branch => _inner.Branch;

        public int MaxRows => _inner.MaxRows;

        public int MaxPending => _inner.MaxPending;

        public int ContextLength => _inner.ContextLength;

        public bool WantsStates => true;

        public int Rows => _inner.Rows;

        public double Seconds => _inner.Seconds;

        public DraftCache CreateCache(KvCache target, int context) => _inner.CreateCache(target, context);

        public void BeginStep(DraftCache cache, TokenContext context) => _inner.BeginStep(cache, context);

        public int SlotsLeft(TokenContext context) => _inner.SlotsLeft(context);

        public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state)
        {
            Positions.Add(position);
            float sum = 0;
            foreach (float value in state)
            {
                sum += Math.Abs(value);
            }

            States.Add(sum);
        }

        public void CatchUp(DraftCache cache, TokenContext context) => _inner.CatchUp(cache, context);

        public void Begin(DraftCache cache, TokenContext context) => _inner.Begin(cache, context);

        public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state) =>
            _inner.Add(context, slots, tokens, state);

        public void Run(DraftCache cache, TokenContext context) => _inner.Run(cache, context);

        public int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities) =>
            _inner.Candidates(context, answer, ahead, tokens, probabilities);

        public void Accept(DraftCache cache, ReadOnlySpan<int> slots) => _inner.Accept(cache, slots);
    }
}
