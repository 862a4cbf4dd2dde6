using System.Globalization;
using System.Net;
using System.Text;

namespace Understory.Server.Verbs.Bench;

/// <summary>The few shapes that the charts are made of. Units are pixels; y goes down.</summary>
internal sealed class SvgCanvas(int width, int height)
{
    private readonly StringBuilder _shapes = new();

    public void Bar(double x, double y, double length, double thickness, string colour) =>
        Add($"<rect x=\"{x:F1}\" y=\"{y:F1}\" width=\"{length:F1}\" height=\"{thickness:F1}\" rx=\"2\" fill=\"{colour}\"/>");

    public void Line(double x1, double y1, double x2, double y2, string colour, double thickness = 1, string? dashes = null) =>
        Add($"<line x1=\"{x1:F1}\" y1=\"{y1:F1}\" x2=\"{x2:F1}\" y2=\"{y2:F1}\" stroke=\"{colour}\" "
            + $"stroke-width=\"{thickness}\"{(dashes is null ? "" : $" stroke-dasharray=\"{dashes}\"")}/>");

    public void Path(IEnumerable<(double X, double Y)> points, string colour) =>
        Add($"<polyline points=\"{string.Join(' ', points.Select(point => $"{point.X:F1},{point.Y:F1}"))}\" "
            + $"fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");

    public void Dot(double x, double y, string colour, string title) =>
        Add($"<circle cx=\"{x:F1}\" cy=\"{y:F1}\" r=\"3\" fill=\"{colour}\" "
            + $"fill-opacity=\"0.8\"><title>{WebUtility.HtmlEncode(title)}</title></circle>");

    /// <param name="anchor">"start", "middle" or "end".</param>
    public void Text(double x, double y, string text, string anchor = "start", string colour = "#222", bool strong = false) =>
        Add($"<text x=\"{x:F1}\" y=\"{y:F1}\" text-anchor=\"{anchor}\" "
            + $"fill=\"{colour}\"{(strong ? " font-weight=\"600\"" : "")}>{WebUtility.HtmlEncode(text)}</text>");

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" "
            + $"font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" "
            + $"fill=\"#fff\"/>\n{_shapes}</svg>\n");

    private void Add(string shape) => _shapes.Append(shape).Append('\n');
}
