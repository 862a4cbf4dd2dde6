namespace Understory.Server.Verbs.Bench;

/// <summary>
/// One SVG of a report: speed, tokens per batch and weight traffic by mode, every prompt as a dot, and what a pass costs by rows.
/// </summary>
internal static class BenchChart
{
    private const int Width = 960;
    private const int Margin = 24;
    private const int Left = Margin + 64;
    private const int BarHeight = 18;
    private const int BarStep = 26;
    private const int PlotHeight = 170;
    private const string Grey = "#777";
    private const string Rule = "#ddd";

    private static readonly Dictionary<string, string> Colours = new()
    {
        ["off"] = "#8a8f98",
        ["ngram"] = "#c47f17",
        ["draft"] = "#3566a8",
        ["chain"] = "#b0568f",
        ["staged"] = "#7a4fa3",
        ["auto"] = "#2f7d4f",
    };

    public static string Draw(BenchReport report)
    {
        int bars = 40 + (report.Modes.Count * BarStep);
        int plots = report.ByPrompt.Count > 0 ? 2 : 0;
        var canvas = new SvgCanvas(Width, 76 + (2 * bars) + ((plots + 1) * (PlotHeight + 64)));
        canvas.Text(Margin, 30,
            $"{report.Model}, draft {report.Draft}; T = {report.Temperature}{(report.TopK > 0 ? $", top_k {report.TopK}" : "")}",
            strong: true);
        canvas.Text(Margin, 50, $"{report.Prompts} prompts, {report.MaxTokens} tokens each; {report.Machine}; {report.Kernels}",
            colour: Grey);

        double y = 84;
        const double Half = (Width / 2.0) - 8;
        Bars(canvas, Margin, y, "tokens per second", report, mode => mode.TokensPerSecond, mode =>
            $"{mode.TokensPerSecond:F1} ({mode.Speedup:F2} x off)");
        Bars(canvas, Half + Margin, y, "tokens per target pass", report, mode => mode.TokensPerBatch, mode => $"{mode.TokensPerBatch:F2}");
        y += bars;
        Traffic(canvas, Margin, y, report);
        Accepted(canvas, Half + Margin, y, report);
        y += bars;
        if (plots > 0)
        {
            Dots(canvas, y, "times off, by prompt", report, mode => mode.Speedup);
            y += PlotHeight + 64;
            Dots(canvas, y, "tokens per target pass, by prompt", report, mode => mode.TokensPerBatch);
            y += PlotHeight + 64;
        }

        CostCurve(canvas, y, report);
        return canvas.ToString();
    }

    private static void Bars(SvgCanvas canvas, double x, double y, string title, BenchReport report, Func<ModeResult, double> value,
        Func<ModeResult, string> label)
    {
        canvas.Text(x, y, title, strong: true);
        double most = report.Modes.Values.Max(value);
        foreach (var (name, mode) in report.Modes)
        {
            y += BarStep;
            double length = most > 0 ? 230 * value(mode) / most : 0;
            canvas.Text(x, y, name);
            canvas.Bar(x + 56, y - 13, length, BarHeight, Colours[name]);
            canvas.Text(x + 62 + length, y, label(mode));
        }
    }

    /// <summary>Weights read per token, with the paper's figures as marks.</summary>
    private static void Traffic(SvgCanvas canvas, double x, double y, BenchReport report)
    {
        const double Full = 230;
        canvas.Text(x, y, "weight traffic per token (| the paper, Table 1)", strong: true);
        double most = Math.Max(1, report.Modes.Values.Max(mode => mode.WeightTraffic));
        foreach (var (name, mode) in report.Modes)
        {
            y += BarStep;
            double length = Full * mode.WeightTraffic / most;
            string label = $"{mode.WeightTraffic:F2}";
            canvas.Text(x, y, name);
            canvas.Bar(x + 56, y - 13, length, BarHeight, Colours[name]);
            if (PaperTable.For(report).TryGetValue(name, out double paper))
            {
                double mark = x + 56 + (Full * paper / most);
                canvas.Line(mark, y - 16, mark, y + 8, "#000", 2);
                label += $" (paper {paper:F2})";
                length = Math.Max(length, mark - x - 56);
            }

            canvas.Text(x + 62 + length, y, label);
        }
    }

    /// <summary>Of what a stage proposed and the target looked at, how much was kept.</summary>
    private static void Accepted(SvgCanvas canvas, double x, double y, BenchReport report)
    {
        canvas.Text(x, y, "accepted of proposed, by stage", strong: true);
        foreach (var (name, mode) in report.Modes)
        {
            y += BarStep;
            StageResult[] stages = [.. mode.Stages.Where(stage => stage.Proposed > 0)];
            canvas.Text(x, y, name);
            canvas.Text(x + 56, y, stages.Length == 0
                ? "nothing proposed" : string.Join(", ",
                    stages.Select(stage => $"{stage.Name} {100.0 * stage.Accepted / stage.Proposed:F0} % of {stage.Proposed}")),
                    colour: Grey);
        }
    }

    /// <summary>A column per prompt, a dot per mode.</summary>
    private static void Dots(SvgCanvas canvas, double y, string title, BenchReport report, Func<PromptModeResult, double> value)
    {
        double most = Rounded(report.ByPrompt.Max(prompt => prompt.Modes.Values.Max(value)));
        double bottom = Frame(canvas, y, title, most);
        double step = (Width - Left - Margin) / (double)report.ByPrompt.Count;
        for (int i = 0; i < report.ByPrompt.Count; i++)
        {
            foreach (var (name, mode) in report.ByPrompt[i].Modes)
            {
                canvas.Dot(Left + ((i + 0.5) * step), bottom - (PlotHeight * value(mode) / most), Colours[name],
                    $"prompt {i + 1}, {name}: {value(mode):F2}");
            }
        }

        Legend(canvas, bottom + 22, report.Modes.Keys.Select(name => (name, Colours[name])));
    }

    /// <summary>What a pass of so many rows costs, in passes of one row: flat is where speculation is free.</summary>
    private static void CostCurve(SvgCanvas canvas, double y, BenchReport report)
    {
        (string Name, string Colour, IReadOnlyDictionary<string, double> Times)[] curves =
            [("target", Colours["off"], report.PassMilliseconds), ("draft", Colours["draft"], report.DraftPassMilliseconds)];
        curves = [.. curves.Where(curve => curve.Times.ContainsKey("1"))];
        var points = curves.Select(curve => curve.Times
            .Select(pair =>
                (Rows: int.Parse(pair.Key, System.Globalization.CultureInfo.InvariantCulture), Ratio: pair.Value / curve.Times["1"]))
            .Where(point => point.Rows <= 64).OrderBy(point => point.Rows).ToArray()).ToArray();
        double most = Rounded(points.Max(line => line.Max(point => point.Ratio)));
        double bottom = Frame(canvas, y, $"cost of a pass by rows, 1 = one row ({report.PassMilliseconds["1"]:F2} ms of the target)", most);
        for (int i = 0; i < curves.Length; i++)
        {
            canvas.Path(points[i].Select(point => (X(point.Rows), bottom - (PlotHeight * point.Ratio / most))), curves[i].Colour);
        }

        foreach (int rows in (int[])[1, 8, 16, 24, 32, 48, 64])
        {
            canvas.Text(X(rows), bottom + 16, rows.ToString(System.Globalization.CultureInfo.InvariantCulture), "middle", Grey);
        }

        Legend(canvas, bottom + 36, curves.Select(curve => (curve.Name, curve.Colour)));

        static double X(int rows) => Left + ((Width - Left - Margin) * (rows - 1) / 63.0);
    }

    /// <summary>The next number whose quarters are easy to read.</summary>
    private static double Rounded(double value)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(value, 1e-9))));
        return power * ((double[])[1, 2, 3, 4, 6, 8, 10]).First(step => step * power >= value);
    }

    /// <summary>Title, axis and four rules. Returns the y of zero.</summary>
    private static double Frame(SvgCanvas canvas, double y, string title, double most)
    {
        canvas.Text(Margin, y, title, strong: true);
        double bottom = y + 14 + PlotHeight;
        for (int i = 0; i <= 4; i++)
        {
            double height = bottom - (PlotHeight * i / 4.0);
            canvas.Line(Left, height, Width - Margin, height, Rule);
            canvas.Text(Left - 8, height + 4, $"{most * i / 4:0.##}", "end", Grey);
        }

        return bottom;
    }

    private static void Legend(SvgCanvas canvas, double y, IEnumerable<(string Name, string Colour)> entries)
    {
        double x = Left;
        foreach (var (name, colour) in entries)
        {
            canvas.Bar(x, y - 10, 12, 12, colour);
            canvas.Text(x + 18, y, name);
            x += 90;
        }
    }
}
