using Understory.Server.Verbs.Bench;

namespace Understory.Training.Optimisation;

/// <summary>A run's curves as SVG: loss on its texts, divergence from its teacher, loss on held-out texts, over tokens.</summary>
internal static class LossPlot
{
    private const int Width = 800;
    private const int Height = 360;
    private const int Left = 64;
    private const int Right = 24;
    private const int Top = 56;
    private const int Bottom = 48;
    private const string Grey = "#777";
    private static readonly string[] _colours = ["#3566a8", "#c47f17", "#2f7d4f", "#b0568f", "#7a4fa3", "#8a8f98"];

    public static string Draw(string title, TrainingState state)
    {
        var lines = new List<(string Name, (double Tokens, double Loss)[] Points)>
        {
            ("text", [.. state.Curve.Select(point => ((double)point.Tokens, point.Text))]),
        };
        if (state.Curve.Any(point => point.Teacher != 0))
        {
            lines.Add(("divergence from the teacher", [.. state.Curve.Select(point => ((double)point.Tokens, point.Teacher))]));
        }

        foreach (string part in state.HeldOut.SelectMany(point => point.Parts.Keys).Distinct())
        {
            lines.Add(($"held out: {part}", [.. state.HeldOut.Where(point => point.Parts.ContainsKey(part))
                .Select(point => ((double)point.Step * state.Settings.BatchTokens, point.Parts[part]))]));
        }

        var canvas = new SvgCanvas(Width, Height + (20 * lines.Count));
        canvas.Text(Left, 24, $"{title}: {state.Settings.Shape.Parameters / 1e6:F2}M weights, "
            + $"{state.Step:N0} of {state.Settings.Steps:N0} steps, {state.Step * state.Settings.BatchTokens / 1e6:F1}M tokens",
            strong: true);
        canvas.Text(Left, 42, "nats a token, by tokens", colour: Grey);
        double most = Math.Ceiling(lines.SelectMany(line => line.Points).Select(point => point.Loss).Append(0.1).Max());
        double tokens = Math.Max(1, (double)state.Settings.Tokens);
        double X(double at) => Left + ((Width - Left - Right) * at / tokens);
        double Y(double loss) => Height - Bottom - ((Height - Top - Bottom) * Math.Max(0, loss) / most);
        for (int i = 0; i <= 4; i++)
        {
            canvas.Line(Left, Y(most * i / 4), Width - Right, Y(most * i / 4), "#ddd");
            canvas.Text(Left - 8, Y(most * i / 4) + 4, $"{most * i / 4:0.##}", "end", Grey);
            canvas.Text(X(tokens * i / 4), Height - Bottom + 18, $"{tokens * i / 4e6:0.##}M", "middle", Grey);
        }

        for (int i = 0; i < lines.Count; i++)
        {
            string colour = _colours[i % _colours.Length];
            canvas.Path(lines[i].Points.Select(point => (X(point.Tokens), Y(point.Loss))), colour);
            string last = lines[i].Points is [.., var point] ? $": {point.Loss:F3}" : "";
            canvas.Bar(Left, Height - 10 + (20 * i), 12, 12, colour);
            canvas.Text(Left + 18, Height + (20 * i), lines[i].Name + last);
        }

        return canvas.ToString();
    }
}
