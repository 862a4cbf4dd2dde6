using FsCheck;
using FsCheck.Fluent;
using Understory.Decoding.Planning;
using Understory.Decoding.Tests.Tree;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Tests.Planning;

public class LedgerTests
{
    [Fact]
    public void The_chosen_number_of_nodes_has_the_highest_value_of_all()
    {
        Prop.ForAll(TokenTreeTests.Trees(), tree =>
        {
            Ledger ledger = Create(perRow: 0.2);
            tree.Sort();
            int chosen = ledger.Choose(tree, 0, 0, 63);
            double Value(int n) => Enumerable.Range(0, n).Sum(i => (double)tree.A(tree.Ordered(i))) - (ledger.Price(0) * ledger.Target.Hopeful(1 + n, 0));
            return Enumerable.Range(0, tree.OrderedCount + 1).All(n => Value(n) <= Value(chosen) + 1e-9);
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
        ledger.Book(new StepEntry(0, 0, 0, committed, ledger.Target.Seconds(1, 0), 0, seconds, Drafted: false));

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
