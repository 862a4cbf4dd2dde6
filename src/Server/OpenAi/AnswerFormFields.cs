using System.Text;
using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>
/// What a request says of the form of its answer: <c>response_format</c>, or one of the names that other local servers have for it. See
/// <see cref="ChatParameters.Form"/>.
/// </summary>
public static class AnswerFormFields
{
    /// <returns>Null: any text.</returns>
    /// <exception cref="ApiException">400, naming the field; also where two fields ask for different things.</exception>
    public static AnswerForm? Read(Fields fields)
    {
        AnswerForm? form = null;
        Take(ReadResponseFormat(fields.Object("response_format"), "response_format"));
        TakeAll(fields, "", ["json_schema", "guided_json"], ["regex", "guided_regex"], ["guided_choice"],
            ["grammar", "guided_grammar", "ebnf"]);
        Fields outputs = fields.Object("structured_outputs");
        TakeAll(outputs, "structured_outputs.", ["json"], ["regex"], ["choice"], ["grammar"]);
        Take(outputs.Flag("json_object") is true ? new JsonObjectForm("structured_outputs.json_object") : null);
        return form;

        void TakeAll(Fields from, string prefix, string[] schemas, string[] regexes, string[] choices, string[] grammars)
        {
            foreach (string name in schemas)
            {
                Take(from.TryGet(name, out JsonElement schema)
                    ? new JsonSchemaForm(prefix + name, ReadSchema(schema, prefix + name)) : null);
            }

            foreach (string name in regexes)
            {
                Take(from.Text(name) is { } pattern ? new RegexForm(prefix + name, pattern) : null);
            }

            foreach (string name in choices)
            {
                Take(from.Has(name) ? new GbnfForm(prefix + name, Alternatives(from.List(name))) : null);
            }

            foreach (string name in grammars)
            {
                Take(from.Text(name) is { Length: > 0 } grammar ? new GbnfForm(prefix + name, grammar) : null);
            }
        }

        void Take(AnswerForm? found) => form = found is null ? form
            : form is null ? found
            : throw ApiException.Invalid(found.Field,
                $"{found.Field} and {form.Field} both say what the answer must look like; leave one of them out.");
    }

    /// <summary>The schema, or the text of one, which is not looked at here.</summary>
    /// <exception cref="ApiException">400: the text is no JSON.</exception>
    internal static JsonElement ReadSchema(JsonElement value, string name)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            return value.Clone();
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(value.GetString()!);
            return Shape.JsonSchema.Check(document.RootElement) is null && document.RootElement.ValueKind != JsonValueKind.String
                ? document.RootElement.Clone()
                : throw Fields.Wrong(name, value, Shape.JsonSchema.Words);
        }
        catch (JsonException e)
        {
            throw e.Message.Contains("maximum configured depth", StringComparison.Ordinal)
                ? ApiException.Invalid(name, $"{name} is nested too deep; at most 64 levels are read.")
                : Fields.Wrong(name, value, Shape.JsonSchema.Words);
        }
    }

    private static AnswerForm? ReadResponseFormat(Fields format, string name)
    {
        switch (format.Text("type"))
        {
            case "json_object":
                // Beyond OpenAI, as some local servers have it: a schema beside the type.
                return format.TryGet("schema", out JsonElement beside)
                    ? new JsonSchemaForm($"{name}.schema", ReadSchema(beside, $"{name}.schema"))
                    : new JsonObjectForm(name);
            case "json_schema":
                // The schema holds whether strict or not: an answer that keeps to it serves both.
                name += ".json_schema";
                return format.Object("json_schema").TryGet("schema", out JsonElement schema)
                    ? new JsonSchemaForm($"{name}.schema", ReadSchema(schema, $"{name}.schema"))
                    : new JsonObjectForm(name);
            default:
                return null;
        }
    }

    /// <summary>A grammar of these texts alone.</summary>
    private static string Alternatives(IEnumerable<JsonElement> texts)
    {
        var grammar = new StringBuilder("root ::= ");
        foreach ((int i, JsonElement text) in texts.Index())
        {
            grammar.Append(i > 0 ? " | \"" : "\"");
            foreach (Rune rune in text.GetString()!.EnumerateRunes())
            {
                grammar.Append(rune.Value switch
                {
                    '"' or '\\' => $"\\{rune}",
                    < ' ' => $"\\x{rune.Value:X2}",
                    _ => rune.ToString(),
                });
            }

            grammar.Append('"');
        }

        return grammar.ToString();
    }
}
