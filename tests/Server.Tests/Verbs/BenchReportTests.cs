using System.Globalization;
using System.Text.Json;
using System.Xml.Linq;
using Understory.Server.Verbs.Bench;

namespace Understory.Server.Tests.Verbs;

/// <summary>What becomes of a report: a chart, tables, a comparison.</summary>
public sealed class BenchReportTests : IDisposable
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static ModeResult Mode(double speed, double speedup, double batch, double traffic) => new()
    {
        TokensPerSecond = speed,
        Speedup = speedup,
        TokensPerBatch = batch,
        WeightTraffic = traffic,
        OverheadPercent = 1,
        DraftPassesPerBatch = 1,
        NodesPerBatch = 4,
        Stages = [new("ngram", 100, 40, 0, 1), new("draft", 0, 0, 0, 0)],
    };

    private static BenchReport Report(double factor = 1, string tokens = "aa") => new()
    {
        Machine = "a <machine> & more",
        Kernels = "avx512",
        Model = "target",
        Draft = "draft",
        Temperature = 0,
        TopK = 0,
        Prompts = 2,
        MaxTokens = 8,
        WeightBytes = 1000,
        ReadGigabytesPerSecond = 40,
        PassGigabytesPerSecond = 38,
        PassMilliseconds = new Dictionary<string, double> { ["1"] = 2, ["8"] = 3, ["64"] = 10 },
        DraftPassMilliseconds = new Dictionary<string, double> { ["1"] = 0.5, ["8"] = 1 },
        PrefillGigaflops = 100,
        Equal = true,
        Modes = new Dictionary<string, ModeResult> { ["off"] = Mode(100, 1, 1, 1), ["staged"] = Mode(200 * factor, 2 * factor, 3, 0.35) },
        ByPrompt =
        [
            new(tokens, new Dictionary<string, PromptModeResult> { ["off"] = new(100, 1, 1, new Dictionary<string, long>()),
                ["staged"] = new(250 * factor, 2.5, 4, new Dictionary<string, long>()) }),
            new("bb", new Dictionary<string, PromptModeResult> { ["off"] = new(100, 1, 1, new Dictionary<string, long>()),
                ["staged"] = new(150 * factor, 1.5, 2, new Dictionary<string, long>()) }),
        ],
    };

    private string Write(string name, BenchReport report)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, JsonSerializer.Serialize(report));
        return path;
    }

    [Fact]
    public void The_chart_is_well_formed_and_holds_every_figure_the_papers_mark_and_a_dot_per_prompt_and_mode()
    {
        XElement chart = XElement.Parse(BenchChart.Draw(Report()));
        string[] texts = [.. chart.Descendants(Svg + "text").Select(text => text.Value)];
        Assert.All(["a <machine> & more", "200.0 (2.00 x off)", "0.35 (paper 0.23)", "ngram 40 % of 100"], part =>
            Assert.Contains(texts, text => text.Contains(part, StringComparison.Ordinal)));
        // Two plots of two prompts and two modes.
        Assert.Equal(8, chart.Descendants(Svg + "circle").Count());
        Assert.Equal(2, chart.Descendants(Svg + "polyline").Count());
        double height = double.Parse(chart.Attribute("height")!.Value, CultureInfo.InvariantCulture);
        Assert.All(chart.Descendants(Svg + "text"), text =>
            Assert.InRange(double.Parse(text.Attribute("y")!.Value, CultureInfo.InvariantCulture), 0, height));
        Assert.All(chart.Descendants(Svg + "circle"), dot =>
            Assert.InRange(double.Parse(dot.Attribute("cx")!.Value, CultureInfo.InvariantCulture), 0, 960));
    }

    [Theory]
    [InlineData(8, 2, 0.109)]
    [InlineData(2, 8, 0.109)]
    [InlineData(5, 5, 1)]
    [InlineData(10, 0, 0.00195)]
    public void The_sign_test_gives_the_binomial_probability_of_as_uneven_a_result(int wins, int losses, double p)
    {
        PromptResult Prompt(double staged) => new("aa", new Dictionary<string, PromptModeResult>
        {
            ["chain"] = new(100, 1, 1, new Dictionary<string, long>()),
            ["staged"] = new(staged, 1, 1, new Dictionary<string, long>()),
        });
        PromptResult[] prompts = [.. Enumerable.Repeat(Prompt(120), wins), .. Enumerable.Repeat(Prompt(80), losses), Prompt(100)];
        SignTest test = SignTest.Of("staged", "chain", prompts)!;
        Assert.Equal((wins, losses), (test.Wins, test.Losses));
        Assert.Equal(p, test.P, 0.001);
        Assert.Null(SignTest.Of("staged", "draft", prompts));
    }

    [Fact]
    public void The_noise_band_holds_nine_tenths_of_the_ratios()
    {
        NoiseBand band = NoiseBand.Of(Enumerable.Range(0, 101).Select(i => 0.5 + (i / 100.0)))!;
        Assert.Equal((0.55, 1, 1.45), (Math.Round(band.Low, 9), Math.Round(band.Median, 9), Math.Round(band.High, 9)));
        Assert.Null(NoiseBand.Of([]));
        Assert.Contains("off against off: 0.550 to 1.450", BenchMarkdown.Write(Report() with { Noise = band }));
    }

    [Fact]
    public void A_bars_length_is_in_proportion()
    {
        XElement chart = XElement.Parse(BenchChart.Draw(Report()));
        double[] lengths = [.. chart.Descendants(Svg + "rect").Skip(1).Take(2)
            .Select(bar => double.Parse(bar.Attribute("width")!.Value, CultureInfo.InvariantCulture))];
        Assert.Equal(2, lengths[1] / lengths[0], 2);
    }

    [Fact]
    public void The_tables_have_as_many_cells_in_every_row_and_stand_the_paper_beside_our_figures()
    {
        string markdown = BenchMarkdown.Write(Report() with { Temperature = 1, TopK = 50 });
        string[][] tables = [.. markdown.Split("\n\n").Select(block => block.Split('\n').Where(line => line.StartsWith('|')).ToArray())
            .Where(table => table.Length > 0)];
        Assert.Equal(2, tables.Length);
        Assert.All(tables, table => Assert.Single(table.Select(row => row.Count(c => c == '|')).Distinct()));
        Assert.Contains("| `staged` | 200.0 | 2.00 | 3.00 | 0.35 | 0.35 | ngram 40 % |", markdown);
        Assert.Contains("| target, times one row | 1.50 | 5.00 |", markdown);
    }

    [Fact]
    public void Pairs_are_judged_by_the_prompts_whose_control_is_calm()
    {
        string summary = PairsVerb.Summary("auto", [new(0.99, 1.01), new(0.95, 0.99), new(0.5, 0.9), new(0.9, 1.02)]);
        Assert.Contains("auto against off on 4 prompts: median 0.925, 0.500 to 0.990; ", summary);
        Assert.Contains("least 0.900 (prompt 4), 1 under 0.93 among the 3 where off against off is within 3 %", summary);
        Assert.Contains("none was calm enough", PairsVerb.Summary("auto", [new(0.99, 1.2)]));
    }

    [ProcessFact]
    public async Task Pairs_run_a_mode_beside_off_and_refuse_what_is_no_mode()
    {
        string[] call = ["bench", "pairs", "--pairs", "1", "--limit", "1", "--max-tokens", "8"];
        var (code, output, _) = await ServerProcess.RunAsync([.. call, "--mode", "staged"]);
        Assert.Equal(0, code);
        Assert.Contains("staged against off on 1 prompts: median ", output);
        (code, _, string errors) = await ServerProcess.RunAsync([.. call, "--mode", "off"]);
        Assert.Equal(2, code);
        Assert.Equal("understory: --mode off: choose one of ngram, draft, chain, staged, auto.", errors.Trim());
        (code, _, errors) = await ServerProcess.RunAsync([.. call, "--mode", "draft", "--draft", "none"]);
        Assert.Equal(2, code);
        Assert.Contains("needs a drafter that is not loaded", errors);
    }

    [ProcessFact]
    public async Task Reports_are_compared_mode_by_mode_and_a_slower_one_fails_where_that_is_asked()
    {
        string before = Write("a.json", Report());
        string after = Write("b.json", Report(0.5, "cc") with { Machine = "another" });
        var (code, output, _) = await ServerProcess.RunAsync(["bench", "compare", before, after]);
        Assert.Equal(0, code);
        Assert.All(["not the same: machine", "same tokens on 1 of 2 prompts", "200.0 -> 100.0", "0.500", "0.50, 0.50, 0.50"], part =>
            Assert.Contains(part, output));
        (code, _, string errors) = await ServerProcess.RunAsync(["bench", "compare", before, after, "--at-least", "0.97"]);
        Assert.Equal(1, code);
        Assert.Equal("understory: slower than --at-least 0.97: staged 0.500.", errors.Trim());
        (code, _, errors) = await ServerProcess.RunAsync(["bench", "compare", before, Path.Combine(_folder, "none.json")]);
        Assert.Equal(1, code);
        Assert.Contains("none.json", Assert.Single(errors.TrimEnd().Split('\n')));
    }
}
