using Understory.Decoding.Planning;

namespace Understory.Decoding.Tests.Planning;

public class CostModelTests
{
    [Fact]
    public void Measured_row_counts_are_given_back_and_those_between_lie_on_a_line()
    {
        var cost = new CostModel();
        cost.Observe(1, 0, 0.010);
        cost.Observe(8, 0, 0.024);
        Assert.Equal(0.010, cost.Seconds(1, 0), 6);
        Assert.Equal(0.024, cost.Seconds(8, 0), 6);
        Assert.Equal(0.016, cost.Seconds(4, 0), 6);
    }

    [Fact]
    public void Rows_beyond_the_last_measurement_follow_the_prior_and_cost_more()
    {
        var cost = new CostModel();
        cost.Observe(1, 0, 0.010);
        Assert.True(cost.Seconds(16, 0) > cost.Seconds(8, 0));
        Assert.True(cost.Seconds(8, 0) > 0.010);
    }

    [Fact]
    public void Repeated_measurements_win_over_the_first()
    {
        var cost = new CostModel();
        cost.Observe(1, 0, 0.010);
        cost.Observe(4, 0, 0.040);
        for (int i = 0; i < 200; i++)
        {
            cost.Observe(4, 0, 0.020);
            cost.Observe(1, 0, 0.010);
        }

        Assert.Equal(0.020, cost.Seconds(4, 0), 3);
        Assert.Equal(0.010, cost.Seconds(1, 0), 3);
    }

    [Fact]
    public void A_single_stall_moves_the_estimate_by_less_than_a_sixth()
    {
        var cost = new CostModel();
        for (int i = 0; i < 10; i++)
        {
            cost.Observe(1, 0, 0.010);
        }

        cost.Observe(1, 0, 1.0);
        Assert.True(cost.Seconds(1, 0) < 0.0117);
    }

    [Fact]
    public void A_slower_machine_is_noticed_at_all_row_counts()
    {
        var cost = new CostModel();
        cost.Observe(1, 0, 0.010);
        cost.Observe(16, 0, 0.040);
        for (int i = 0; i < 100; i++)
        {
            cost.Observe(1, 0, 0.020);
        }

        Assert.True(cost.Seconds(16, 0) > 0.045);
    }

    [Fact]
    public void A_row_count_that_looked_dear_once_is_hoped_to_be_cheaper_after_a_while()
    {
        var cost = new CostModel();
        cost.Observe(1, 0, 0.010);
        cost.Observe(4, 0, 0.040);
        Assert.Equal(0.040, cost.Hopeful(4, 0), 3);
        for (int i = 0; i < 10_000; i++)
        {
            cost.Observe(1, 0, 0.010);
        }

        Assert.True(cost.Hopeful(4, 0) < 0.75 * cost.Seconds(4, 0));
        Assert.True(cost.Hopeful(4, 0) > cost.Seconds(1, 0));
    }

    [Fact]
    public void Context_adds_its_slope_per_row_and_position()
    {
        var cost = new CostModel { ContextSlope = 1e-6 };
        cost.Observe(1, 100, 0.0101);
        Assert.Equal(0.010, cost.Seconds(1, 0), 6);
        Assert.Equal(0.011, cost.Seconds(1, 1000), 6);
    }
}
