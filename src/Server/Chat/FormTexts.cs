using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>Grammars of fixed and of free texts, for one tokenizer.</summary>
/// <param name="marks">Texts that may be special tokens, which grammars allow by their ids alone, since they have no text.</param>
/// <param name="budget">Work that reading schemas may take.</param>
internal sealed class FormTexts(Tokenizer tokenizer, IEnumerable<string> marks, GrammarBudget budget)
{
    private readonly string[] _specials =
        [.. marks.Where(mark => TemplateTraits.IsSpecial(tokenizer, mark, out _)).Distinct().OrderByDescending(mark => mark.Length)];

    /// <summary>Nine letters and digits.</summary>
    public static Grammar ShortId { get; } = Grammar.Repeat(
        Grammar.Characters(('0', '9'), ('A', 'Z'), ('a', 'z')), TemplateValues.MistralIdLength, TemplateValues.MistralIdLength);

    /// <summary>Exactly this text, whose marks are tokens where the tokenizer has them as such.</summary>
    public Grammar Of(string text)
    {
        if (_specials.Length == 0)
        {
            return Grammar.Literal(text);
        }

        string pattern = "(" + string.Join('|', _specials.Select(Regex.Escape)) + ")";
        return Grammar.Sequence([.. Regex.Split(text, pattern).Where(part => part.Length > 0).Select(part =>
            _specials.Contains(part) && tokenizer.TryGetId(part, out int id) ? Grammar.Token(id) : Grammar.Literal(part))]);
    }

    /// <summary>The texts of a string that a schema allows, without quotes, as far as they do not hold a mark.</summary>
    /// <param name="without">Ends the string.</param>
    public static Grammar Text(JsonElement schema, string without)
    {
        if (Values(schema) is { } values)
        {
            return Grammar.Choice([.. values.Where(value => value.ValueKind == JsonValueKind.String)
                .Select(value => Grammar.Literal(value.GetString()!))]);
        }

        Grammar text = Grammar.TextWithout(without);
        if (schema.ValueKind != JsonValueKind.Object)
        {
            return text;
        }

        int least = Length(schema, "minLength") ?? 0;
        int? most = Length(schema, "maxLength");
        if (least > 0 || most is not null)
        {
            text = Grammar.Intersect(text, Grammar.Repeat(Grammar.Characters((0, 0x10FFFF)), least, most));
        }

        if (schema.TryGetProperty("pattern", out JsonElement pattern) && pattern.ValueKind == JsonValueKind.String)
        {
            // A pattern holds where it matches anywhere.
            string expression = pattern.GetString()!;
            string before = expression.StartsWith('^') ? "" : "[\\s\\S]*";
            string after = expression.EndsWith('$') && !expression.EndsWith("\\$", StringComparison.Ordinal) ? "" : "[\\s\\S]*";
            text = Grammar.Intersect(text, before.Length + after.Length == 0 ? Grammar.Regex(expression)
                : Grammar.Regex($"{before}(?:{expression.TrimStart('^')[..^(after.Length == 0 ? 1 : 0)]}){after}"));
        }

        return text;
    }

    /// <summary>The values that a schema lists; null: it lists none.</summary>
    public static IReadOnlyList<JsonElement>? Values(JsonElement schema) => schema.ValueKind != JsonValueKind.Object ? null
        : schema.TryGetProperty("const", out JsonElement only) ? [only]
        : schema.TryGetProperty("enum", out JsonElement values) && values.ValueKind == JsonValueKind.Array ? [.. values.EnumerateArray()]
        : null;

    /// <summary>A tool's arguments as JSON; of one that is not strict they are held to what can be held of its parameters.</summary>
    public Grammar Arguments(Tool tool) => Grammar.JsonSchema(tool.Parameters, loosely: !tool.Strict, budget);

    /// <summary>JSON of a schema within a tool's, whose definitions it may refer to.</summary>
    public Grammar Json(Tool tool, JsonElement schema)
    {
        if (schema.ValueKind != JsonValueKind.Object || !schema.GetRawText().Contains("\"$ref\"", StringComparison.Ordinal))
        {
            return Grammar.JsonSchema(schema, loosely: !tool.Strict, budget);
        }

        JsonObject whole = JsonObject.Create(schema.Clone())!;
        foreach (string definitions in (string[])["$defs", "definitions"])
        {
            if (tool.Parameters.TryGetProperty(definitions, out JsonElement defined) && !whole.ContainsKey(definitions))
            {
                whole[definitions] = JsonNode.Parse(defined.GetRawText());
            }
        }

        return Grammar.JsonSchema(JsonDocument.Parse(whole.ToJsonString()).RootElement, loosely: !tool.Strict, budget);
    }

    private static int? Length(JsonElement schema, string keyword) =>
        schema.TryGetProperty(keyword, out JsonElement length) && length.TryGetInt32(out int count) && count >= 0 ? count : null;
}
