using System.Diagnostics;
using Understory.Decoding.Constraints.Matching;
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

    private void GrowByDraft(TokenTree tree, TokenContext context, DraftCache cache, in GrowthLimits limits)
    {
        for (int round = 0; ; round++)
        {
            int pending = context.Length - cache.Committed;
            if (round == 0 && limits.Auto && !MayPay(context, pending))
            {
                return;
            }

            long start = Stopwatch.GetTimestamp();
            if (!SelectRows(tree, context, limits, pending, round))
            {
                return;
            }

            if (pending > _draft!.MaxPending)
            {
                // A long prompt is caught up chunk by chunk, one a step, so that no step is long.
                _draft.CatchUp(cache, context);
                CaughtUp = true;
                CountPass();
                return;
            }

            RunRound(tree, context, cache, limits);
            _rowSeconds = Average(_rowSeconds, (Stopwatch.GetElapsedTime(start).TotalSeconds - _draft!.Seconds) / _rowCount);
        }
    }

    /// <summary>
    /// A cheap look before anything is picked: would the root alone earn half of its pass, or is a trial due? (With guesses beside it a round may pay
    /// where the root alone does not.)
    /// </summary>
    private bool MayPay(TokenContext context, int pending)
    {
        double price = _planner.Price(context.Length);
        double rowPrice = _planner.RowPrice(0, context.Length);
        double pass = price * _planner.Draft!.Seconds(1, context.Length);
        return 2 * _planner.ExpansionGain(1, context.Greedy, rowPrice) > pass
            || (PerfectDraftPays(rowPrice, pass) && _governor.ProbeDue(price * _planner.Draft.Seconds(pending, context.Length)));
    }

    /// <summary>Would one sure token earn its row and its draft pass? If not even that, a trial has nothing to find out.</summary>
    private static bool PerfectDraftPays(double rowPrice, double passPrice) => rowPrice + passPrice < 1;

    /// <summary>Picks the rows of a round, best first; false if no round is worth its seconds.</summary>
    private bool SelectRows(TokenTree tree, TokenContext context, in GrowthLimits limits, int pending, int round)
    {
        bool fixedRounds = limits.FixedRounds > 0;
        bool fixedNodes = limits.FixedNodes > 0;
        if ((fixedRounds && round >= limits.FixedRounds) || (fixedNodes && !fixedRounds && tree.Count > limits.FixedNodes))
        {
            return false;
        }

        CostModel cost = _planner.Draft!;
        double price = _planner.Price(context.Length);
        int planned = 0;
        if (round > 0)
        {
            tree.Sort();
            planned = _planner.Choose(tree, context.Length, 0, tree.Count);
        }

        double rowPrice = fixedNodes ? 0 : _planner.RowPrice(planned, context.Length);
        int most = Math.Min(ModelDrafter.MaxRows, _draft!.SlotsLeft(context));
        int guessFrom = _guessCount;
        FillPool(tree, limits.MaxDepth);
        _rowCount = 0;
        double gain = 0;
        double best = 0;
        int bestRows = 0;
        while (_poolCount > 0 && _rowCount < most)
        {
            Row row = TakeBest();
            int rows = _rowCount + 1;
            gain += _planner.ExpansionGain(row.A, context.Greedy, rowPrice);
            double net = gain - (price * (cost.Seconds(rows, context.Length) + (rows * _rowSeconds)));
            bool worth = net > best;
            bool forced = (round == 0 && rows == 1) || (fixedRounds && rows <= 8) || (fixedNodes && rows <= 8);
            _rows[_rowCount++] = row;
            if (worth || forced)
            {
                best = Math.Max(net, best);
                bestRows = rows;
            }
            else if (rows > bestRows + 2)
            {
                // Rows come in falling order of worth, so a few more that do not pay end the search.
                break;
            }

            if ((limits.Ngram || context.Matcher is not null) && bestRows == rows && row.Depth + 1 < limits.MaxDepth)
            {
                AddGuesses(tree, context, _rowCount - 1, limits.Ngram);
            }
        }

        _rowCount = bestRows;
        DropGuesses(guessFrom);
        return bestRows > 0 && (round > 0 || !limits.Auto || Worthwhile(context, limits, best, pending, price, rowPrice));
    }

    /// <summary>
    /// Auto only, before the first round. Catching up with the committed tokens is an investment: it is spread over the tokens to
    /// come. Where drafting is not expected to pay, it is still tried now and then.
    /// </summary>
    private bool Worthwhile(TokenContext context, in GrowthLimits limits, double net, int pending, double price, double rowPrice)
    {
        CostModel cost = _planner.Draft!;
        double catchUp = price * (cost.Seconds(pending + _rowCount - 1, context.Length) - cost.Seconds(_rowCount, context.Length));
        double steps = Math.Min(limits.TokensLeft, 64) / 2.0;
        if (net > 0 && net * steps > catchUp)
        {
            _governor.Pays();
            return true;
        }

        if (!PerfectDraftPays(rowPrice, price * cost.Seconds(1, context.Length)) || !_governor.MayProbe(price * cost.Seconds(pending, context.Length)))
        {
            return false;
        }

        _rowCount = 1;
        DropGuesses(0);
        return true;
    }

    private void RunRound(TokenTree tree, TokenContext context, DraftCache cache, in GrowthLimits limits)
    {
        int stride = MaxDepth + 1;
        int answer = context.Length > cache.Committed ? 1 : 0;
        _draft!.BeginRound(cache, context);
        for (int r = 0; r < _rowCount; r++)
        {
            ref Row row = ref _rows[r];
            Span<int> slots = _slots.AsSpan(r * stride, stride);
            int below = PathSlots(tree, r, slots);
            if (row.Node == 0)
            {
                row.Slot = -1;
                continue;
            }

            row.Slot = _draft.Add(context, slots[..below], RowTokens(tree, r), row.State);
            slots[below] = row.Slot;
        }

        _draft.Run(cache, context);
        _planner.Draft!.Observe(_draft.Rows, context.Length, _draft.Seconds);
        CountPass();
        for (int r = 0; r < _rowCount; r++)
        {
            ref Row row = ref _rows[r];
            int mine = row.Node == 0 ? 0 : answer++;
            if (row.Node < 0)
            {
                row.Node = NodeOfGuess(tree, context, row, _rows[row.ParentRow].Node);
                if (row.Node < 0)
                {
                    continue;
                }

                tree.SetStage(row.Node, row.Stage);
            }

            tree.MarkExpanded(row.Node, row.Slot);
            if (tree.Depth(row.Node) < limits.MaxDepth)
            {
                AttachDrafted(tree, context, row.Node, _draft.Candidates(context, mine, _tokens, _raw));
            }
        }

        ResolveGuesses();
    }

    private void CountPass()
    {
        DraftPasses++;
        DraftSeconds += _draft!.Seconds;
    }

    /// <summary>
    /// The child that a guess turned out to be. One that the draft does not confirm stays in its own right while it is likely enough: the draft has
    /// seen it already, and where a text repeats itself the n-gram knows better. -1: it is dropped.
    /// </summary>
    private int NodeOfGuess(TokenTree tree, TokenContext context, in Row guess, int parent)
    {
        int node = parent < 0 ? -1 : tree.FindChild(parent, guess.Token);
        // Of what a constraint or a prediction says the draft is no judge.
        bool disputable = guess.Stage == Stage.Ngram;
        float known = disputable || parent < 0 ? 0 : tree.A(parent) * guess.Conditional;
        if (node >= 0)
        {
            tree.RaiseA(node, known);
        }

        if (parent < 0 || node >= 0)
        {
            return node;
        }

        Stage judge = disputable ? Stage.Disputed : guess.Stage;
        float conditional = disputable ? _planner.Acceptance.Calibrate(judge, context.Greedy, guess.Rank, guess.Raw) : guess.Conditional;
        if (tree.A(parent) * conditional <= Negligible)
        {
            return -1;
        }

        node = tree.Add(parent, guess.Token, judge, guess.Rank, guess.Raw, conditional);
        if (node >= 0)
        {
            tree.SetState(node, guess.State);
        }

        return node;
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

    /// <summary>Adds calibrated children; siblings are normalised to at most 1.</summary>
    private void AttachDrafted(TokenTree tree, TokenContext context, int node, int count)
    {
        const Stage stage = Stage.Draft;
        float sum = 0;
        for (int rank = 0; rank < count; rank++)
        {
            sum += _conditional[rank] = _planner.Acceptance.Calibrate(stage, context.Greedy, rank, _raw[rank]);
        }

        float scale = sum > 1 ? 1 / sum : 1;
        for (int rank = 0; rank < count; rank++)
        {
            if (rank < 2 || tree.A(node) * _conditional[rank] * scale > Negligible)
            {
                // What ends the answer is no node: nothing comes after it.
                int state = context.StateAfter(tree.State(node), _tokens[rank]);
                int child = state == ConstraintMatcher.Dead ? -1 : tree.Add(node, _tokens[rank], stage, rank, _raw[rank], _conditional[rank] * scale);
                if (child >= 0)
                {
                    tree.SetState(child, state);
                }
            }
        }
    }
}
