using System.Globalization;
using System.Net;
using System.Text;

namespace Understory.Server.Verbs.Bench;

/// <summary>An SVG of tokens per second and tokens per batch by mode.</summary>
internal static class BenchChart
{
    private const int Width = 640;
    private const int BarHeight = 22;
    private const int Left = 90;
    private const int Span = 400;

    public static string Draw(BenchReport report)
    {
        var svg = new StringBuilder();
        int rows = report.Modes.Count;
        int height = 70 + (2 * ((rows * (BarHeight + 6)) + 40));
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{Width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
        Text(svg, 12, 22, $"{report.Model} | {report.Draft} | T = {report.Temperature}");
        Text(svg, 12, 40, report.Machine);
        int y = Bars(svg, 64, "tokens per second", "#2f7d4f", report.Modes.ToDictionary(mode => mode.Key, mode => (mode.Value.TokensPerSecond, $"{mode.Value.TokensPerSecond:F1}  ({mode.Value.Speedup:F2} x off)")));
        Bars(svg, y + 24, "tokens per target batch", "#3566a8", report.Modes.ToDictionary(mode => mode.Key, mode => (mode.Value.TokensPerBatch, $"{mode.Value.TokensPerBatch:F2}  (weight traffic {mode.Value.WeightTraffic:F2})")));
        return svg.Append("</svg>\n").ToString();
    }

    private static int Bars(StringBuilder svg, int y, string title, string colour, Dictionary<string, (double Value, string Label)> bars)
    {
        Text(svg, 12, y, title);
        double most = bars.Values.Max(bar => bar.Value);
        y += 8;
        foreach (var (name, (value, label)) in bars)
        {
            int width = (int)Math.Round(Span * value / most);
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Left}\" y=\"{y}\" width=\"{width}\" height=\"{BarHeight}\" fill=\"{colour}\"/>\n");
            Text(svg, 12, y + 16, name);
            Text(svg, Left + width + 6, y + 16, label);
            y += BarHeight + 6;
        }

        return y;
    }

    private static void Text(StringBuilder svg, int x, int y, string text) =>
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x}\" y=\"{y}\">{WebUtility.HtmlEncode(text)}</text>\n");
}
