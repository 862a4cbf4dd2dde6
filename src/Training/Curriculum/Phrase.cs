using System.Globalization;
using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>What a function does, put into the sentences that docstrings and requests use.</summary>
internal static class Phrase
{
    private static readonly HashSet<string> _verbs =
    [
        "add", "capitalize", "center", "compress", "convert", "encode", "encrypt", "expand", "flatten", "group", "interleave", "join",
        "limit", "make", "merge", "move", "multiply", "parse", "raise", "remove", "repeat", "reverse", "rotate", "shift", "shorten",
        "sort", "split", "swap", "transpose", "undo",
    ];

    private const string Whether = "whether ";

    /// <summary>Whether it is an order, such as "sort a list".</summary>
    public static bool IsOrder(string description) => _verbs.Contains(FirstWord(description));

    /// <summary>The first sentence of a docstring.</summary>
    public static string Docstring(string description, SeededRandom random)
    {
        string sentence = description.StartsWith(Whether, StringComparison.Ordinal)
            ? random.Pick(
                $"Return True if {description[Whether.Length..]}, otherwise False", $"Return {description}", $"Check {description}",
                $"Check if {description[Whether.Length..]}", $"Tell {description}")
            : IsOrder(description) ? random.Pick(description, description, ThirdPerson(description))
            : description.StartsWith("the ", StringComparison.Ordinal)
                ? random.Pick(
                    $"Return {description}", $"Return {description}", $"Returns {description}", $"Compute {description}",
                    $"Find {description}")
                : random.Pick($"Return {description}", $"Return {description}", $"Returns {description}");
        return Capital(sentence) + ".";
    }

    /// <summary>What stands behind "a function that".</summary>
    public static string Relative(string description, SeededRandom random) =>
        description.StartsWith(Whether, StringComparison.Ordinal) ? $"{random.Pick("checks", "tells", "says", "returns")} {description}"
        : IsOrder(description) ? ThirdPerson(description)
        : $"{random.Pick("returns", "returns", "finds", "gives")} {description}";

    public static string Capital(string text) => text.Length == 0 ? text : char.ToUpper(text[0], CultureInfo.InvariantCulture) + text[1..];

    private static string ThirdPerson(string order)
    {
        string verb = FirstWord(order);
        string ending = verb.EndsWith("ss", StringComparison.Ordinal) || verb.EndsWith('o') ? "es" : "s";
        return verb + ending + order[verb.Length..];
    }

    private static string FirstWord(string text) => text.Split(' ', 2)[0];
}
