using Spectre.Console;

namespace Understory.Server.Verbs.Bench;

/// <summary>The figures for a terminal.</summary>
internal static class BenchTable
{
    public static void Write(IAnsiConsole console, BenchReport report)
    {
        console.MarkupLineInterpolated($"{report.Machine}; kernels {report.Kernels}");
        console.MarkupLineInterpolated($"target {report.Model}; draft {report.Draft}");
        console.MarkupInterpolated($"{report.Prompts} prompts, {report.MaxTokens} tokens each, ");
        console.MarkupLineInterpolated($"T = {report.Temperature}, top_k {report.TopK}");
        double share = 100 * report.PassGigabytesPerSecond / report.ReadGigabytesPerSecond;
        console.MarkupInterpolated($"one-row pass {report.PassMilliseconds["1"]:F3} ms = {report.PassGigabytesPerSecond:F1} GB/s ");
        console.MarkupLineInterpolated(
            $"({share:F0} % of a read loop's {report.ReadGigabytesPerSecond:F1}); prefill {report.PrefillGigaflops:F0} GFLOP/s");
        console.MarkupLineInterpolated($"pass by rows, times one row: {Ratios(report.PassMilliseconds)}");
        if (report.DraftPassMilliseconds.Count > 0)
        {
            console.MarkupLineInterpolated(
                $"draft pass {report.DraftPassMilliseconds["1"]:F3} ms; by rows: {Ratios(report.DraftPassMilliseconds)}");
        }

        Table table = new Table()
            .AddColumns("mode", "tok/s", "x off", "tokens/batch", "weight traffic", "nodes/batch", "draft passes/batch",
                "accepted by stage", "overhead %");
        foreach (var (name, mode) in report.Modes)
        {
            string stages = string.Join("; ", mode.Stages.Where(stage => stage.Proposed > 0)
                .Select(stage => $"{stage.Name} {100.0 * stage.Accepted / stage.Proposed:F0} % of {stage.Proposed}"));
            table.AddRow(
                name,
                mode.TokensPerSecond.ToString("F1"),
                mode.Speedup.ToString("F3"),
                mode.TokensPerBatch.ToString("F2"),
                mode.WeightTraffic.ToString("F3"),
                mode.NodesPerBatch.ToString("F1"),
                mode.DraftPassesPerBatch.ToString("F2"),
                stages,
                mode.OverheadPercent.ToString("F1"));
        }

        console.Write(table);
        if (report.Noise is { } noise)
        {
            console.WriteLine(noise.ToString());
        }

        if (report.StagedAgainstChain is { } test)
        {
            console.WriteLine(test.ToString());
        }

        console.WriteLine(report.Equal ? "All modes gave the same text on every prompt." : "THE TEXTS DIFFER.");
    }

    private static string Ratios(IReadOnlyDictionary<string, double> milliseconds) =>
        string.Join("  ", milliseconds.Select(pair => $"{pair.Key}: {pair.Value / milliseconds["1"]:F2}"));
}
