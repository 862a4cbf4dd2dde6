using System.Diagnostics;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>Which stages may propose in a step, and what bounds the tree.</summary>
/// <param name="Auto">Nothing is drafted unless it is expected to pay.</param>
/// <param name="FixedNodes">Above 0: grow exactly so many nodes, whatever they cost.</param>
/// <param name="FixedRounds">Above 0: run exactly so many draft rounds, whatever they cost.</param>
/// <param name="MaxDepth">Deepest node worth having: the context and max_tokens end there.</param>
/// <param name="TokensLeft">Tokens that the sequence may still commit: what a draft's prefill is spread over.</param>
/// <param name="Forced">The only text that a constraint leaves may be proposed.</param>
public readonly record struct GrowthLimits(bool Ngram, bool Draft, bool Auto, int FixedNodes, int FixedRounds, int MaxDepth, int TokensLeft, bool Forced = true);

/// <summary>
/// Grows the tree of a step. Each round picks rows best first, by the estimated probability that the target passes through them: nodes whose children are
/// not known yet, and n-gram guesses of what the draft will say under them. One draft forward answers all of them; a guess that is
/// among its parent's children is expanded at once, so one pass may give several levels; one that is not stays if it is likely enough all the same. Rounds go on while they are expected to
/// gain more tokens than their seconds are worth.
/// </summary>
public sealed partial class DraftStages
{
    private const int MaxPool = 256;
    private const float Negligible = 2e-3f;

    private readonly TreePlanner _planner;
    private readonly SpeculationGovernor _governor;
    private readonly SpeculationGovernor _ngramGovernor;
    private readonly LookupBudget _lookups = new();
    private readonly TextProposals _texts;
    private readonly ModelDrafter? _draft;

    // Rows of the round in hand, and of those waiting in the pool. A guess has no node until the draft confirms it.
    private readonly Row[] _rows = new Row[ModelDrafter.MaxRows + 1];
    private readonly Row[] _pool = new Row[MaxPool];
    private readonly int[] _slots;
    private readonly int[] _path;
    private readonly int[] _tokens;
    private readonly float[] _raw;
    private readonly float[] _conditional;
    private readonly Guess[] _guesses = new Guess[MaxPool];
    private int _rowCount;
    private int _poolCount;
    private int _guessCount;
    private double _lookupSeconds;

    // What a row of a draft round costs beside the pass: look-ups, mostly. It matters where a pass takes microseconds.
    private double _rowSeconds;

    // What it costs to look up the children of one node.
    private double _expansionSeconds;

    /// <param name="governor">Watches the rounds of the draft model.</param>
    /// <param name="ngramGovernor">Watches what the n-gram proposes to the target itself.</param>
    public DraftStages(
        TreePlanner planner, SpeculationGovernor governor, SpeculationGovernor ngramGovernor, NgramDrafter ngram, ModelDrafter? draft, int maxDepth)
    {
        _planner = planner;
        _governor = governor;
        _ngramGovernor = ngramGovernor;
        _texts = new TextProposals(planner.Acceptance, ngram);
        _draft = draft;
        _slots = new int[(ModelDrafter.MaxRows + 1) * (maxDepth + 1)];
        _path = new int[maxDepth + 1];
        MaxDepth = maxDepth;
        int branch = Math.Max(draft?.Branch ?? 0, 8);
        _tokens = new int[branch];
        _raw = new float[branch];
        _conditional = new float[branch];
    }

    public int MaxDepth { get; }

    /// <summary>Draft passes of the last <see cref="Grow"/>.</summary>
    public int DraftPasses { get; private set; }

    /// <summary>Seconds in draft passes of the last <see cref="Grow"/>.</summary>
    public double DraftSeconds { get; private set; }

    /// <summary>The last <see cref="Grow"/> only let the draft catch up: an investment, not a proposal.</summary>
    public bool CaughtUp { get; private set; }

    public void Grow(TokenTree tree, TokenContext context, DraftCache? cache, in GrowthLimits limits)
    {
        tree.Reset(context.Last, context.State);
        _texts.Follow(context);
        bool guided = _texts.Guided(context) && limits.MaxDepth > 0 && limits.Forced;
        _guessCount = 0;
        _lookupSeconds = -1;
        DraftPasses = 0;
        DraftSeconds = 0;
        CaughtUp = false;
        if (limits.Draft && cache is not null && limits.MaxDepth > 0 && !(limits.Auto && _governor.Resting))
        {
            _draft!.BeginStep(context);
            GrowByDraft(tree, context, cache, limits);
        }

        if (DraftPasses == 0)
        {
            bool lookUp = limits.Ngram && (!limits.Auto || _lookups.Due());
            bool resting = limits.Auto && _ngramGovernor.Resting;
            if (guided)
            {
                _ = GrowByText(tree, context, limits, lookUp && !resting);
            }
            else if (lookUp)
            {
                long start = Stopwatch.GetTimestamp();
                int expansions = resting || limits.MaxDepth == 0 ? ScoreGuesses(tree, context) : GrowByText(tree, context, limits, lookUp);
                _lookupSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                _expansionSeconds = Average(_expansionSeconds, _lookupSeconds / expansions);
            }
        }

        tree.Sort();
    }

    public void BeginSequence() => _lookups.BeginSequence();

    /// <summary>Forgets what was measured of rows and look-ups.</summary>
    public void ForgetTimes()
    {
        _rowSeconds = _expansionSeconds = 0;
        _lookups.Clear();
    }

    /// <summary>Tells how many tokens the chosen nodes of the grown tree are expected to gain.</summary>
    public void Book(TokenContext context, double gain)
    {
        if (_lookupSeconds >= 0)
        {
            _lookups.Book(_lookupSeconds, gain, _planner.Price(context.Length));
        }
    }

    /// <summary>
    /// Teaches the acceptance model: what the target decided under <paramref name="node"/>, which its path passed through.
    /// </summary>
    public void Learn(TokenTree tree, TokenContext context, int node, int decided)
    {
        for (int child = tree.FirstChild(node); child >= 0; child = tree.NextSibling(child))
        {
            _planner.Acceptance.Observe(tree.Judge(child), context.Greedy, tree.Rank(child), tree.Raw(child), tree.Token(child) == decided);
        }

        foreach (ref readonly Guess guess in _guesses.AsSpan(0, _guessCount))
        {
            if (guess.Node == node)
            {
                _planner.Acceptance.Observe(guess.Stage, context.Greedy, guess.Rank, guess.Raw, guess.Token == decided);
            }
        }
    }

    /// <summary>A running average that a single stall of the machine moves little.</summary>
    private static double Average(double average, double seconds) =>
        average == 0 ? seconds : average + (0.1 * (Math.Min(seconds, 4 * average) - average));

    /// <summary>
    /// Without a draft (or while it does not pay) what the text itself suggests is proposed to the target. Returns how many nodes were looked up.
    /// </summary>
    private int GrowByText(TokenTree tree, TokenContext context, in GrowthLimits limits, bool lookUp)
    {
        int most = limits.FixedNodes > 0 ? limits.FixedNodes : 24;
        double rowPrice = limits.FixedNodes > 0 ? 0 : _planner.RowPrice(0, context.Length);
        double least = limits.FixedNodes > 0 ? Negligible : rowPrice + (_planner.Price(context.Length) * _expansionSeconds);
        int node = 0;
        int expansions = 0;
        for (; expansions < most && node >= 0; expansions++)
        {
            tree.MarkExpanded(node);
            Attach(tree, node, _texts.Best(context, tree.PathTokens(node, _path), tree.State(node), limits.Ngram, lookUp));
            node = -1;
            double best = Math.Max(Negligible, least);
            for (int candidate = 1; candidate < tree.Count; candidate++)
            {
                // What follows a likely guess is taken to be as likely as the guess itself was: so it is within a repetition.
                float next = tree.A(candidate) * tree.A(candidate) / tree.A(tree.Parent(candidate));
                if (!tree.Expanded(candidate) && tree.Depth(candidate) < limits.MaxDepth && next > best)
                {
                    best = next;
                    node = candidate;
                }
            }
        }

        return expansions;
    }

    /// <summary>Guesses are scored against what the target decides, so that the estimates stay true; they are not verified.</summary>
    private int ScoreGuesses(TokenTree tree, TokenContext context)
    {
        tree.MarkExpanded(0);
        foreach (ref readonly Proposal proposal in _texts.Best(context, [], context.State, stageOne: true, lookUp: true))
        {
            _guesses[_guessCount++] = new Guess(-1, 0, proposal.Token, proposal.Rank, proposal.Raw, proposal.Stage);
        }

        return 1;
    }

    /// <summary>Adds what the text suggests; siblings are normalised to at most 1, and what is certain is above that.</summary>
    private static void Attach(TokenTree tree, int node, ReadOnlySpan<Proposal> proposals)
    {
        float sum = 0;
        foreach (ref readonly Proposal proposal in proposals)
        {
            sum += proposal.Conditional;
        }

        float scale = sum > 1 ? 1 / sum : 1;
        foreach (ref readonly Proposal proposal in proposals)
        {
            int child = tree.Add(node, proposal.Token, proposal.Stage, proposal.Rank, proposal.Raw, proposal.Conditional * scale);
            if (child >= 0)
            {
                tree.SetState(child, proposal.State);
            }
        }
    }
}
