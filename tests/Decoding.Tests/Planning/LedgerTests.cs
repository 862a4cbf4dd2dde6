using FsCheck;
using FsCheck.Fluent;
using Understory.Decoding.Planning;
using Understory.Decoding.Tests.Tree;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Tests.Planning;

public class LedgerTests
{
    [Fact]
    public void The_chosen_number_of_nodes_has_the_highest_value_of_all_that_may_be_lost()
    {
        Prop.ForAll(TokenTreeTests.Trees(), tree =>
        {
            Ledger ledger = Create(perRow: 0.2);
            tree.Sort();
            int chosen = ledger.Choose(tree, 0, 0, 63);
            double Value(int n) =>
                Enumerable.Range(0, n).Sum(i => (double)tree.A(tree.Ordered(i))) - (ledger.Price(0) * ledger.Target.Hopeful(1 + n, 0));
            // Two plain passes may be lost at first, beside what is sure.
            int Sure(int n) => Enumerable.Range(0, n).Count(i => tree.A(tree.Ordered(i)) >= 1);
            bool MayBeLost(int n) => n == 0 || ledger.Target.Hopeful(1 + n, 0) <= (3 + Sure(n)) * ledger.Target.Seconds(1, 0);
            return MayBeLost(chosen)
                && Enumerable.Range(0, tree.OrderedCount + 1).Where(MayBeLost).All(n => Value(n) <= Value(chosen) + 1e-9);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Where_every_row_costs_a_whole_pass_nothing_is_verified()
    {
        TokenTree tree = Chain(0.8f, 6);
        Assert.Equal(0, Create(perRow: 1).Choose(tree, 0, 0, 63));
        Assert.Equal(1, Create(perRow: 1).Choose(tree, 0, 1, 63));
    }

    [Fact]
    public void Where_rows_are_free_everything_is_verified() =>
        Assert.Equal(6, Create(perRow: 0).Choose(Chain(0.5f, 6), 0, 0, 63));

    [Fact]
    public void Better_earnings_make_seconds_dearer_but_never_cheaper_than_plain_decoding()
    {
        Ledger ledger = Create(perRow: 0.1);
        double plain = ledger.Price(0);
        Book(ledger, 1, 0.1);
        Assert.Equal(plain, ledger.Price(0), 9);
        for (int i = 0; i < 50; i++)
        {
            Book(ledger, 4, 0.012);
        }

        Assert.True(ledger.Price(0) > 2 * plain);
    }

    [Fact]
    public void Questions_change_nothing()
    {
        Ledger ledger = WithDraft(0.002);
        TokenTree tree = Chain(0.8f, 6);
        string Answers() => string.Join(' ',
            ledger.Price(5), ledger.Choose(tree, 5, 0, 63), ledger.Gain(tree, 3, 5), ledger.RowPrice(2, 5), ledger.ExpansionPrice(5),
            ledger.RoundPrice(3, 5), ledger.RootGain(Stage.Draft, true, 5), ledger.DraftMayPay(Stage.Draft, true, 4, 5),
            ledger.DraftPays(Stage.Draft, true, 0.1, 2, 9, 50, 5), ledger.DraftRests, ledger.TextRests, ledger.LookupDue,
            ledger.WeighingDue);
        string first = Answers();
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(first, Answers());
        }
    }

    [Fact]
    public void No_more_is_verified_than_the_source_can_afford_to_lose_unless_it_is_asked_for()
    {
        // Rows at half a pass each, all nearly sure: two passes buy four of them, and those gain two more.
        var target = new CostModel();
        foreach (int rows in (int[])[1, 2, 3, 4, 5, 6, 7, 8, 10, 16, 32])
        {
            target.Calibrate(rows, 0.010 * (1 + (0.5 * (rows - 1))));
        }

        var ledger = new Ledger(target, null, new AcceptanceModel());
        TokenTree tree = Chain(0.99f, 20);
        Assert.Equal(4, ledger.Choose(tree, 0, 0, 63));
        Assert.InRange(ledger.Choose(tree, 0, 1, 63), 12, 20);
        ledger.Book(new StepEntry(0, 4, 3, 5, 0.03, 0, 0.03, Drafted: false) { Auto = true });
        Assert.InRange(ledger.Choose(tree, 0, 0, 63), 7, 9);
    }

    [Fact]
    public void What_a_constraint_leaves_no_choice_in_is_verified_whatever_was_lost_before()
    {
        Ledger ledger = Create(perRow: 0.3);
        for (int i = 0; i < 20; i++)
        {
            ledger.Book(new StepEntry(0, 8, 0, 1, 0.034, 0, 0.034, Drafted: false) { Auto = true });
            ledger.Book(new StepEntry(0, 0, 0, 1, 0.010, 0, 0.010, Drafted: false) { Auto = true });
        }

        Assert.Equal(0, ledger.Choose(Chain(0.99f, 6), 0, 0, 63));
        Assert.Equal(6, ledger.Choose(Chain(1f, 6), 0, 0, 63));
    }

    [Fact]
    public void What_a_request_asked_for_is_no_source_s_gain_or_loss()
    {
        Ledger ledger = Create(perRow: 0.5);
        TokenTree tree = Chain(0.99f, 20);
        int before = ledger.Choose(tree, 0, 0, 63);
        for (int i = 0; i < 200; i++)
        {
            // Forced and in vain, then plain: the one would cost credit, the other earn it.
            ledger.Book(new StepEntry(0, i % 2, 0, 1, ledger.Target.Seconds(1 + (i % 2), 0), 0, 0.1, Drafted: false));
        }

        ledger.BeginSequence();
        Assert.Equal(before, ledger.Choose(tree, 0, 0, 63));
    }

    [Fact]
    public void After_six_steps_in_which_all_that_was_verified_was_wrong_one_goes_without()
    {
        var target = new CostModel();
        target.Calibrate(1, 0.010, samples: 24);
        target.Calibrate(5, 0.010, samples: 24);
        var ledger = new Ledger(target, null, new AcceptanceModel());
        TokenTree tree = Chain(0.9f, 4);
        for (int step = 0; step < 21; step++)
        {
            int nodes = ledger.Choose(tree, 0, 0, 63);
            Assert.Equal(step % 7 == 6, nodes == 0);
            Assert.NotEqual(0, ledger.Choose(tree, 0, 1, 63));
            ledger.Book(new StepEntry(0, nodes, 0, 1, 0.010, 0, 0.010, Drafted: false) { Auto = true });
        }
    }

    [Fact]
    public void Taking_in_the_prompt_in_the_first_round_is_an_investment_and_what_later_rounds_take_in_is_not()
    {
        // A prompt of 64 rows takes 0.4 of a target's pass, a round of one row 0.1.
        Ledger Drafted(int times)
        {
            Ledger ledger = WithDraft(0.001);
            for (int i = 0; i < times; i++)
            {
                ledger.Drafted(64, 1, 10, 0.004, perRow: 0);
                ledger.Book(new StepEntry(10, 1, 0, 1, 0.011, 0.004, 0.015, Drafted: true) { Auto = true });
            }

            return ledger;
        }

        // Either costs credit, but a source does not rest for what it invested.
        Assert.False(Drafted(1).DraftRests);
        Assert.True(Drafted(12).DraftRests);
        Ledger long_ = WithDraft(0.001);
        for (int i = 0; i < 20; i++)
        {
            long_.CaughtUp(64, 10, 0.004);
            long_.Book(new StepEntry(10, 0, 0, 1, 0.010, 0.004, 0.014, Drafted: false) { Auto = true });
        }

        Assert.False(long_.DraftRests);
    }

    [Fact]
    public void A_stalled_draft_pass_costs_as_much_as_two()
    {
        Ledger stalled = WithDraft(0.002);
        stalled.Drafted(1, 1, 10, 0.5, perRow: 0);
        stalled.Book(new StepEntry(10, 1, 0, 1, 0.011, 0.5, 0.511, Drafted: true) { Auto = true });
        Assert.False(stalled.DraftRests);
        Assert.True(stalled.DraftMayPay(Stage.Draft, true, 1, 10));
    }

    [Fact]
    public void A_draft_that_is_in_doubt_is_tried_while_it_may_pay_and_can_be_afforded()
    {
        Ledger ledger = WithDraft(0.002);
        Assert.Equal(Verdict.Pays, ledger.DraftPays(Stage.Draft, true, -0.05, 1, 1, 200, 10));
        Assert.Equal(Verdict.No, ledger.DraftPays(Stage.Draft, true, -0.3, 1, 1, 200, 10));
        for (int i = 0; i < 40; i++)
        {
            Draft(ledger, committed: 1, seconds: 0.012);
        }

        Assert.NotEqual(Verdict.Pays, ledger.DraftPays(Stage.Draft, true, -0.05, 1, 1, 200, 10));
    }

    [Fact]
    public void A_draft_that_lost_is_taken_up_again_only_where_it_cannot_lose_much_more()
    {
        Ledger ledger = WithDraft(0.002);
        Assert.Equal(Verdict.Pays, ledger.DraftPays(Stage.Draft, true, 0.5, 1, 30, 200, 10));
        Draft(ledger, committed: 1, seconds: 0.024);
        Draft(ledger, committed: 1, seconds: 0.024);
        Assert.Equal(Verdict.Pays, ledger.DraftPays(Stage.Draft, true, 0.5, 1, 1, 200, 10));
        Assert.NotEqual(Verdict.Pays, ledger.DraftPays(Stage.Draft, true, 0.5, 1, 100, 200, 10));
        for (int i = 0; i < 20; i++)
        {
            Draft(ledger, committed: 3, seconds: 0.012);
        }

        Assert.Equal(Verdict.Pays, ledger.DraftPays(Stage.Draft, true, 0.5, 1, 100, 200, 10));
    }

    [Fact]
    public void A_node_adds_to_a_trees_value_what_it_holds_above_the_price_of_its_row()
    {
        var value = new TreeValue(Create(perRow: 0.2), 63);
        TokenTree tree = Chain(0.8f, 1);
        value.Begin(tree, 0);
        Assert.Equal(0.6, value.Best(), 0.02);
        value.Add(0.1f);
        Assert.Equal(0.6, value.Best(), 0.02);
        value.Add(0.5f);
        Assert.Equal(0.9, value.Best(), 0.02);
    }

    private static void Draft(Ledger ledger, int committed, double seconds)
    {
        ledger.Drafted(1, 1, 10, seconds - 0.01, perRow: 0);
        ledger.Book(new StepEntry(10, 0, 0, committed, ledger.Target.Seconds(1, 10), seconds - 0.01, seconds, Drafted: true)
        {
            Auto = true,
        });
    }

    private static Ledger WithDraft(double seconds)
    {
        var draft = new CostModel();
        draft.Calibrate(1, seconds);
        draft.Calibrate(32, 2 * seconds);
        draft.Calibrate(64, 4 * seconds);
        return new Ledger(Create(perRow: 0.1).Target, draft, new AcceptanceModel());
    }

    private static Ledger Create(double perRow)
    {
        var cost = new CostModel();
        for (int rows = 1; rows <= 64; rows++)
        {
            cost.Observe(rows, 0, 0.010 * (1 + (perRow * (rows - 1))));
        }

        return new Ledger(cost, null, new AcceptanceModel());
    }

    private static void Book(Ledger ledger, int committed, double seconds) =>
        ledger.Book(new StepEntry(0, 0, 0, committed, ledger.Target.Seconds(1, 0), 0, seconds, Drafted: false)
        {
            Auto = true,
        });

    private static TokenTree Chain(float conditional, int length)
    {
        var tree = new TokenTree(64);
        tree.Reset(0);
        int node = 0;
        for (int i = 0; i < length; i++)
        {
            node = tree.Add(node, i, Stage.Draft, 0, conditional, conditional);
        }

        tree.Sort();
        return tree;
    }
}
