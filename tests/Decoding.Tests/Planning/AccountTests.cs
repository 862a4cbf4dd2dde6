using Understory.Decoding.Planning;

namespace Understory.Decoding.Tests.Planning;

public class AccountTests
{
    [Fact]
    public void Speculation_that_never_pays_costs_at_most_three_percent_of_256_tokens()
    {
        var account = new Account(4);
        account.BeginSequence();
        double lost = 0;
        for (int tokens = 0; tokens < 256; tokens++)
        {
            // A speculative step that commits one token in 1.4 plain passes.
            bool speculate = !account.Resting;
            double plain = speculate ? 1.4 : 1;
            lost += plain - 1;
            account.Book(speculate, 1, plain);
        }

        Assert.True(lost <= 0.03 * 256, $"lost {lost:F1} tokens");
    }

    [Fact]
    public void Speculation_that_pays_never_rests()
    {
        var account = new Account(4);
        account.BeginSequence();
        for (int step = 0; step < 1000; step++)
        {
            account.Book(true, 2, 1.5);
            Assert.False(account.Resting);
        }
    }

    [Fact]
    public void What_earlier_texts_gained_lets_a_source_miss_more_often_before_it_rests()
    {
        static int MissesBeforeRest(Account account)
        {
            account.BeginSequence();
            int misses = 0;
            for (; !account.Resting; misses++)
            {
                account.Book(true, 1, 1.5);
            }

            return misses;
        }

        var proven = new Account(2);
        proven.BeginSequence();
        proven.Book(true, 40, 20);
        // More than 2 tokens are lost; then more than 4.
        Assert.Equal(5, MissesBeforeRest(new Account(2)));
        Assert.Equal(9, MissesBeforeRest(proven));
    }

    [Fact]
    public void Probes_become_rarer_while_they_find_nothing_and_cost_at_most_one_percent()
    {
        var account = new Account(4);
        account.BeginSequence();
        int probes = 0;
        for (int tokens = 0; tokens < 4096; tokens++)
        {
            bool probe = account.TrialDue(0.2);
            if (probe)
            {
                account.Tried();
            }

            probes += probe ? 1 : 0;
            account.Book(probe, 1, 1);
        }

        Assert.InRange(probes, 2, 10);
        Assert.False(new Account(4).TrialDue(1e-9));
    }

    [Theory]
    [InlineData(0.05)]
    [InlineData(0.4)]
    [InlineData(1.5)]
    public void What_never_pays_costs_at_most_its_first_credit_and_a_percent_of_the_tokens(double cost)
    {
        var account = new Account(4);
        account.BeginSequence();
        double lost = 0;
        for (int tokens = 0; tokens < 256; tokens++)
        {
            bool use = account.Affords(cost);
            lost += use ? cost : 0;
            account.Book(use, 1, use ? 1 + cost : 1);
            Assert.True(lost <= 4 + (0.01 * (tokens + 1)) + 1e-9, $"lost {lost:F2} of {tokens + 1} tokens");
        }

        Assert.True(lost > 2);
    }

    [Fact]
    public void What_was_gained_may_be_lost_in_the_next_sequence_up_to_4_tokens_and_the_rest_invested()
    {
        var account = new Account(4);
        account.BeginSequence();
        Assert.False(account.Affords(10));
        for (int step = 0; step < 100; step++)
        {
            account.Book(true, 2, 1.5);
        }

        Assert.True(account.Affords(50));
        account.BeginSequence();
        // 4 and 50 and a percent of 200, of which the credit holds 4.
        Assert.True(account.Affords(4));
        Assert.False(account.Affords(5));
        Assert.True(account.Affords(1, investment: 54));
        Assert.False(account.Affords(1, investment: 56));
        account.Invested(40, reserved: true);
        Assert.True(account.Affords(4));
        account.Invested(1, reserved: false);
        Assert.True(account.Affords(3));
        Assert.False(account.Affords(4));
        account.Invested(14, reserved: true);
        Assert.False(account.Affords(2));
        Assert.False(account.Affords(0, investment: 2));
        account.Book(false, 1, 1);
        account.BeginSequence();
        Assert.True(account.Affords(1.4));
        Assert.False(account.Affords(4));
    }

    [Fact]
    public void Who_never_spends_anything_may_invest_a_percent_of_all_tokens_in_the_end()
    {
        var account = new Account(4);
        for (int sequence = 0; sequence < 20; sequence++)
        {
            account.BeginSequence();
            Assert.Equal(sequence >= 10, account.Affords(0, investment: 28.9));
            account.Book(false, 250, 250);
        }

        account.Clear();
        Assert.False(account.Affords(0, investment: 5));
    }
}
