using System.Text;
using Xunit.Abstractions;

namespace Understory.Decoding.Tests.Planning.Simulation;

/// <summary>
/// What <c>auto</c> loses, on made-up machines and texts, against plain decoding and against the best arm that is fixed beforehand (off,
/// a chain of
/// 1 to 16, a tree). Because a wrong plan never changes a text, nothing else would tell.
/// </summary>
public class RegretTests(ITestOutputHelper output)
{
    private const int Seeds = 200;
    private const int Tokens = 256;
    private const int WarmTokens = 1000;

    // A tree, and a ledger that has seen a thousand tokens, are simulated for some of the seeds only: they take most of the time.
    private const int TreeEvery = 4;
    private const int WarmEvery = 4;

    private static readonly int[] Chains = [1, 2, 3, 4, 6, 8, 12, 16];

    /// <summary>Shares of the time that were lost; below 0: won.</summary>
    /// <param name="Off">Mean over the seeds, against off.</param>
    /// <param name="Off95">The 95th percentile of it.</param>
    /// <param name="Arm">Against the best fixed arm of the combination.</param>
    /// <param name="First">The same over the first tokens.</param>
    /// <param name="Warm">The same with a ledger that has decoded such a text before.</param>
    private sealed record Regret(
        Machine Machine, Guessing Kind, string Best, double Off, double Off95, double Arm, double First, double Warm);

    [Fact]
    public void Auto_is_never_much_slower_than_plain_decoding_and_near_the_best_fixed_arm()
    {
        Regret[] regrets =
            [.. (from machine in Machine.All from kind in Enum.GetValues<Guessing>() select (machine, kind))
                .AsParallel().AsOrdered().WithDegreeOfParallelism(2).Select(pair => Measure(pair.machine, pair.kind))];
        output.WriteLine(Describe(regrets));

        // Against off, in every combination.
        Assert.All(regrets, regret => Assert.InRange(regret.Off, -1, 0.02));
        Assert.All(regrets, regret => Assert.InRange(regret.Off95, -1, 0.04));

        // Against the best fixed arm: mean over combinations, and the worst of them.
        Assert.InRange(regrets.Average(regret => regret.Arm), -1, 0.03);
        Assert.InRange(regrets.Average(regret => regret.First), -1, 0.07);
        Assert.InRange(regrets.Average(regret => regret.Warm), -1, 0.03);
        Assert.InRange(regrets.Max(regret => regret.Arm), -1, 0.15);
        Assert.InRange(regrets.Max(regret => regret.First), -1, 0.35);
        // Aimed at: 0.06. Where a draft costs 60 % of the target little is won by it, and a few misses have it rest.
        Assert.InRange(regrets.Max(regret => regret.Warm), -1, 0.10);
    }

    private static Regret Measure(Machine machine, Guessing kind)
    {
        Taken off = SimulatedRun.Off(machine, Tokens);
        var auto = new Taken[Seeds];
        var arms = new Taken[2 + Chains.Length];
        double warm = 0;
        for (int seed = 0; seed < Seeds; seed++)
        {
            var text = new GuessedText(kind, Tokens, seed);
            auto[seed] = new SimulatedRun(machine, seed).Decode(text, Tokens, SpeculationMode.Auto);
            arms[0] += off;
            for (int i = 0; i < Chains.Length; i++)
            {
                arms[2 + i] += SimulatedRun.Chain(machine, text, Chains[i], Tokens);
            }

            if (seed % TreeEvery == 0)
            {
                Taken tree = new SimulatedRun(machine, seed).Decode(text, Tokens, SpeculationMode.Staged);
                arms[1] += new Taken(TreeEvery * tree.Seconds, TreeEvery * tree.First);
            }

            if (seed % WarmEvery == 0)
            {
                var run = new SimulatedRun(machine, seed);
                _ = run.Decode(new GuessedText(kind, WarmTokens, Seeds + seed), WarmTokens, SpeculationMode.Auto);
                warm += WarmEvery * run.Decode(text, Tokens, SpeculationMode.Auto).Seconds;
            }
        }

        Taken best = arms.MinBy(arm => arm.Seconds);
        double[] ratios = [.. auto.Select(taken => (taken.Seconds / off.Seconds) - 1).Order()];
        return new Regret(
            machine,
            kind,
            Name(Array.IndexOf(arms, best)),
            ratios.Average(),
            ratios[(int)(0.95 * Seeds)],
            (auto.Sum(taken => taken.Seconds) / best.Seconds) - 1,
            (auto.Sum(taken => taken.First) / arms.Min(arm => arm.First)) - 1,
            (warm / best.Seconds) - 1);
    }

    private static string Name(int arm) => arm switch { 0 => "off", 1 => "tree", _ => $"chain {Chains[arm - 2]}" };

    private static string Line(string name, string best, double off, double off95, double arm, double first, double warm) =>
        $"{name,-34} {100 * off,7:F1} {100 * off95,7:F1} | {best,-8} {100 * arm,7:F1} {100 * first,7:F1} {100 * warm,7:F1}";

    private static string Describe(Regret[] regrets)
    {
        var text = new StringBuilder();
        text.AppendLine("percent over off: mean, 95th percentile | over the best fixed arm: whole text, its beginning, whole text "
            + "after another");
        foreach (Regret regret in regrets)
        {
            string name = $"{regret.Machine.Name,-25} {regret.Kind,-8}";
            text.AppendLine(Line(name, regret.Best, regret.Off, regret.Off95, regret.Arm, regret.First, regret.Warm));
        }

        double Over(Func<IEnumerable<double>, double> fold, Func<Regret, double> value) => fold(regrets.Select(value));
        foreach ((string name, Func<IEnumerable<double>, double> fold) in
            new (string, Func<IEnumerable<double>, double>)[] { ("mean", Enumerable.Average), ("worst", Enumerable.Max) })
        {
            text.AppendLine(Line(
                name, "", Over(fold, r => r.Off), Over(fold, r => r.Off95), Over(fold, r => r.Arm), Over(fold, r => r.First),
                Over(fold, r => r.Warm)));
        }

        return text.ToString();
    }
}
