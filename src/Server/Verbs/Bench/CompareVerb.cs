using System.CommandLine;
using System.Text.Json;
using Spectre.Console;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs.Bench;

/// <summary><c>understory bench compare A.json B.json</c>: what changed between two reports of <c>bench --json</c>.</summary>
internal static class CompareVerb
{
    private static readonly Argument<string> Before = new("before") { Description = "A report of bench --json.", HelpName = "A.json" };
    private static readonly Argument<string> After =
        new("after") { Description = "Another, whose figures are told relative to it.", HelpName = "B.json" };
    private static readonly Option<double> AtLeast = new(
        "--at-least")
    { Description = "Exit with 1 where a mode's speed, relative to the first report, is under this.", HelpName = "R" };

    public static Command Create()
    {
        var verb = new Command("compare", "Compare two reports of bench --json.") { Before, After, AtLeast };
        verb.SetAction(parsed =>
            Run(Read(parsed.GetRequiredValue(Before)), Read(parsed.GetRequiredValue(After)), parsed.GetValue(AtLeast)));
        return verb;
    }

    private static int Run(BenchReport before, BenchReport after, double atLeast)
    {
        foreach (string difference in Differences(before, after))
        {
            AnsiConsole.MarkupLineInterpolated($"[yellow]not the same: {difference}[/]");
        }

        int prompts = Math.Min(before.ByPrompt.Count, after.ByPrompt.Count);
        int same = before.ByPrompt.Zip(after.ByPrompt).Count(pair => pair.First.Tokens == pair.Second.Tokens);
        AnsiConsole.MarkupLineInterpolated($"same tokens on {same} of {prompts} prompts");
        AnsiConsole.MarkupInterpolated($"one-row pass {before.PassMilliseconds["1"]:F3} -> {after.PassMilliseconds["1"]:F3} ms; ");
        AnsiConsole.MarkupLineInterpolated($"read loop {before.ReadGigabytesPerSecond:F1} -> {after.ReadGigabytesPerSecond:F1} GB/s");

        Table table =
            new Table().AddColumns("mode", "tok/s", "ratio", "by prompt: min, median, max", "times off", "tokens/batch", "weight traffic");
        var slow = new List<string>();
        foreach (string name in before.Modes.Keys.Where(after.Modes.ContainsKey))
        {
            ModeResult a = before.Modes[name];
            ModeResult b = after.Modes[name];
            double ratio = b.TokensPerSecond / a.TokensPerSecond;
            table.AddRow(
                name,
                $"{a.TokensPerSecond:F1} -> {b.TokensPerSecond:F1}",
                $"{ratio:F3}",
                Spread(before, after, name),
                $"{a.Speedup:F2} -> {b.Speedup:F2}",
                $"{a.TokensPerBatch:F2} -> {b.TokensPerBatch:F2}",
                $"{a.WeightTraffic:F2} -> {b.WeightTraffic:F2}");
            if (ratio < atLeast)
            {
                slow.Add($"{name} {ratio:F3}");
            }
        }

        BenchVerb.Wide(AnsiConsole.Console).Write(table);
        return slow.Count == 0
            ? CommandLine.Done
            : throw new StartupException($"slower than --at-least {atLeast}: {string.Join(", ", slow)}.");
    }

    /// <summary>What makes two reports no comparison of like with like.</summary>
    private static IEnumerable<string> Differences(BenchReport a, BenchReport b)
    {
        (string Name, object A, object B)[] settings =
        [
            ("machine", a.Machine, b.Machine), ("kernels", a.Kernels, b.Kernels), ("model", a.Model, b.Model), ("draft", a.Draft, b.Draft),
            ("temperature", a.Temperature, b.Temperature), ("top_k", a.TopK, b.TopK), ("prompts", a.Prompts, b.Prompts),
            ("max_tokens", a.MaxTokens, b.MaxTokens),
        ];
        return settings.Where(setting => !setting.A.Equals(setting.B)).Select(setting => $"{setting.Name}: {setting.A} -> {setting.B}");
    }

    private static string Spread(BenchReport before, BenchReport after, string mode)
    {
        double[] ratios = [.. before.ByPrompt.Zip(after.ByPrompt)
            .Where(pair => pair.First.Modes.ContainsKey(mode) && pair.Second.Modes.ContainsKey(mode))
            .Select(pair => pair.Second.Modes[mode].TokensPerSecond / pair.First.Modes[mode].TokensPerSecond).Order()];
        return ratios.Length == 0 ? "" : $"{ratios[0]:F2}, {ratios[ratios.Length / 2]:F2}, {ratios[^1]:F2}";
    }

    private static BenchReport Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<BenchReport>(File.ReadAllText(path)) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartupException(e.Message, e);
        }
        catch (JsonException e)
        {
            throw new StartupException($"{path} is no report of bench --json: {e.Message}", e);
        }
    }
}
