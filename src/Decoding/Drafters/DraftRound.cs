using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>
/// One round of a draft model. Rows are picked best first, by the estimated probability that the target passes through them: nodes whose
/// children are not known yet, and guesses of what the draft will say under them. One pass answers all of them. A guess that is among its
/// parent's children is expanded at once, so one pass may give several levels; one that is not stays if it is likely enough all the same.
/// </summary>
internal sealed class DraftRound
{
    /// <summary>Nodes less likely than this are not kept: even where rows are free they would be right once in 500 steps.</summary>
    public const float Negligible = 2e-3f;

    /// <summary>
    /// Rows that are looked at behind the best number: they come in falling order of worth, but passes get dearer in steps. Chosen.
    /// </summary>
    private const int LookAhead = 2;

    /// <summary>
    /// Rows of a round that has to run whatever it costs. Chosen: the width that CPUs check at less than twice the price of one row.
    /// </summary>
    private const int ForcedRows = 8;

    private readonly Ledger _ledger;
    private readonly Proposals _proposals;
    private readonly Frontier _frontier;
    private readonly IDraftModel _draft;
    private readonly TreeValue _value;
    private readonly int[] _tokens;
    private readonly float[] _raw;
    private readonly float[] _conditional;
    private readonly int[] _tail = new int[VocabularyMap.LongestChain];

    /// <param name="maxNodes">Most nodes that are verified.</param>
    public DraftRound(Ledger ledger, Proposals proposals, Frontier frontier, IDraftModel draft, int maxNodes)
    {
        _value = new TreeValue(ledger, maxNodes);
        _ledger = ledger;
        _proposals = proposals;
        _frontier = frontier;
        _draft = draft;
        _tokens = new int[draft.Branch];
        _raw = new float[draft.Branch];
        _conditional = new float[draft.Branch];
    }

    /// <summary>Expected gain of the rows picked over not drafting, in tokens, net of the pass.</summary>
    public double Net { get; private set; }

    /// <summary>Picks the rows of a round, best first; false if none is worth its seconds.</summary>
    /// <param name="round">0: the first of a step.</param>
    public bool Select(TokenTree tree, TokenContext context, in GrowthLimits limits, int round)
    {
        bool fixedRounds = limits.FixedRounds > 0;
        bool fixedNodes = limits.FixedNodes > 0;
        if ((fixedRounds && round >= limits.FixedRounds) || (fixedNodes && !fixedRounds && tree.Count > limits.FixedNodes))
        {
            return false;
        }

        tree.Sort();
        double before = Worth(tree, context);
        int most = Math.Min(_draft.MaxRows, _draft.SlotsLeft(context));
        int guessFrom = _frontier.GuessCount;
        _frontier.Begin(tree, limits.MaxDepth);
        Net = round == 0 ? double.NegativeInfinity : 0;
        int bestRows = 0;
        while (!_frontier.IsEmpty && _frontier.RowCount < most)
        {
            ref Row row = ref _frontier.TakeBest();
            int rows = _frontier.RowCount;
            AddExpected(row, context.Greedy, limits.Branch);
            double net = _value.Best() - before - _ledger.RoundPrice(rows * _draft.Ahead, context.Length);
            bool forced = (round == 0 && rows == 1) || ((fixedRounds || fixedNodes) && rows <= ForcedRows);
            if (net > Net || forced)
            {
                Net = Math.Max(net, Net);
                bestRows = rows;
            }
            else if (rows > bestRows + LookAhead)
            {
                break;
            }

            if ((limits.Ngram || context.Matcher is not null) && bestRows == rows && row.Depth + 1 < limits.MaxDepth)
            {
                Guess(tree, context, rows - 1, limits.Reach(lookUp: limits.Ngram));
            }
        }

        _frontier.Keep(bestRows, guessFrom);
        return bestRows > 0;
    }

    /// <summary>What a sorted tree gains over verifying nothing, in tokens.</summary>
    public double Worth(TokenTree tree, TokenContext context)
    {
        _value.Begin(tree, context.Length);
        return _value.Best();
    }

    /// <summary>A trial: the root alone, without guesses.</summary>
    public void KeepRootAlone() => _frontier.Keep(1, 0);

    /// <summary>Runs the pass over the rows picked, and makes what it answers part of the tree.</summary>
    public void Run(TokenTree tree, TokenContext context, DraftCache cache, in GrowthLimits limits)
    {
        int answer = context.Length > cache.Committed ? 1 : 0;
        _draft.Begin(cache, context);
        for (int r = 0; r < _frontier.RowCount; r++)
        {
            ReadOnlySpan<int> above = _frontier.PathSlots(tree, r);
            ref Row row = ref _frontier[r];
            _frontier.SetSlot(r, row.Node == 0 ? -1 : _draft.Add(context, above, _frontier.PathTokens(tree, r), row.Proposal.State));
        }

        _draft.Run(cache, context);
        for (int r = 0; r < _frontier.RowCount; r++)
        {
            ref Row row = ref _frontier[r];
            int mine = row.Node == 0 ? 0 : answer++;
            if (row.Node < 0)
            {
                row.Node = NodeOfGuess(tree, context, row.Proposal, _frontier[row.ParentRow].Node);
                if (row.Node < 0)
                {
                    continue;
                }

                tree.SetStage(row.Node, row.Proposal.Stage);
            }

            tree.MarkExpanded(row.Node, row.Slot);
            Attach(tree, context, row.Node, mine, limits);
            AttachGuesses(tree, context, r);
        }

        _frontier.Resolve();
    }

    /// <summary>The children that the draft will give a row, as they are on average.</summary>
    private void AddExpected(in Row row, bool greedy, int branch)
    {
        int most = branch > 0 ? Math.Min(branch, AcceptanceModel.Ranks) : AcceptanceModel.Ranks;
        float a = row.A;
        for (int ahead = 0; ahead < _draft.Ahead; ahead++)
        {
            for (int rank = 0; rank < most; rank++)
            {
                _value.Add(a * _ledger.Acceptance.Average(_draft.Stage, greedy, rank, row.Depth + ahead));
            }

            // What a parallel drafter says of later tokens goes under its first candidate.
            a *= _ledger.Acceptance.Average(_draft.Stage, greedy, 0, row.Depth + ahead);
        }
    }

    private void Guess(TokenTree tree, TokenContext context, int row, Reach reach)
    {
        var place = new Place(context, _frontier.PathTokens(tree, row), _frontier[row].Proposal.State);
        foreach (ref readonly Proposal proposal in _proposals.Best(place, reach))
        {
            _frontier.AddGuess(row, proposal, Negligible, _draft.TakesGuesses);
        }
    }

    /// <summary>
    /// The child that a guess turned out to be. One that the draft does not confirm stays in its own right while it is likely enough: the
    /// draft has seen it already, and where a text repeats itself the n-gram knows better. -1: it is dropped.
    /// </summary>
    private int NodeOfGuess(TokenTree tree, TokenContext context, in Proposal guess, int parent)
    {
        if (parent < 0)
        {
            return -1;
        }

        int node = tree.FindChild(parent, guess.Token);
        Stage? disputed = guess.Stage.Disputed;
        if (node >= 0)
        {
            // Of what a constraint or a prediction says the draft is no judge.
            tree.RaiseA(node, disputed is null ? tree.A(parent) * guess.Conditional : 0);
            return node;
        }

        Stage judge = disputed ?? guess.Stage;
        float conditional = disputed is null
            ? guess.Conditional
            : _ledger.Acceptance.Calibrate(disputed, context.Greedy, guess.Rank, guess.Raw, tree.Depth(parent));
        return tree.A(parent) * conditional <= Negligible ? -1 : tree.Add(parent, guess with { Conditional = conditional }, judge);
    }

    /// <summary>Adds what the draft answered for a node; what it says of the tokens behind goes under its first candidate.</summary>
    private void Attach(TokenTree tree, TokenContext context, int node, int answer, in GrowthLimits limits)
    {
        for (int ahead = 0; node >= 0 && tree.Depth(node) < limits.MaxDepth; ahead++)
        {
            int count = _draft.Candidates(context, answer, ahead, _tokens, _raw);
            if (count == 0)
            {
                return;
            }

            if (ahead > 0)
            {
                tree.MarkExpanded(node);
            }

            AttachCandidates(tree, context, node, limits.Branch > 0 ? Math.Min(count, limits.Branch) : count);
            for (int rank = 0; ahead == 0 && rank < count; rank++)
            {
                AttachTail(tree, context, tree.FindChild(node, _tokens[rank]), answer, rank, limits.MaxDepth);
            }

            node = tree.FindChild(node, _tokens[0]);
        }
    }

    /// <summary>Adds what the draft proposes together with a candidate, under it.</summary>
    private void AttachTail(TokenTree tree, TokenContext context, int node, int answer, int rank, int maxDepth)
    {
        if (node < 0 || tree.Expanded(node))
        {
            return;
        }

        int count = _draft.Tail(answer, rank, _tail, out float probability, out int slot);
        for (int i = 0; i < count && node >= 0 && tree.Depth(node) < maxDepth; i++)
        {
            float raw = i == 0 ? probability : 1;
            int state = context.StateAfter(tree.State(node), _tail[i]);
            if (state == ConstraintMatcher.Dead)
            {
                return;
            }

            tree.MarkExpanded(node, slot);
            float conditional = _ledger.Acceptance.Calibrate(_draft.Stage, context.Greedy, 0, raw, tree.Depth(node));
            node = tree.Add(node, new Proposal(_tail[i], _draft.Stage, 0, raw, conditional, state), _draft.Stage);
        }
    }

    /// <summary>Guesses under a row that no row could be made of become nodes beside what the draft said.</summary>
    private void AttachGuesses(TokenTree tree, TokenContext context, int row)
    {
        foreach (ref readonly Guess guess in _frontier.Guesses)
        {
            if (!_draft.TakesGuesses && guess.Node < 0 && guess.Row == row
                && NodeOfGuess(tree, context, guess.Proposal, _frontier[row].Node) is >= 0 and var node)
            {
                tree.SetStage(node, guess.Proposal.Stage);
            }
        }
    }

    /// <summary>Adds calibrated children; siblings are normalised to at most 1.</summary>
    private void AttachCandidates(TokenTree tree, TokenContext context, int node, int count)
    {
        Stage stage = _draft.Stage;
        float sum = 0;
        for (int rank = 0; rank < count; rank++)
        {
            sum += _conditional[rank] = _ledger.Acceptance.Calibrate(stage, context.Greedy, rank, _raw[rank], tree.Depth(node));
        }

        float scale = sum > 1 ? 1 / sum : 1;
        for (int rank = 0; rank < count; rank++)
        {
            bool known = tree.FindChild(node, _tokens[rank]) >= 0;
            if (!known && (rank < 2 || tree.A(node) * _conditional[rank] * scale > Negligible))
            {
                // What ends the answer is no node: nothing comes after it.
                int state = context.StateAfter(tree.State(node), _tokens[rank]);
                if (state != ConstraintMatcher.Dead)
                {
                    _ = tree.Add(node, new Proposal(_tokens[rank], stage, rank, _raw[rank], _conditional[rank] * scale, state), stage);
                }
            }
        }
    }
}
