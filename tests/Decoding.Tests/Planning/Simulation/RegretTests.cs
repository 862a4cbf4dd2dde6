using System.Text;
using Xunit.Abstractions;

namespace Understory.Decoding.Tests.Planning.Simulation;

/// <summary>
/// What <c>auto</c> loses, on made-up machines and texts, against plain decoding and against the best arm that is fixed beforehand (off,
/// what the text suggests, a chain of 1 to 16, a tree). Because a wrong plan never changes a text, nothing else would tell.
/// </summary>
public class RegretTests(ITestOutputHelper output)
{
    private const int Seeds = 200;
    private const int Tokens = 256;
    private const int WarmTokens = 1000;

    // A tree, and a ledger that has seen a thousand tokens, are simulated for some of the seeds only: they take most of the time.
    private const int Every = 4;

    /// <summary>Arms before the chains.</summary>
    private const int Off = 0;
    private const int Tree = 1;
    private const int Text = 2;
    private const int FirstChain = 3;

    private static readonly Guessing[] Kinds =
        [Guessing.Constant, Guessing.Bursty, Guessing.Copying, Guessing.Random, Guessing.Falling];

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
            [.. (from machine in Machine.All from kind in Kinds select (machine, kind))
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
        Assert.InRange(regrets.Max(regret => regret.Warm), -1, 0.06);
    }

    [Theory]
    [InlineData(16)]
    [InlineData(300)]
    public void The_first_prompt_after_a_start_loses_at_most_4_percent_where_nothing_is_accepted(int prompt)
    {
        Assert.All(Machine.All, machine =>
        {
            double Seconds(int seed) => new SimulatedRun(machine, seed)
                .Decode(new GuessedText(Guessing.Nothing, Tokens, seed, prompt), Tokens, SpeculationMode.Auto).Seconds;
            double off = SimulatedRun.Off(machine, Tokens).Seconds;
            double[] ratios = [.. Enumerable.Range(0, Seeds / 4).Select(seed => Seconds(seed) / off)];
            output.WriteLine($"{machine.Name,-25} mean {100 * (ratios.Average() - 1):F1} %, worst {100 * (ratios.Max() - 1):F1} %");
            Assert.InRange(ratios.Max(), 0.99, 1.04);
        });
    }

    /// <summary>What earlier texts gained is believed to some degree only.</summary>
    [Fact]
    public void Where_nothing_is_accepted_after_texts_in_which_all_was_little_is_lost()
    {
        Assert.All(Machine.All, machine =>
        {
            double off = SimulatedRun.Off(machine, Tokens).Seconds;
            double[] ratios = [.. Enumerable.Range(0, Seeds / 4).Select(seed =>
            {
                var run = new SimulatedRun(machine, seed);
                for (int text = 0; text < 4; text++)
                {
                    Guessing kind = text % 2 == 0 ? Guessing.Copying : Guessing.Constant;
                    _ = run.Decode(new GuessedText(kind, Tokens, seed + (Seeds * (text + 1))), Tokens, SpeculationMode.Auto);
                }

                return run.Decode(new GuessedText(Guessing.Nothing, Tokens, seed), Tokens, SpeculationMode.Auto).Seconds / off;
            })];
            output.WriteLine($"{machine.Name,-25} mean {100 * (ratios.Average() - 1):F1} %, worst {100 * (ratios.Max() - 1):F1} %");
            Assert.InRange(ratios.Average(), 0.99, 1.06);
            Assert.InRange(ratios.Max(), 0.99, 1.15);
        });
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_long_prompt_is_taken_in_once_what_it_takes_can_be_afforded(bool pays)
    {
        const int Texts = 30;
        const int Prompt = 1000;
        Machine machine = Machine.All.Single(machine => machine.Name == "flat to 4, draft 20 %");
        double off = SimulatedRun.Off(machine, Tokens).Seconds;
        var run = new SimulatedRun(machine, seed: 1);
        Guessing kind = pays ? Guessing.Constant : Guessing.Random;
        double[] ratios = [.. Enumerable.Range(0, Texts).Select(seed =>
            run.Decode(new GuessedText(kind, Tokens, seed, Prompt), Tokens, SpeculationMode.Auto).Seconds / off)];
        output.WriteLine(string.Join(' ', ratios.Select(ratio => $"{ratio:F2}")));
        Assert.InRange(ratios.Average(), 0, 1.02);
        Assert.Equal(pays, ratios[(Texts / 2)..].Average() < 0.9);
    }

    private static Regret Measure(Machine machine, Guessing kind)
    {
        Taken off = SimulatedRun.Off(machine, Tokens);
        var auto = new Taken[Seeds];
        var arms = new Taken[FirstChain + Chains.Length, Seeds];
        var warm = new double[Seeds];
        for (int seed = 0; seed < Seeds; seed++)
        {
            var text = new GuessedText(kind, Tokens, seed);
            Taken Decode(SpeculationMode mode) => new SimulatedRun(machine, seed).Decode(text, Tokens, mode);
            auto[seed] = Decode(SpeculationMode.Auto);
            arms[Off, seed] = off;
            arms[Text, seed] = Decode(SpeculationMode.Ngram);
            for (int i = 0; i < Chains.Length; i++)
            {
                arms[FirstChain + i, seed] = SimulatedRun.Chain(machine, text, Chains[i], Tokens);
            }

            if (seed % Every == 0)
            {
                arms[Tree, seed] = Decode(SpeculationMode.Staged);
                var run = new SimulatedRun(machine, seed);
                _ = run.Decode(new GuessedText(kind, WarmTokens, Seeds + seed), WarmTokens, SpeculationMode.Auto);
                warm[seed] = run.Decode(text, Tokens, SpeculationMode.Auto).Seconds;
            }
        }

        // Each arm by the seeds that it was simulated for.
        double Mean(int arm, Func<Taken, double> value) => Enumerable.Range(0, Seeds).Where(seed => arm != Tree || seed % Every == 0)
            .Average(seed => value(arms[arm, seed]));
        int best = Enumerable.Range(0, FirstChain + Chains.Length).MinBy(arm => Mean(arm, taken => taken.Seconds));
        double first = Enumerable.Range(0, FirstChain + Chains.Length).Min(arm => Mean(arm, taken => taken.First));
        double besideWarm = Enumerable.Range(0, Seeds).Where(seed => seed % Every == 0).Sum(seed => arms[best, seed].Seconds);
        double[] ratios = [.. auto.Select(taken => (taken.Seconds / off.Seconds) - 1).Order()];
        return new Regret(
            machine,
            kind,
            Name(best),
            ratios.Average(),
            ratios[(int)(0.95 * Seeds)],
            (auto.Average(taken => taken.Seconds) / Mean(best, taken => taken.Seconds)) - 1,
            (auto.Average(taken => taken.First) / first) - 1,
            (warm.Sum() / besideWarm) - 1);
    }

    private static string Name(int arm) =>
        arm switch { Off => "off", Tree => "tree", Text => "text", _ => $"chain {Chains[arm - FirstChain]}" };

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
