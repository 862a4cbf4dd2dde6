using System.Text.Encodings.Web;
using System.Text.Json;
using Understory.Decoding.Constraints.Automata;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// How JSON values are written. White space is bounded, so that no answer can lose itself in it, and so are the digits of numbers, so that
/// every number is finite wherever it is read.
/// </summary>
internal sealed class JsonTexts
{
    /// <summary>Digits before the point, and behind it.</summary>
    public const int MaxDigits = 18;

    private static readonly JsonSerializerOptions _readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private JsonTexts(Grammar space, string colon, string comma, bool free)
    {
        Space = space;
        Colon = free ? Grammar.Sequence(Grammar.Literal(colon), space) : Grammar.Literal(colon);
        Comma = free ? Grammar.Sequence(Grammar.Literal(comma), space) : Grammar.Literal(comma);
        String = Grammar.Rule("string", Grammar.Sequence(Grammar.Literal("\""), Grammar.Repeat(Character), Grammar.Literal("\"")));
        GrammarRule value = Grammar.Rule("value");
        Object = Grammar.Rule("object",
            Grammar.Sequence(Grammar.Literal("{"), space, List(Grammar.Sequence(String, Colon, value)), Grammar.Literal("}")));
        Array = Grammar.Rule("array", Grammar.Sequence(Grammar.Literal("["), space, List(value), Grammar.Literal("]")));
        value.Body = Grammar.Choice(Object, Array, String, Number, Boolean, Null);
        Value = value;

        Grammar List(Grammar item) => Grammar.Optional(Grammar.Sequence(item, Grammar.Repeat(Grammar.Sequence(Comma, item)), space));
    }

    /// <summary>Characters that stand in a string as they are.</summary>
    public static CodePointSet Plain { get; } = CodePointSet.Of((0, 0x1F), ('"', '"'), ('\\', '\\')).Complement();

    /// <summary>A character of a string, written in any way that JSON knows. Surrogates only come in pairs.</summary>
    public static Grammar Character { get; } = Grammar.Choice(
        new GrammarClass(Plain),
        Grammar.Sequence(Grammar.Literal("\\"), new GrammarClass(CodePointSet.AnyOf("\"\\/bfnrt"))),
        Grammar.Sequence(Grammar.Literal("\\u"), Grammar.Choice(
            Grammar.Regex("[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}"),
            Grammar.Regex("[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}"))));

    /// <summary>A character of a string with one way of writing it; control characters by their short escapes only.</summary>
    public static Grammar SimpleCharacter { get; } = Grammar.Choice(
        new GrammarClass(Plain),
        Grammar.Sequence(Grammar.Literal("\\"), new GrammarClass(CodePointSet.AnyOf("\"\\bfnrt"))));

    public static Grammar Number { get; } =
        Grammar.Rule("number", Grammar.Regex($"-?(0|[1-9][0-9]{{0,{MaxDigits - 1}}})(\\.[0-9]{{1,{MaxDigits}}})?([eE][+-]?[0-9]{{1,2}})?"));

    public static Grammar Integer { get; } = Grammar.Rule("integer", Grammar.Regex($"0|-?[1-9][0-9]{{0,{MaxDigits - 1}}}"));

    public static Grammar Boolean { get; } = Grammar.Choice(Grammar.Literal("true"), Grammar.Literal("false"));

    public static Grammar Null { get; } = Grammar.Literal("null");

    /// <summary>
    /// One line, a blank after each comma and colon: what <c>json.dumps</c> writes, and models know best. Leaves the writer no choice.
    /// </summary>
    public static JsonTexts Line { get; } = new(Grammar.Empty, ": ", ", ", free: false);

    /// <summary>At most one blank, or a line end and its indentation, between two parts.</summary>
    public static JsonTexts Free { get; } = new(
        Grammar.Choice(Grammar.Empty, Grammar.Literal(" "),
            Grammar.Sequence(Grammar.Literal("\n"), Grammar.Repeat(new GrammarClass(CodePointSet.AnyOf(" \t")), 0, 24))),
        ":",
        ",",
        free: true);

    /// <summary>What may stand between two parts.</summary>
    public Grammar Space { get; }

    public Grammar Colon { get; }

    public Grammar Comma { get; }

    public Grammar String { get; }

    public Grammar Object { get; }

    public Grammar Array { get; }

    public Grammar Value { get; }

    /// <summary>A text as a JSON string, with its quotation marks.</summary>
    public static string Quote(string text) => JsonSerializer.Serialize(text, _readable);

    /// <summary>A value on one line, numbers as they stand.</summary>
    public static string Write(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object =>
            "{" + string.Join(", ", value.EnumerateObject().Select(entry => Quote(entry.Name) + ": " + Write(entry.Value))) + "}",
        JsonValueKind.Array => "[" + string.Join(", ", value.EnumerateArray().Select(Write)) + "]",
        JsonValueKind.String => Quote(value.GetString()!),
        _ => value.GetRawText(),
    };

    /// <summary>Texts of <paramref name="text"/> as they stand within a JSON string, each character written in one way.</summary>
    public static Grammar Escape(Grammar text) => text switch
    {
        GrammarClass set => EscapeClass(set.Set),
        GrammarSequence sequence => Grammar.Sequence([.. sequence.Parts.Select(Escape)]),
        GrammarChoice choice => Grammar.Choice([.. choice.Options.Select(Escape)]),
        GrammarRepeat repeat => Grammar.Repeat(Escape(repeat.Body), repeat.Min, repeat.Max),
        _ => throw new InvalidOperationException($"{text.GetType().Name} does not come from a regular expression."),
    };

    private static Grammar EscapeClass(CodePointSet set)
    {
        var options = new List<Grammar> { new GrammarClass(set.Intersect(Plain)) };
        foreach ((int first, int last) in set.Except(Plain).Ranges)
        {
            for (int codePoint = first; codePoint <= last; codePoint++)
            {
                options.Add(Grammar.Literal(codePoint switch
                {
                    '"' => "\\\"",
                    '\\' => "\\\\",
                    '\b' => "\\b",
                    '\f' => "\\f",
                    '\n' => "\\n",
                    '\r' => "\\r",
                    '\t' => "\\t",
                    _ => $"\\u{codePoint:x4}",
                }));
            }
        }

        return Grammar.Choice([.. options]);
    }
}
