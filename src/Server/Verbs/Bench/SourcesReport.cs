using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Understory.Server.Verbs.Bench;

/// <summary>What one way of proposing attained on one kind of text.</summary>
/// <param name="TokensPerBatch">Tokens committed per target pass.</param>
/// <param name="AcceptedPerBatch">Accepted length: tokens per target pass that a stage proposed and the target kept.</param>
/// <param name="MillisecondsPerToken">Of decode time.</param>
/// <param name="Speedup">Relative to <c>off</c>: the median over prompts of the ratio within the prompt.</param>
public sealed record SourceResult(
    [property: JsonPropertyName("name")] string Name,
    [property: JsonPropertyName("tokens_per_batch")] double TokensPerBatch,
    [property: JsonPropertyName("accepted_per_batch")] IReadOnlyDictionary<string, double> AcceptedPerBatch,
    [property: JsonPropertyName("ms_per_token")] double MillisecondsPerToken,
    [property: JsonPropertyName("speedup")] double Speedup);

/// <summary>Every way on one kind of text at one temperature, with what noise alone does there.</summary>
/// <param name="Equal">All gave the same text.</param>
public sealed record SourceSection(
    [property: JsonPropertyName("kind")] string Kind,
    [property: JsonPropertyName("temperature")] float Temperature,
    [property: JsonPropertyName("prompts")] int Prompts,
    [property: JsonPropertyName("results")] IReadOnlyList<SourceResult> Results,
    [property: JsonPropertyName("noise")] NoiseBand? Noise,
    [property: JsonPropertyName("equal")] bool Equal);

/// <summary>What <c>bench sources</c> measured, as <c>--json</c> writes it.</summary>
public sealed record SourcesReport(
    [property: JsonPropertyName("machine")] string Machine,
    [property: JsonPropertyName("model")] string Model,
    [property: JsonPropertyName("draft")] string Draft,
    [property: JsonPropertyName("max_tokens")] int MaxTokens,
    [property: JsonPropertyName("sections")] IReadOnlyList<SourceSection> Sections)
{
    [JsonIgnore]
    public bool Equal => Sections.All(section => section.Equal);

    /// <summary>For a terminal.</summary>
    public void Write(IAnsiConsole console)
    {
        console.WriteLine($"{Machine}; target {Model}; draft {Draft}; {MaxTokens} tokens per prompt");
        Table table = new Table().AddColumns("text", "T", "proposing", "tokens/batch", "accepted/batch by stage", "ms/token", "x off");
        foreach (SourceSection section in Sections)
        {
            foreach (SourceResult result in section.Results)
            {
                table.AddRow([.. Cells(section, result).Select(Markup.Escape)]);
            }

            table.AddRow([.. (string[])["", "", "off again, 90 % of prompts", "", "", "", Band(section)]]);
        }

        console.Write(table);
        console.WriteLine(Equal ? "Every way gave the same text on every prompt." : "THE TEXTS DIFFER.");
    }

    /// <summary>As a Markdown table.</summary>
    public string Markdown()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Model}, draft {Draft}; {MaxTokens} tokens per prompt; {Machine}; texts ")
            .Append(Equal ? "equal.\n\n" : "DIFFER.\n\n")
            .Append("| text | T | proposing | tokens per batch | accepted per batch | ms per token | times `off` | `off` against `off` |\n")
            .Append("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
        foreach (SourceSection section in Sections)
        {
            foreach (SourceResult result in section.Results)
            {
                text.Append("| ").AppendJoin(" | ", Cells(section, result)).Append(" | ").Append(Band(section)).Append(" |\n");
            }
        }

        return text.ToString();
    }

    internal static string Band(SourceSection section) =>
        section.Noise is { } noise ? Invariant($"{noise.Low:F2} to {noise.High:F2}") : "";

    internal static string Accepted(SourceResult result) => string.Join(
        ", ", result.AcceptedPerBatch.Where(stage => stage.Value > 0).Select(stage => Invariant($"{stage.Key} {stage.Value:F2}")));

    private static string[] Cells(SourceSection section, SourceResult result) =>
    [
        section.Kind,
        Invariant($"{section.Temperature}"),
        result.Name,
        Invariant($"{result.TokensPerBatch:F2}"),
        Accepted(result),
        Invariant($"{result.MillisecondsPerToken:F3}"),
        Invariant($"{result.Speedup:F2}"),
    ];

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
