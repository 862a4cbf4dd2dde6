using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tests.Planning.Simulation;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;

namespace Understory.Decoding.Tests.Drafters;

/// <summary>Rounds on a drafter and a clock that do as they are told.</summary>
public class DraftRoundTests
{
    private const int Depth = 8;

    private readonly ScriptedClock _clock = new();
    private readonly TokenTree _tree = new(384);
    private readonly TokenContext _context = new([7, 8, 9], SamplingParams.Greedy, 5000, 40);

    [Fact]
    public void A_draft_that_costs_nothing_is_asked_until_the_depth_is_reached_and_its_seconds_are_told()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.9f);
        var limits = new GrowthLimits(Ngram: false, Draft: true, Auto: true, 0, 0, Depth, 30);
        GrowthReport report = Grow(drafter, [], limits, perRow: 0);
        Assert.Equal(Depth, report.DraftPasses);
        Assert.Equal(Depth * 1e-6, report.DraftSeconds, 12);
        Assert.Equal(Depth, Enumerable.Range(0, _tree.Count).Max(_tree.Depth));
    }

    [Fact]
    public void A_draft_that_costs_more_than_a_sure_token_earns_is_not_asked()
    {
        var drafter = new Script(_clock, seconds: 0.02, sure: 0.9f);
        var limits = new GrowthLimits(Ngram: false, Draft: true, Auto: true, 0, 0, Depth, 30);
        GrowthReport report = Grow(drafter, [], limits, perRow: 0, draftSeconds: 0.02);
        Assert.Equal(0, report.DraftPasses);
        Assert.Equal(0, drafter.Passes);
        Assert.Equal(1, _tree.Count);
    }

    [Fact]
    public void Where_the_text_suggests_as_much_as_a_draft_would_the_draft_is_not_asked()
    {
        var drafter = new Script(_clock, seconds: 0.002, sure: 0.9f);
        var limits = new GrowthLimits(Ngram: true, Draft: true, Auto: true, 0, 0, Depth, 30);
        Grow(drafter, [new Knowing(0.97f)], limits, perRow: 0, draftSeconds: 0.002);
        Assert.Equal(0, drafter.Passes);
        Assert.Equal(Depth, Enumerable.Range(0, _tree.Count).Max(_tree.Depth));
        Assert.Same(Stage.Ngram, _tree.Stage(1));
        Grow(drafter, [new Knowing(0.05f)], limits, perRow: 0, draftSeconds: 0.002);
        Assert.True(drafter.Passes > 0);
        Assert.Same(Stage.Draft, _tree.Judge(1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Fixed_rounds_run_whatever_they_cost(int rounds)
    {
        var drafter = new Script(_clock, seconds: 0.02, sure: 0.9f);
        var limits = new GrowthLimits(Ngram: false, Draft: true, Auto: false, 0, rounds, Depth, 30);
        GrowthReport report = Grow(drafter, [], limits, perRow: 1, draftSeconds: 0.02);
        Assert.Equal(rounds, report.DraftPasses);
    }

    [Fact]
    public void With_one_candidate_a_node_the_tree_is_a_chain()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.6f);
        Grow(drafter, [], new GrowthLimits(Ngram: false, Draft: true, Auto: false, 0, 0, Depth, 30, Branch: 1), perRow: 0);
        Assert.True(_tree.Count > 4);
        Assert.All(Enumerable.Range(1, _tree.Count - 1), node => Assert.Equal(node - 1, _tree.Parent(node)));
    }

    [Fact]
    public void A_guess_that_the_draft_confirms_is_expanded_in_the_same_pass()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.9f);
        var limits = new GrowthLimits(Ngram: true, Draft: true, Auto: false, 0, FixedRounds: 1, Depth, 30);
        Grow(drafter, [new Said(Script.Token(3), 0.8f)], limits, perRow: 0);
        Assert.Equal(1, drafter.Passes);
        int confirmed = _tree.FindChild(0, Script.Token(3));
        Assert.Same(Stage.Ngram, _tree.Stage(confirmed));
        Assert.Same(Stage.Draft, _tree.Judge(confirmed));
        Assert.True(_tree.Expanded(confirmed));
        Assert.True(_tree.FindChild(confirmed, Script.Token(4)) > 0);
    }

    [Fact]
    public void A_guess_that_the_draft_does_not_confirm_is_judged_as_disputed()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.9f);
        var limits = new GrowthLimits(Ngram: true, Draft: true, Auto: false, 0, FixedRounds: 1, Depth, 30);
        Grow(drafter, [new Said(4321, 0.8f)], limits, perRow: 0);
        int disputed = _tree.FindChild(0, 4321);
        Assert.Same(Stage.Ngram, _tree.Stage(disputed));
        Assert.Same(Stage.Ngram.Disputed, _tree.Judge(disputed));
        Assert.True(_tree.A(disputed) < 0.3f);
    }

    [Fact]
    public void Under_a_draft_whose_rows_wait_for_those_above_guesses_are_nodes_and_go_on_behind_its_leaves()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.9f, takesGuesses: false);
        var limits = new GrowthLimits(Ngram: true, Draft: true, Auto: false, 0, FixedRounds: 2, Depth, 30);
        GrowthReport report = Grow(drafter, [new Said(4321, 0.8f), new Copies(0.9f)], limits, perRow: 0);
        Assert.Equal(2, report.DraftPasses);
        Assert.Equal(1, drafter.Deepest);
        int disputed = _tree.FindChild(0, 4321);
        Assert.Same(Stage.Ngram.Disputed, _tree.Judge(disputed));
        int node = 0;
        for (int position = 3; position < 3 + 4; position++)
        {
            node = _tree.FindChild(node, Script.Token(position));
            Assert.True(node > 0);
        }

        Assert.Same(Stage.Ngram, _tree.Judge(node));
    }

    [Fact]
    public void What_a_parallel_drafter_says_of_later_tokens_goes_under_its_first_candidate_without_another_pass()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.9f, ahead: 2);
        var limits = new GrowthLimits(Ngram: false, Draft: true, Auto: false, 0, FixedRounds: 1, Depth, 30);
        GrowthReport report = Grow(drafter, [], limits, perRow: 0);
        Assert.Equal(1, report.DraftPasses);
        int node = 0;
        for (int position = 3; position < 6; position++)
        {
            node = _tree.FindChild(node, Script.Token(position));
            Assert.True(node > 0);
        }
    }

    [Fact]
    public void What_a_candidate_drags_behind_it_goes_under_it_and_the_last_of_it_can_be_expanded()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.9f) { Dragged = [41, 42] };
        var limits = new GrowthLimits(Ngram: false, Draft: true, Auto: false, 0, FixedRounds: 2, Depth, 30);
        Grow(drafter, [], limits, perRow: 0);
        int first = _tree.FindChild(0, Script.Token(3));
        int second = _tree.FindChild(first, 41);
        int third = _tree.FindChild(second, 42);
        Assert.True(third > 0);
        Assert.True(_tree.Expanded(first) && _tree.Expanded(second));
        // The draft never said what follows the first of them alone.
        Assert.Equal(-1, _tree.FindChild(first, Script.Token(4)));
        Assert.True(_tree.FindChild(third, Script.Token(6)) > 0);
    }

    [Fact]
    public void A_parallel_drafter_earns_by_all_of_its_tokens_and_pays_for_all_of_its_rows()
    {
        double Net(int ahead, double perRow, out double price)
        {
            var ledger = new Ledger(new CostModel(), new CostModel(1e-3), new AcceptanceModel());
            foreach (int rows in (int[])[1, 2, 3, 4, 5, 8])
            {
                ledger.Target.Calibrate(rows, 0.01);
                ledger.Draft!.Calibrate(rows, 1e-3 * (1 + (perRow * (rows - 1))));
            }

            var drafter = new Script(_clock, seconds: 1e-3, sure: 0.9f, ahead);
            var frontier = new Frontier(drafter.MaxRows + 1, Depth);
            var round = new DraftRound(ledger, new Proposals(ledger.Acceptance, []), frontier, drafter, 63);
            _tree.Reset(_context.Last);
            var limits = new GrowthLimits(Ngram: false, Draft: true, Auto: false, 0, FixedRounds: 1, Depth, 30);
            Assert.True(round.Select(_tree, _context, limits, 0));
            price = ledger.RoundPrice(1 + ahead, _context.Length);
            return round.Net;
        }

        double one = Net(0, perRow: 0, out double _);
        double four = Net(3, perRow: 0, out double flat);
        double dear = Net(3, perRow: 0.5, out double steep);
        Assert.True(four > 1.5 * one, $"{four:F3} tokens of four, {one:F3} of one");
        Assert.True(steep > flat);
        Assert.Equal(four - dear, steep - flat, 6);
    }

    [Fact]
    public void A_long_prompt_is_caught_up_chunk_by_chunk_and_proposes_nothing_meanwhile()
    {
        var drafter = new Script(_clock, seconds: 1e-6, sure: 0.9f, maxPending: 2);
        var limits = new GrowthLimits(Ngram: false, Draft: true, Auto: false, 0, 0, Depth, 30);
        GrowthReport report = Grow(drafter, [], limits, perRow: 0);
        Assert.True(report.CaughtUp);
        Assert.Equal(1, report.DraftPasses);
        Assert.Equal(1, _tree.Count);
    }

    private GrowthReport Grow(Script drafter, IProposalSource[] sources, GrowthLimits limits, double perRow, double draftSeconds = 1e-6)
    {
        var ledger = new Ledger(new CostModel(), new CostModel(draftSeconds), new AcceptanceModel());
        foreach (int rows in (int[])[1, 2, 4, 8, 16, 32])
        {
            ledger.Target.Calibrate(rows, 0.01 * (1 + (perRow * (rows - 1))));
            ledger.Draft!.Calibrate(rows, draftSeconds);
        }

        return new TreeGrower(ledger, sources, drafter, Depth, 63, _clock).Grow(_tree, _context, new DraftCache(null), limits);
    }

    /// <summary>Says the right token everywhere, and how sure it is.</summary>
    private sealed class Knowing(float raw) : IProposalSource
    {
        public Reach Reach => Reach.LookedUp;

        public void Propose(in Place place, Proposals proposals) =>
            proposals.Add(Script.Token(place.Context.Length + place.Path.Length), Stage.Ngram, 0, raw);
    }

    /// <summary>Says one token of the root.</summary>
    private sealed class Said(int token, float raw) : IProposalSource
    {
        public Reach Reach => Reach.LookedUp;

        public void Propose(in Place place, Proposals proposals)
        {
            if (place.Path.IsEmpty)
            {
                proposals.Add(token, Stage.Ngram, 0, raw);
            }
        }
    }

    /// <summary>Says the right token of every place but the root.</summary>
    private sealed class Copies(float raw) : IProposalSource
    {
        public Reach Reach => Reach.LookedUp;

        public void Propose(in Place place, Proposals proposals)
        {
            if (!place.Path.IsEmpty)
            {
                proposals.Add(Script.Token(place.Context.Length + place.Path.Length), Stage.Ngram, 0, raw);
            }
        }
    }

    /// <summary>Says <see cref="Token"/> of every position, and one other.</summary>
    private sealed class Script(
        ScriptedClock clock, double seconds, float sure, int ahead = 0, int maxPending = 64, bool takesGuesses = true) : IDraftModel
    {
        private readonly List<int> _depths = [];

        public Stage Stage => Stage.Draft;

        public int Branch => 2;

        public int MaxRows => 16;

        public int MaxPending => maxPending;

        public int ContextLength => 100;

        public bool WantsStates => false;

        public bool TakesGuesses => takesGuesses;

        public int Rows => _depths.Count;

        public double Seconds => seconds;

        public int Passes { get; private set; }

        public int Ahead => 1 + ahead;

        /// <summary>Behind the first candidate of the root.</summary>
        public int[] Dragged { get; init; } = [];

        /// <summary>The longest path of a row.</summary>
        public int Deepest { get; private set; }

        public static int Token(int position) => 1000 + position;

        public DraftCache CreateCache(KvCache target, int context) => new(null);

        public void BeginStep(DraftCache cache, TokenContext context)
        {
        }

        public int SlotsLeft(TokenContext context) => 100;

        public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state)
        {
        }

        public void CatchUp(DraftCache cache, TokenContext context) => cache.Committed += maxPending;

        public void Begin(DraftCache cache, TokenContext context)
        {
            _depths.Clear();
            if (cache.Committed < context.Length)
            {
                _depths.Add(0);
            }
        }

        public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
        {
            Assert.Equal(tokens.Length - 1, slots.Length);
            Assert.DoesNotContain(-1, slots.ToArray());
            _depths.Add(tokens.Length);
            Deepest = Math.Max(Deepest, tokens.Length);
            return (10 * Passes) + _depths.Count;
        }

        public void Run(DraftCache cache, TokenContext context)
        {
            cache.Committed = context.Length;
            clock.Pass(seconds);
            Passes++;
        }

        public int Candidates(TokenContext context, int answer, int later, Span<int> tokens, Span<float> probabilities)
        {
            if (later > ahead)
            {
                return 0;
            }

            int position = context.Length + _depths[answer] + later;
            (tokens[0], tokens[1]) = (Token(position), 3000 + position);
            (probabilities[0], probabilities[1]) = (sure, (1 - sure) / 2);
            return 2;
        }

        public int Tail(int answer, int rank, Span<int> tokens, out float probability, out int slot)
        {
            bool drags = rank == 0 && _depths[answer] == 0;
            (probability, slot) = (0.9f, 5);
            Dragged.CopyTo(tokens);
            return drags ? Dragged.Length : 0;
        }

        public void Accept(DraftCache cache, ReadOnlySpan<int> slots) => cache.Committed += slots.Length;
    }
}
