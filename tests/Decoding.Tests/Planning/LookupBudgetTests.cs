using Understory.Decoding.Planning;

namespace Understory.Decoding.Tests.Planning;

public class LookupBudgetTests
{
    private const double Seconds = 1e-5;

    [Fact]
    public void After_clearing_dear_look_ups_count_no_more()
    {
        var budget = new LookupBudget(0.005);
        StepsUntilDue(budget, cost: 50, gain: 0);
        budget.Clear();
        Assert.Equal(0, StepsUntilDue(budget, cost: 0.1, gain: 0.5));
        Assert.Equal(0, StepsUntilDue(budget, cost: 0.1, gain: 0.5));
    }

    [Fact]
    public void Look_ups_that_pay_are_made_in_every_step()
    {
        var budget = new LookupBudget(0.005);
        for (int step = 0; step < 100; step++)
        {
            Assert.Equal(0, StepsUntilDue(budget, cost: 0.1, gain: 0.5));
        }
    }

    [Theory]
    [InlineData(0.02)]
    [InlineData(0.1)]
    [InlineData(0.3)]
    public void Look_ups_that_gain_nothing_take_about_half_a_percent_of_the_time(double cost)
    {
        var budget = new LookupBudget(0.005);
        for (int i = 0; i < 30; i++)
        {
            StepsUntilDue(budget, cost, gain: 0);
        }

        int steps = 0;
        for (int i = 0; i < 20; i++)
        {
            steps += StepsUntilDue(budget, cost, gain: 0) + 1;
        }

        Assert.InRange(20 * cost / steps, 0.003, 0.006);
    }

    [Fact]
    public void However_dear_they_are_one_is_made_now_and_then()
    {
        var budget = new LookupBudget(0.005);
        StepsUntilDue(budget, cost: 50, gain: 0);
        Assert.Equal(64, StepsUntilDue(budget, cost: 50, gain: 0));
    }

    [Fact]
    public void One_that_pays_well_brings_them_back_and_one_that_barely_pays_does_not()
    {
        var budget = new LookupBudget(0.005);
        for (int i = 0; i < 30; i++)
        {
            StepsUntilDue(budget, cost: 0.1, gain: 0);
        }

        StepsUntilDue(budget, cost: 0.1, gain: 0.15);
        Assert.InRange(StepsUntilDue(budget, cost: 0.1, gain: 2), 10, 30);
        Assert.Equal(0, StepsUntilDue(budget, cost: 0.1, gain: 0));
    }

    [Fact]
    public void A_new_sequence_begins_with_a_look_up()
    {
        var budget = new LookupBudget(0.005);
        for (int i = 0; i < 30; i++)
        {
            StepsUntilDue(budget, cost: 0.1, gain: 0);
        }

        budget.BeginSequence();
        Assert.Equal(0, StepsUntilDue(budget, cost: 0.1, gain: 0));
        Assert.Equal(0, StepsUntilDue(budget, cost: 0.1, gain: 0));
    }

    /// <summary>Steps passed over before the next look-up, which is then booked; cost and gain in tokens.</summary>
    private static int StepsUntilDue(LookupBudget budget, double cost, double gain)
    {
        int steps = 0;
        while (!budget.Due)
        {
            budget.Waited();
            steps++;
        }

        budget.Book(Seconds, gain, cost / Seconds);
        return steps;
    }
}
