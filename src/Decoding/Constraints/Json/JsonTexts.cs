using System.Text;
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

    private JsonTexts(Grammar space, string colon, string comma, bool free)
    {
        Space = space;
        Colon = free ? Grammar.Sequence(Grammar.Literal(colon), space) : Grammar.Literal(colon);
        Comma = free ? Grammar.Sequence(Grammar.Literal(comma), space) : Grammar.Literal(comma);
        String = Grammar.Rule("string", Grammar.Sequence(Grammar.Literal("\""), Grammar.Repeat(Character), Grammar.Literal("\"")));
        GrammarRule value = Grammar.Rule("value");
        Object = Grammar.Rule("object",
            Braced(space, List(Grammar.Sequence(Key, Colon, value))));
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

    /// <summary>A key that its object does not have yet.</summary>
    public static Grammar Key { get; } = KeyOf(Grammar.Repeat(SimpleCharacter));

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

    /// <summary>A text as a JSON string, with its quotation marks: in the one way in which <see cref="SimpleCharacter"/> has it.</summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder("\"", text.Length + 2);
        foreach (char c in text)
        {
            _ = c is '"' or '\\' or < ' ' ? quoted.Append(Escaped(c)) : quoted.Append(c);
        }

        return quoted.Append('"').ToString();
    }

    /// <summary>A value on one line, numbers as they stand; of keys that come twice the last one counts.</summary>
    public static string Write(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "{" + string.Join(", ", Members(value).Select(entry => Quote(entry.Key) + ": " + Write(entry.Value))) + "}",
        JsonValueKind.Array => "[" + string.Join(", ", value.EnumerateArray().Select(Write)) + "]",
        JsonValueKind.String => Quote(value.GetString()!),
        _ => value.GetRawText(),
    };

    /// <summary>What <see cref="Write"/> writes. Its braces count as those of other objects do, which may begin in the same way.</summary>
    public static Grammar Constant(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Object)
        {
            return Braced(Grammar.Empty, Listed([.. Members(value)
                .Select(entry => Grammar.Sequence(Grammar.Literal(Quote(entry.Key) + ": "), Constant(entry.Value)))]));
        }

        return value.ValueKind == JsonValueKind.Array
            ? Grammar.Sequence(Grammar.Literal("["), Listed([.. value.EnumerateArray().Select(Constant)]), Grammar.Literal("]"))
            : Grammar.Literal(Write(value));

        static Grammar Listed(Grammar[] parts) => Grammar.Sequence([.. parts.SelectMany((part, i) =>
            i == 0 ? (Grammar[])[part] : [Grammar.Literal(", "), part])]);
    }

    /// <summary>An object's members in their order; of equal keys the last value counts.</summary>
    public static Dictionary<string, JsonElement> Members(JsonElement value)
    {
        var members = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (JsonProperty member in value.EnumerateObject())
        {
            members[member.Name] = member.Value;
        }

        return members;
    }

    public static Grammar Braced(Grammar space, Grammar members) =>
        Grammar.Object(Grammar.Literal("{"), Grammar.Sequence(space, members), Grammar.Literal("}"));

    /// <summary>A key, with its quotation marks, that its object does not have yet.</summary>
    /// <param name="text">Of <see cref="SimpleCharacter"/>, so that equal keys are equal bytes.</param>
    public static Grammar KeyOf(Grammar text) =>
        Grammar.Rule("key", Grammar.Sequence(Grammar.Literal("\""), Grammar.Key(text, Grammar.Literal("\""))));

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
                options.Add(Grammar.Literal(Escaped(codePoint)));
            }
        }

        return Grammar.Choice([.. options]);
    }

    private static string Escaped(int codePoint) => codePoint switch
    {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\b' => "\\b",
        '\f' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => $"\\u{codePoint:x4}",
    };
}
