using System.Diagnostics;
using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <content>Rounds of the draft model: whether one pays, which rows it gets, and what its answers make of the tree.</content>
public sealed partial class DraftStages
{
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
