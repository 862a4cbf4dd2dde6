namespace Understory.Server.Verbs.Bench;

/// <summary>
/// One SVG of <see cref="SourcesReport"/>: for each kind of text and temperature the speed of every way of proposing as a bar, the band of
/// <c>off</c> against <c>off</c> behind them, and what was accepted of whom.
/// </summary>
internal static class SourcesChart
{
    private const int Width = 960;
    private const int Margin = 24;
    private const int Names = 132;
    private const int Full = 190;
    private const int Step = 22;
    private const string Grey = "#777";
    private static readonly string[] Colours = ["#8a8f98", "#c47f17", "#a8892b", "#b0568f", "#3566a8", "#7a4fa3", "#2f7d4f", "#5a9bd4"];

    public static string Draw(SourcesReport report)
    {
        // Temperatures side by side, kinds one below the other.
        float[] temperatures = [.. report.Sections.Select(section => section.Temperature).Distinct()];
        string[] kinds = [.. report.Sections.Select(section => section.Kind).Distinct()];
        int most = report.Sections.Max(section => section.Results.Count);
        int height = (most * Step) + 48;
        double column = (Width - (2.0 * Margin)) / Math.Max(1, temperatures.Length);
        double scale = Full / Math.Max(1, report.Sections.SelectMany(section => section.Results).Max(result => result.Speedup));
        var canvas = new SvgCanvas(Width, 76 + (kinds.Length * height));
        canvas.Text(Margin, 30, $"{report.Model}, draft {report.Draft}: times off, by source and kind of text", strong: true);
        canvas.Text(Margin, 50, $"{report.MaxTokens} tokens per prompt; {report.Machine}; grey: off against off, 90 % of the prompts",
            colour: Grey);
        foreach (SourceSection section in report.Sections)
        {
            double x = Margin + (Array.IndexOf(temperatures, section.Temperature) * column);
            double y = 84 + (Array.IndexOf(kinds, section.Kind) * height);
            Section(canvas, x, y, scale, section);
        }

        return canvas.ToString();
    }

    private static void Section(SvgCanvas canvas, double x, double y, double scale, SourceSection section)
    {
        string title = FormattableString.Invariant($"{section.Kind}, T = {section.Temperature} ({section.Prompts} prompts)");
        canvas.Text(x, y, title, strong: true);
        if (section.Noise is { } noise)
        {
            canvas.Bar(x + Names + (noise.Low * scale), y + 6, Math.Max(1, (noise.High - noise.Low) * scale),
                section.Results.Count * Step, "#e4e4e4");
        }

        for (int i = 0; i < section.Results.Count; i++)
        {
            SourceResult result = section.Results[i];
            double line = y + ((i + 1) * Step);
            string accepted = SourcesReport.Accepted(result);
            canvas.Text(x, line, result.Name);
            canvas.Bar(x + Names, line - 12, result.Speedup * scale, 14, Colours[i % Colours.Length]);
            canvas.Text(x + Names + 6 + (result.Speedup * scale), line, FormattableString.Invariant($"{result.Speedup:F2}")
                + (accepted.Length > 0 ? $" ({accepted})" : ""), colour: Grey);
        }
    }
}
