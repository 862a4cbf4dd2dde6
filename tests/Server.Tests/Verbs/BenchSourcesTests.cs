using System.Text.Json;
using System.Xml.Linq;
using Understory.Server.Verbs.Bench;

namespace Understory.Server.Tests.Verbs;

public sealed class BenchSourcesTests : IDisposable
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static SourceResult Result(string name, double speedup) => new(
        name, 1 + speedup, new Dictionary<string, double> { ["ngram"] = 0.25, ["draft"] = 0 }, 3.5, speedup);

    private static SourcesReport Report(bool equal = true) => new("a <machine> & more", "target", "draft", 16,
    [
        new("code", 0, 3, [Result("off", 1), Result("staged", 1.5)], new NoiseBand(0.98, 1, 1.03), equal),
        new("prose", 1, 3, [Result("off", 1), Result("staged", 0.9)], new NoiseBand(0.97, 1, 1.02), true),
    ]);

    [Fact]
    public void The_table_has_a_row_for_each_source_and_kind_with_the_band_of_noise()
    {
        string[] lines = Report().Markdown().Split('\n');
        Assert.Contains("texts equal.", lines[0], StringComparison.Ordinal);
        Assert.Contains("| code | 0 | staged | 2.50 | ngram 0.25 | 3.500 | 1.50 | 0.98 to 1.03 |", lines);
        Assert.Contains("| prose | 1 | staged | 1.90 | ngram 0.25 | 3.500 | 0.90 | 0.97 to 1.02 |", lines);
        Assert.Contains("texts DIFFER.", Report(equal: false).Markdown(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_chart_is_an_SVG_with_a_bar_for_each_source_and_one_for_each_band()
    {
        XElement chart = XElement.Parse(SourcesChart.Draw(Report()));
        // The page, two bands and four sources.
        Assert.Equal(7, chart.Elements(Svg + "rect").Count());
        Assert.Contains(chart.Elements(Svg + "text"), text => text.Value == "prose, T = 1 (3 prompts)");
        Assert.Contains(chart.Elements(Svg + "text"), text => text.Value == "1.50 (ngram 0.25)");
    }

    [ProcessFact]
    public async Task Every_source_of_the_demo_runs_on_every_kind_of_text_greedy_and_sampled()
    {
        string json = Path.Combine(_folder, "sources.json");
        var (code, output, errors) = await ServerProcess.RunAsync(
            ["bench", "sources", "--limit", "1", "--max-tokens", "8", "--repeat", "1", "--windows", "16", "--json", json]);
        Assert.True(code == 0, errors);
        Assert.Contains("Every way gave the same text on every prompt.", output);
        SourcesReport report = JsonSerializer.Deserialize<SourcesReport>(File.ReadAllText(json))!;
        Assert.Equal(
            ["code 0", "chat 0", "prose 0", "copying 0", "code 1", "chat 1", "prose 1", "copying 1"],
            report.Sections.Select(section => $"{section.Kind} {section.Temperature}"));
        Assert.All(report.Sections, section => Assert.Equal(
            ["off", "text's n-grams", "and Katz model", "draft, chain", "draft, tree", "staged", "auto", "chain of 4, last 16",
                "chain of 4, no window"],
            section.Results.Select(result => result.Name)));
        Assert.All(report.Sections, section => Assert.True(section.Results[0].TokensPerBatch is 1 && section.Noise is not null));
    }

    [ProcessFact]
    public async Task A_window_that_is_too_short_is_refused()
    {
        var (code, _, errors) = await ServerProcess.RunAsync(["bench", "sources", "--windows", "8"]);
        Assert.Equal(2, code);
        Assert.Equal("understory: --windows takes numbers from 16 on, as in 32,128, not '8'.", errors.Trim());
        (code, _, errors) = await ServerProcess.RunAsync(["complete", "--draft-window", "7", "x"]);
        Assert.Equal(2, code);
        Assert.Equal("understory: --draft-window must be 0 (no window) or a whole number of at least 16, not '7'.", errors.Trim());
    }
}
