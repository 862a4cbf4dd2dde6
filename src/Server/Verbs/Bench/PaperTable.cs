namespace Understory.Server.Verbs.Bench;

/// <summary>
/// Relative weight traffic of Spector &amp; Ré (arXiv 2308.04623, Table 1): GPT-2-L with a 40M draft on HumanEval prompts, for one stage of
/// speculation and for two.
/// </summary>
internal static class PaperTable
{
    public static IReadOnlyDictionary<string, double> Greedy { get; } =
        new Dictionary<string, double> { ["draft"] = 0.31, ["staged"] = 0.23 };

    /// <summary>Top-k 50 at temperature 1.</summary>
    public static IReadOnlyDictionary<string, double> TopK { get; } =
        new Dictionary<string, double> { ["draft"] = 0.48, ["staged"] = 0.35 };

    /// <summary>The column that a report's sampling is nearest to.</summary>
    public static IReadOnlyDictionary<string, double> For(BenchReport report) => report.Temperature > 0 ? TopK : Greedy;
}
