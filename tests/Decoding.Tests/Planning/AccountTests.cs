using Understory.Decoding.Planning;

namespace Understory.Decoding.Tests.Planning;

public class AccountTests
{
    [Fact]
    public void Speculation_that_never_pays_costs_at_most_three_percent_of_256_tokens()
    {
        var account = new Account();
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
        var account = new Account();
        account.BeginSequence();
        for (int step = 0; step < 1000; step++)
        {
            account.Book(true, 2, 1.5);
            Assert.False(account.Resting);
        }
    }

    [Fact]
    public void Probes_become_rarer_while_they_find_nothing_and_cost_at_most_one_percent()
    {
        var account = new Account();
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
        Assert.False(new Account().TrialDue(1e-9));
    }
}
