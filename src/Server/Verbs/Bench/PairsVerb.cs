using System.CommandLine;
using Spectre.Console;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs.Bench;

/// <summary>
/// <c>understory bench pairs</c>: is a mode ever slower than none? Judged prompt by prompt, against the machine's own noise.
/// </summary>
internal static class PairsVerb
{
    private static readonly Option<string> Mode = new("--mode")
    {
        Description = $"The mode to hold against off: {string.Join(", ", BenchMode.All.Skip(1).Select(mode => mode.Name))}.",
        DefaultValueFactory = _ => "auto",
        HelpName = "MODE",
    };

    private static readonly Option<int> Pairs =
        new("--pairs") { Description = "Pairs of runs per prompt; their median counts.", DefaultValueFactory = _ => 9, HelpName = "N" };

    /// <param name="load">The parts, prompts and settings that the options name.</param>
    public static Command Create(
        IEnumerable<Option> shared, Func<ParseResult, int, (BenchParts Parts, int[][] Prompts, BenchSettings Settings)> load)
    {
        var verb = new Command("pairs", "Hold one mode against off, pair by pair, with off against off beside it.") { Mode, Pairs };
        foreach (Option option in shared)
        {
            verb.Options.Add(option);
        }

        verb.SetAction(parsed =>
        {
            string name = parsed.GetValue(Mode)!;
            BenchMode mode = BenchMode.All.Skip(1).FirstOrDefault(mode => mode.Name == name)
                ?? throw new UsageException(
                    $"--mode {name}: choose one of {string.Join(", ", BenchMode.All.Skip(1).Select(m => m.Name))}.");
            (BenchParts parts, int[][] prompts, BenchSettings settings) = load(parsed, Math.Max(1, parsed.GetValue(Pairs)));
            using (parts)
            {
                if (!parts.Loop.Supports(mode.Speculation))
                {
                    throw new UsageException($"--mode {name} needs a drafter that is not loaded; see --draft and --ngram.");
                }

                var runner = new PairRunner(parts.Loop, parts.Oracle, settings, mode);
                PairResult[] results = [.. prompts.Select(runner.Run)];
                BenchVerb.Wide(AnsiConsole.Console).WriteLine(Summary(name, results));
                if (!runner.Equal)
                {
                    AnsiConsole.WriteLine("The tokens differ between runs.");
                }

                return runner.Equal ? CommandLine.Done : CommandLine.Failed;
            }
        });
        return verb;
    }

    /// <summary>The figures in words.</summary>
    internal static string Summary(string mode, IReadOnlyList<PairResult> results)
    {
        PairResult[] calm = [.. results.Where(result => result.Calm)];
        double[] ratios = [.. results.Select(result => result.Ratio)];
        string least = calm.Length == 0 ? "none was calm enough to judge by" : $"least {calm.Min(result => result.Ratio):F3} (prompt "
            + $"{1 + results.ToList().IndexOf(calm.MinBy(result => result.Ratio)!)}), "
            + $"{calm.Count(result => result.Ratio < 0.93)} under 0.93 among the {calm.Length} where off against off is within 3 %";
        return $"{mode} against off on {results.Count} prompts: median {Medians.Of(ratios):F3}, {ratios.Min():F3} to {ratios.Max():F3}; "
            + $"{least}.\n{NoiseBand.Of(results.Select(result => result.Control))}.";
    }
}
