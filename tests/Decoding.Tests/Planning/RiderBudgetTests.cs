using Understory.Decoding.Planning;
using Understory.Decoding.Tests.Planning.Simulation;

namespace Understory.Decoding.Tests.Planning;

/// <summary>How many rows of a pass look ahead.</summary>
public class RiderBudgetTests
{
    public static TheoryData<string> Steep => [.. Machines("steep")];

    public static TheoryData<string> Flat => [.. Machines("flat to 64")];

    [Theory]
    [MemberData(nameof(Steep))]
    public void Where_every_row_costs_none_is_ever_asked_for(string machine)
    {
        Ledger ledger = Measured(machine);
        for (int step = 0; step < 3000; step++)
        {
            if (step % 300 == 0)
            {
                ledger.BeginSequence();
            }

            int nodes = step % 7;
            Assert.Equal(0, ledger.Riders(step % 2 == 0, nodes, step, 63 - nodes));
            // What text gives anyhow: passes that take what they take, and many tokens.
            ledger.Book(Step(ledger, step, nodes, riders: 0, found: 0));
        }
    }

    [Theory]
    [MemberData(nameof(Flat))]
    public void Where_rows_are_free_as_many_ride_as_there_is_room_for_and_no_more(string machine)
    {
        Ledger ledger = Measured(machine);
        foreach (int nodes in (int[])[0, 3, 20, 63])
        {
            Assert.Equal(63 - nodes, ledger.Riders(true, nodes, 100, 63 - nodes));
        }
    }

    [Fact]
    public void Up_to_the_step_of_the_curve_rows_are_free_and_behind_it_they_are_not()
    {
        Ledger ledger = Measured(Machine.All.First(machine => machine.Name.StartsWith("flat to 4", StringComparison.Ordinal)).Name);
        Assert.Equal(3, ledger.Riders(false, 0, 100, 63));
        Assert.Equal(1, ledger.Riders(false, 2, 100, 61));
        Assert.Equal(0, ledger.Riders(false, 3, 100, 60));
        Assert.Equal(0, ledger.Riders(false, 12, 100, 51));
    }

    [Fact]
    public void Rows_that_cost_a_little_are_asked_for_while_they_bring_more_than_twice_their_price()
    {
        var cost = new CostModel();
        cost.Calibrate(1, 0.010);
        cost.Calibrate(64, 0.010 * (1 + (63 * 0.004)));
        double price = 1 / 0.010;
        var found = new RiderBudget();
        var vain = new RiderBudget();
        Assert.Equal(63, found.Rows(cost, price, false, 0, 0, 63));
        for (int step = 0; step < 40; step++)
        {
            found.Book(greedy: false, rows: 20, found: 1);
            vain.Book(greedy: false, rows: 20, found: 0);
        }

        Assert.True(found.PerRow(greedy: false) > 0.03);
        Assert.Equal(new RiderBudget().PerRow(greedy: true), found.PerRow(greedy: true));
        Assert.Equal(63, found.Rows(cost, price, false, 0, 0, 63));
        Assert.Equal(0, vain.Rows(cost, price, false, 0, 0, 63));

        // It is not given up for good: what was seen long ago counts less.
        for (int sequence = 0; sequence < 12; sequence++)
        {
            vain.BeginSequence();
        }

        Assert.Equal(63, vain.Rows(cost, price, false, 0, 0, 63));
    }

    [Fact]
    public void A_pass_of_one_row_is_measured_now_and_then()
    {
        Ledger ledger = Measured(Machine.All.First(machine => machine.Name.StartsWith("flat to 4", StringComparison.Ordinal)).Name);
        int[] alone = [.. Enumerable.Range(0, 100).Where(step =>
        {
            int riders = ledger.Riders(greedy: false, 0, 100, 63);
            ledger.Book(Step(ledger, 100, 0, riders, found: 1));
            return riders == 0;
        })];
        Assert.Equal([32, 65, 98], alone);
    }

    [Fact]
    public void A_pass_with_riders_is_measured_as_one_of_all_its_rows()
    {
        Ledger ledger = Measured(Machine.All[0].Name);
        double eight = ledger.Target.Seconds(8, 0);
        double one = ledger.Target.Seconds(1, 0);
        for (int step = 0; step < 200; step++)
        {
            // As fast as ever for its eight rows.
            ledger.Book(new StepEntry(0, 1, 0, 1, eight, 0, eight, Drafted: false) { Riders = 6 });
        }

        Assert.Equal(1, ledger.Target.Seconds(8, 0) / eight, 0.01);
        Assert.Equal(1, ledger.Target.Seconds(1, 0) / one, 0.05);
    }

    private static IEnumerable<string> Machines(string shape) =>
        Machine.All.Select(machine => machine.Name).Where(name => name.StartsWith(shape, StringComparison.Ordinal));

    private static StepEntry Step(Ledger ledger, int context, int nodes, int riders, int found)
    {
        double seconds = ledger.Target.Seconds(1 + nodes + riders, context);
        return new StepEntry(context, nodes, 0, 1 + (nodes / 2), seconds, 0, seconds, Drafted: false) { Riders = riders, Found = found };
    }

    private static Ledger Measured(string name)
    {
        Machine machine = Machine.All.Single(machine => machine.Name == name);
        var target = new CostModel();
        foreach (int rows in (ReadOnlySpan<int>)[1, 2, 4, 8, 16, 3, 6, 12, 32, 64])
        {
            target.Calibrate(rows, machine.TargetSeconds(rows));
        }

        return new Ledger(target, null, new AcceptanceModel());
    }
}
