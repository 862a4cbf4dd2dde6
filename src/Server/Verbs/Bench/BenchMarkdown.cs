using System.Globalization;
using System.Text;

namespace Understory.Server.Verbs.Bench;

/// <summary>A report as Markdown tables, for a README.</summary>
internal static class BenchMarkdown
{
    public static string Write(BenchReport report)
    {
        var text = new StringBuilder();
        Add(text, $"{report.Model}, draft {report.Draft}; {report.Prompts} prompts, {report.MaxTokens} tokens each, T = "
            + $"{report.Temperature}{(report.TopK > 0 ? $", top_k {report.TopK}" : "")}; {report.Machine}, {report.Kernels}.\n");
        Add(text, $"| mode | tok/s | times `off` | tokens per batch | weight traffic | the paper's | accepted by stage |");
        Add(text, $"| --- | --- | --- | --- | --- | --- | --- |");
        foreach (var (name, mode) in report.Modes)
        {
            string paper = PaperTable.For(report).TryGetValue(name, out double traffic)
                ? traffic.ToString("F2", CultureInfo.InvariantCulture) : "";
            string stages = string.Join(", ", mode.Stages.Where(stage => stage.Proposed > 0)
                .Select(stage =>
                    string.Create(CultureInfo.InvariantCulture, $"{stage.Name} {100.0 * stage.Accepted / stage.Proposed:F0} %")));
            Add(text, $"| `{name}` | {mode.TokensPerSecond:F1} | {mode.Speedup:F2} | {mode.TokensPerBatch:F2} | {mode.WeightTraffic:F2} | "
                + $"{paper} | {stages} |");
        }

        string[] notes =
            [.. new object?[] { report.Noise, report.StagedAgainstChain }.Where(note => note is not null).Select(note => $"{note}")];
        if (notes.Length > 0)
        {
            Add(text, $"\n{string.Join("; ", notes)}.");
        }

        Add(text, $"\nOne-row pass {report.PassMilliseconds["1"]:F3} ms, {report.PassGigabytesPerSecond:F1} GB/s "
            + $"({100 * report.PassGigabytesPerSecond / report.ReadGigabytesPerSecond:F0} % of a read loop); texts "
            + $"{(report.Equal ? "equal in all modes" : "DIFFER")}.\n");
        string[] rows = [.. report.PassMilliseconds.Keys.Where(key => key != "1")];
        Add(text, $"| rows of a pass | {string.Join(" | ", rows)} |");
        Add(text, $"| --- |{string.Concat(Enumerable.Repeat(" --- |", rows.Length))}");
        Add(text, $"| target, times one row | {Ratios(report.PassMilliseconds)} |");
        if (report.DraftPassMilliseconds.ContainsKey("1"))
        {
            Add(text, $"| draft, times one row | {Ratios(report.DraftPassMilliseconds)} |");
        }

        return text.ToString();

        string Ratios(IReadOnlyDictionary<string, double> milliseconds) => string.Join(
            " | ", rows.Select(key => milliseconds.TryGetValue(key, out double time) ? (time / milliseconds["1"])
                .ToString("F2", CultureInfo.InvariantCulture) : ""));
    }

    private static void Add(StringBuilder text, string line) => text.Append(line).Append('\n');
}
