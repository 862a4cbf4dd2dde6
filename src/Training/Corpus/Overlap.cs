using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Understory.Training.Corpus;

/// <summary>
/// Texts that must not be trained on: whoever holds the name of one of their functions, or eight of their words in a row, is left out.
/// </summary>
internal sealed partial class Overlap
{
    private const int Words = 8;

    private readonly HashSet<string> _names = [];
    private readonly HashSet<string> _runs = [];

    /// <param name="texts">Such as HumanEval's prompts and solutions.</param>
    public Overlap(IEnumerable<string> texts)
    {
        foreach (string text in texts)
        {
            _names.UnionWith(Names().Matches(text).Select(match => match.Groups[1].Value).Where(name => name.Contains('_')));
            _runs.UnionWith(Runs(text));
        }
    }

    /// <summary>Prompts and solutions in a file of HumanEval's form: a line each, with <c>prompt</c>, <c>canonical_solution</c>.</summary>
    /// <param name="path">Whose lines they are.</param>
    public static IEnumerable<(string? Prompt, string? Solution)> ReadTasks(Stream lines, string path)
    {
        using var reader = new StreamReader(lines);
        for (int number = 1; reader.ReadLine() is string line; number++)
        {
            if (!string.IsNullOrWhiteSpace(line))
            {
                JsonNode? task = Parsed(line, $"{path}, line {number}");
                yield return ((string?)task?["prompt"], (string?)task?["canonical_solution"]);
            }
        }
    }

    private static JsonObject? Parsed(string line, string place)
    {
        try
        {
            return JsonNode.Parse(line)?.AsObject();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new TrainingException($"{place} is no JSON object: a file of HumanEval's form has one in each line, with \"prompt\" and "
                + "\"canonical_solution\".", e);
        }
    }

    /// <summary>Whether <paramref name="text"/> shares a function's name or a run of words; names of one word are everybody's.</summary>
    public bool With(string text) =>
        Names().Matches(text).Any(match => _names.Contains(match.Groups[1].Value)) || Runs(text).Any(_runs.Contains);

    private static IEnumerable<string> Runs(string text)
    {
        string[] words = [.. WordPattern().Matches(text).Select(match => match.Value.ToLowerInvariant())];
        for (int i = 0; i + Words <= words.Length; i++)
        {
            yield return string.Join(' ', words.AsSpan(i, Words));
        }
    }

    [GeneratedRegex(@"\bdef\s+(\w+)")]
    private static partial Regex Names();

    [GeneratedRegex(@"\w+")]
    private static partial Regex WordPattern();
}
