using System.Text.Json;
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
    public static IEnumerable<(string? Prompt, string? Solution)> ReadTasks(Stream lines)
    {
        using var reader = new StreamReader(lines);
        while (reader.ReadLine() is string line)
        {
            using var task = JsonDocument.Parse(line);
            yield return (Text(task, "prompt"), Text(task, "canonical_solution"));
        }

        static string? Text(JsonDocument task, string key) =>
            task.RootElement.TryGetProperty(key, out JsonElement text) ? text.GetString() : null;
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
