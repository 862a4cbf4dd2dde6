using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>What growing a tree took.</summary>
/// <param name="DraftPasses">Passes of the draft model.</param>
/// <param name="DraftSeconds">Seconds in them.</param>
/// <param name="CaughtUp">They only took in the prompt: an investment, not a proposal.</param>
public readonly record struct GrowthReport(int DraftPasses, double DraftSeconds, bool CaughtUp);

/// <summary>
/// Grows the tree of a step: by rounds of the draft model while the ledger expects them to pay, else by what the text itself suggests.
/// In <c>auto</c> both are arms of one decision: what the text suggests is grown first, and a draft has to gain more than that.
/// </summary>
public sealed class TreeGrower
{
    /// <summary>Nodes looked up in a step without a draft model. Chosen: with one guess each, deeper than any tree is verified.</summary>
    private const int MostExpansions = 24;

    private readonly Ledger _ledger;
    private readonly Proposals _proposals;
    private readonly IDraftModel? _draft;
    private readonly DraftRound? _round;
    private readonly Frontier _frontier;
    private readonly TimeProvider _clock;
    private readonly int[] _path;

    // The last committed token alone: what a step's first round is picked under.
    private readonly TokenTree _root = new(1);

    /// <param name="sources">First come, first kept.</param>
    /// <param name="draft">Null: there is no draft model.</param>
    /// <param name="maxDepth">Deepest node of a tree.</param>
    /// <param name="maxNodes">Most nodes that are verified.</param>
    public TreeGrower(
        Ledger ledger, IReadOnlyList<IProposalSource> sources, IDraftModel? draft, int maxDepth, int maxNodes, TimeProvider clock)
    {
        _ledger = ledger;
        _proposals = new Proposals(ledger.Acceptance, sources);
        _draft = draft;
        _frontier = new Frontier((draft?.MaxRows ?? 0) + 1, maxDepth);
        _round = draft is null ? null : new DraftRound(ledger, _proposals, _frontier, draft, maxNodes);
        _clock = clock;
        _path = new int[maxDepth + 1];
        MaxDepth = maxDepth;
    }

    public int MaxDepth { get; }

    /// <param name="cache">Null: the draft model has none for this sequence.</param>
    public GrowthReport Grow(TokenTree tree, TokenContext context, DraftCache? cache, in GrowthLimits limits)
    {
        tree.Reset(context.Last, context.State);
        _frontier.Clear();
        GrowthReport report = default;
        if (limits.MaxDepth > 0)
        {
            bool mayDraft = limits.Draft && cache is not null && !(limits.Auto && _ledger.DraftRests);
            bool rests = limits.Auto && _ledger.TextRests;
            if (!mayDraft || limits.Auto)
            {
                GrowByText(tree, context, limits, rests);
            }

            if (mayDraft)
            {
                _draft!.BeginStep(cache!, context);
                report = GrowByDraft(tree, context, cache!, limits);
            }

            if (rests && report.DraftPasses == 0)
            {
                Score(tree, context, limits);
            }

            if (report.DraftPasses > 0 && !report.CaughtUp && !_draft!.TakesGuesses)
            {
                GrowLeaves(tree, context, limits);
            }
        }

        tree.Sort();
        return report;
    }

    /// <summary>
    /// Teaches the acceptance model: what the target decided under <paramref name="node"/>, which its path passed through.
    /// </summary>
    public void Learn(TokenTree tree, TokenContext context, int node, int decided)
    {
        AcceptanceModel acceptance = _ledger.Acceptance;
        for (int child = tree.FirstChild(node); child >= 0; child = tree.NextSibling(child))
        {
            bool hit = tree.Token(child) == decided;
            acceptance.Observe(tree.Judge(child), context.Greedy, tree.Rank(child), tree.Raw(child), hit, tree.Depth(node));
        }

        foreach (ref readonly Guess guess in _frontier.Guesses)
        {
            if (guess.Node == node)
            {
                Proposal proposal = guess.Proposal;
                bool hit = proposal.Token == decided;
                acceptance.Observe(proposal.Stage, context.Greedy, proposal.Rank, proposal.Raw, hit, tree.Depth(node));
            }
        }
    }

    private GrowthReport GrowByDraft(TokenTree tree, TokenContext context, DraftCache cache, in GrowthLimits limits)
    {
        GrowthReport report = default;
        for (int round = 0; ; round++)
        {
            int pending = _draft!.Pending(cache, context);
            bool asked = round == 0 && limits.Auto;
            if (asked && !MayPay(context, pending))
            {
                return report;
            }

            long start = _clock.GetTimestamp();
            if (!Select(tree, context, limits, round) || (asked && !Pays(tree, context, pending, limits.TokensLeft, start)))
            {
                return report;
            }

            if (pending > _draft.MaxPending)
            {
                // A long prompt is caught up chunk by chunk, one a step, so that no step is long.
                _frontier.Clear();
                _draft.CatchUp(cache, context);
                _ledger.CaughtUp(_draft.Rows, context.Length, _draft.Seconds);
                return new GrowthReport(1, _draft.Seconds, CaughtUp: true);
            }

            if (round == 0)
            {
                tree.Reset(context.Last, context.State);
            }

            int rows = _frontier.RowCount;
            _round!.Run(tree, context, cache, limits);
            report = new GrowthReport(report.DraftPasses + 1, report.DraftSeconds + _draft.Seconds, CaughtUp: false);
            double beside = _clock.GetElapsedTime(start).TotalSeconds - _draft.Seconds;
            _ledger.Drafted(_draft.Rows, rows * _draft.Ahead, context.Length, _draft.Seconds, beside / rows);
        }
    }

    /// <summary>Picks the rows of a round; those of the first stand under the root alone, whatever the text suggested.</summary>
    private bool Select(TokenTree tree, TokenContext context, in GrowthLimits limits, int round)
    {
        if (round > 0)
        {
            return _round!.Select(tree, context, limits, round);
        }

        _root.Reset(context.Last, context.State);
        return _round!.Select(_root, context, limits, round);
    }

    /// <summary>Auto only, before the first round of a step.</summary>
    private bool MayPay(TokenContext context, int pending)
    {
        if (!_ledger.WeighingDue)
        {
            _ledger.WeighingWaited();
            return false;
        }

        return _ledger.DraftMayPay(_draft!.Stage, context.Greedy, pending, context.Length);
    }

    /// <summary>As above, when its rows are picked: do they gain more than what the text suggests?</summary>
    /// <param name="start">When picking them began.</param>
    private bool Pays(TokenTree tree, TokenContext context, int pending, int tokensLeft, long start)
    {
        tree.Sort();
        double net = _round!.Net - (_ledger.TextAffords(context.Length) ? _round.Worth(tree, context) : 0);
        Verdict verdict = _ledger.DraftPays(_draft!.Stage, context.Greedy, net, _frontier.RowCount, pending, tokensLeft, context.Length);
        _ledger.Weighed(_clock.GetElapsedTime(start).TotalSeconds, verdict == Verdict.Pays ? net : 0, context.Length);
        switch (verdict)
        {
            case Verdict.Pays:
                _ledger.DraftTaken(trial: false);
                return true;
            case Verdict.Trial:
                _ledger.DraftTaken(trial: true);
                _round.KeepRootAlone();
                return true;
            default:
                _frontier.Clear();
                return false;
        }
    }

    /// <summary>What the text itself suggests, unless that has cost more than it gave.</summary>
    private void GrowByText(TokenTree tree, TokenContext context, in GrowthLimits limits, bool rests)
    {
        bool lookUp = limits.Ngram && (!limits.Auto || _ledger.LookupDue);
        if (limits.Ngram && !lookUp)
        {
            _ledger.LookupWaited();
        }

        if (limits.Forced && _proposals.Guided(context))
        {
            // What is known beforehand is proposed whatever look-ups were worth; their cost is not counted then.
            _ = Expand(tree, context, limits, limits.Reach(lookUp && !rests));
        }
        else if (lookUp && !rests)
        {
            long start = _clock.GetTimestamp();
            int expansions = Expand(tree, context, limits, Reach.LookedUp);
            _ledger.LookedUp(_clock.GetElapsedTime(start).TotalSeconds, expansions);
        }
    }

    /// <summary>
    /// Where a draft's rows each wait for the one above, its paths are short: what the text suggests goes on behind them.
    /// </summary>
    private void GrowLeaves(TokenTree tree, TokenContext context, in GrowthLimits limits)
    {
        if (limits.Ngram && !(limits.Auto && (_ledger.TextRests || !_ledger.LookupDue)))
        {
            long start = _clock.GetTimestamp();
            int expansions = Expand(tree, context, limits, Reach.LookedUp);
            _ledger.LookedUp(_clock.GetElapsedTime(start).TotalSeconds, Math.Max(1, expansions));
        }
    }

    /// <summary>
    /// Proposes under the likeliest nodes that nobody has expanded, while that pays. Returns how many were looked up.
    /// </summary>
    private int Expand(TokenTree tree, TokenContext context, in GrowthLimits limits, Reach reach)
    {
        int most = limits.FixedNodes > 0 ? limits.FixedNodes : MostExpansions;
        double least = limits.FixedNodes > 0 ? 0 : _ledger.ExpansionPrice(context.Length);
        float worth = Math.Max(DraftRound.Negligible, (float)least);
        int node = tree.Expanded(0) ? Next(tree, limits.MaxDepth, worth) : 0;
        int expansions = 0;
        for (; expansions < most && node >= 0; expansions++)
        {
            tree.MarkExpanded(node);
            Attach(tree, node, _proposals.Best(new Place(context, tree.PathTokens(node, _path), tree.State(node)), reach));
            node = Next(tree, limits.MaxDepth, worth);
        }

        return expansions;
    }

    /// <summary>The node that is likeliest to have a child that the target chooses; -1 if none is likely enough.</summary>
    private static int Next(TokenTree tree, int maxDepth, float worth)
    {
        int node = -1;
        float best = worth;
        for (int candidate = 1; candidate < tree.Count; candidate++)
        {
            // What follows a likely guess is taken to be as likely as the guess itself was: so it is within a repetition.
            float next = tree.A(candidate) * tree.A(candidate) / tree.A(tree.Parent(candidate));
            if (!tree.Expanded(candidate) && tree.Depth(candidate) < maxDepth && next > best)
            {
                best = next;
                node = candidate;
            }
        }

        return node;
    }

    /// <summary>
    /// While the text rests, guesses are scored against what the target decides, so that the estimates stay true; they are not verified.
    /// </summary>
    private void Score(TokenTree tree, TokenContext context, in GrowthLimits limits)
    {
        if (!limits.Ngram || !_ledger.LookupDue || (limits.Forced && _proposals.Guided(context)))
        {
            return;
        }

        long start = _clock.GetTimestamp();
        tree.MarkExpanded(0);
        foreach (ref readonly Proposal proposal in _proposals.Best(new Place(context, [], context.State), Reach.LookedUp))
        {
            _frontier.AddGuessAt(0, proposal);
        }

        _ledger.LookedUp(_clock.GetElapsedTime(start).TotalSeconds, 1);
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
            _ = tree.Add(node, proposal with { Conditional = proposal.Conditional * scale }, proposal.Stage);
        }
    }
}
