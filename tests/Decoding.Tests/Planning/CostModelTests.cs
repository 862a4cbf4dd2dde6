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
    public void A_known_curve_is_taken_over_at_todays_speed_and_a_busy_moment_spoils_one_width_at_most()
    {
        var known = new CostCurve(new Dictionary<int, double> { [1] = 1, [2] = 1.1, [4] = 1.3, [8] = 2, [16] = 4 }, 0.001);
        var cost = new CostModel();
        // Twice as slow today, four rows were interrupted, eight were never so cheap.
        Assert.True(cost.Recall(known, new Dictionary<int, double> { [1] = 2, [2] = 2.2, [4] = 9, [8] = 3.6, [3] = 7 }));
        Assert.Equal((2, 2.2, 2.6, 3.6, 8), (cost.Seconds(1, 0), cost.Seconds(2, 0), cost.Seconds(4, 0), cost.Seconds(8, 0),
            cost.Seconds(16, 0)));
        Assert.Equal(0.002, cost.ContextSlope);
        Assert.False(new CostModel().Recall(known, new Dictionary<int, double> { [3] = 1 }));
    }

    [Fact]
    public void A_curve_holds_what_was_measured_and_nothing_that_was_guessed()
    {
        var cost = new CostModel { ContextSlope = 0.25 };
        cost.Calibrate(1, 0.5);
        cost.Calibrate(8, 1);
        CostCurve curve = cost.Curve();
        Assert.Equal([(1, 0.5), (8, 1)], curve.Seconds.Select(pair => (pair.Key, pair.Value)));
        Assert.Equal(0.25, curve.ContextSlope);
        Assert.True(curve.IsSound);
        Assert.False(new CostCurve(new Dictionary<int, double> { [1] = double.NaN }, 0).IsSound);
        Assert.False((curve with { ContextSlope = -1 }).IsSound);
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
        cost.Calibrate(4, 0.040);
        Assert.Equal(0.040, cost.Hopeful(4, 0), 3);
        for (int i = 0; i < 10_000; i++)
        {
            cost.Observe(1, 0, 0.010);
        }

        Assert.True(cost.Hopeful(4, 0) < 0.75 * cost.Seconds(4, 0));
        Assert.True(cost.Hopeful(4, 0) > cost.Seconds(1, 0));
    }

    [Fact]
    public void A_stall_in_the_first_pass_of_a_width_beside_known_ones_counts_as_twice_what_was_expected()
    {
        var cost = new CostModel();
        cost.Calibrate(4, 0.010, samples: 24);
        cost.Calibrate(8, 0.014, samples: 24);
        cost.Observe(6, 0, 0.500);
        Assert.Equal(0.024, cost.Seconds(6, 0), 4);
    }

    [Fact]
    public void One_stall_of_a_pass_that_was_measured_often_moves_it_little_beside_the_others()
    {
        double Ratio(int samples)
        {
            var cost = new CostModel();
            cost.Calibrate(1, 0.010, samples);
            cost.Calibrate(4, 0.011, samples);
            cost.Observe(1, 0, 0.030);
            return cost.Seconds(4, 0) / cost.Seconds(1, 0);
        }

        Assert.InRange(Ratio(24), 1.06, 1.1);
        Assert.True(Ratio(1) < 1);
    }

    [Fact]
    public void Context_adds_its_slope_per_row_and_position()
    {
        var cost = new CostModel { ContextSlope = 1e-6 };
        cost.Observe(1, 100, 0.0101);
        Assert.Equal(0.010, cost.Seconds(1, 0), 6);
        Assert.Equal(0.011, cost.Seconds(1, 1000), 6);
    }

    [Fact]
    public void A_model_that_is_not_measured_follows_another_one_on_the_same_machine()
    {
        var target = new CostModel();
        var draft = new CostModel();
        target.Calibrate(1, 0.010);
        draft.Calibrate(1, 0.002);
        for (int i = 0; i < 30; i++)
        {
            _ = target.Observe(1, 0, 0.010);
        }

        for (int i = 0; i < 60; i++)
        {
            draft.Follow(target.Observe(1, 0, 0.015));
        }

        // Most of what one row count shows is taken for the machine, some for the row count.
        Assert.InRange(draft.Seconds(1, 0), 0.0023, 0.003);
        for (int i = 0; i < 60; i++)
        {
            draft.Follow(target.Observe(1, 0, 0.010));
        }

        Assert.Equal(0.002, draft.Seconds(1, 0), 0.0001);
    }
}
