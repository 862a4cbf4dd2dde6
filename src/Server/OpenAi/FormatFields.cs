using System.Text.Json;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi;

/// <summary>
/// What a request says of the form of its answer: <c>response_format</c>, or one of the names that other local servers have for it:
/// <c>json_schema</c>, <c>guided_json</c>, <c>guided_regex</c>, <c>regex</c>, <c>grammar</c>, <c>guided_grammar</c>.
/// </summary>
public static class FormatFields
{
    private const string Schema = "a JSON schema: an object, true or false";

    /// <returns>Null: any text.</returns>
    /// <exception cref="ApiException">400, naming the field; also where two fields ask for different things.</exception>
    public static AnswerFormat? Read(Fields fields)
    {
        AnswerFormat? format = null;
        Take(ReadResponseFormat(fields));
        foreach (string name in (ReadOnlySpan<string>)["json_schema", "guided_json"])
        {
            Take(fields.TryGet(name, out JsonElement schema) ? new JsonSchemaFormat(name, ReadSchema(schema, name)) : null);
        }

        foreach (string name in (ReadOnlySpan<string>)["regex", "guided_regex"])
        {
            Take(fields.Text(name) is { } pattern ? new RegexFormat(name, pattern) : null);
        }

        foreach (string name in (ReadOnlySpan<string>)["grammar", "guided_grammar"])
        {
            Take(fields.Text(name) is { Length: > 0 } grammar ? new GbnfFormat(name, grammar) : null);
        }

        return format;

        void Take(AnswerFormat? found) => format = found is null ? format
            : format is null ? found
            : throw ApiException.Invalid(found.Field,
                $"{found.Field} and {format.Field} both say what the answer must look like; leave one of them out.");
    }

    private static AnswerFormat? ReadResponseFormat(Fields fields)
    {
        const string Name = "response_format";
        const string Types = "\"text\", \"json_object\" or \"json_schema\"";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Object || !new Fields(value).TryGet("type", out JsonElement type))
        {
            throw Fields.Wrong(Name, value, $"an object whose type is {Types}");
        }

        switch (Fields.Text(type, $"{Name}.type", Types))
        {
            case "text":
                return null;
            case "json_object":
                // Beyond OpenAI, as some local servers have it: a schema beside the type.
                return new Fields(value).TryGet("schema", out JsonElement beside)
                    ? new JsonSchemaFormat($"{Name}.schema", ReadSchema(beside, $"{Name}.schema"))
                    : new JsonObjectFormat(Name);
            case "json_schema":
                return ReadJsonSchema(new Fields(value), Name);
            default:
                throw Fields.Wrong($"{Name}.type", type, Types);
        }
    }

    private static AnswerFormat ReadJsonSchema(Fields format, string name)
    {
        name += ".json_schema";
        if (!format.TryGet("json_schema", out JsonElement holder) || holder.ValueKind != JsonValueKind.Object)
        {
            throw ApiException.Invalid(name, $"{name} is missing; it must be an object with name and schema.");
        }

        ToolFields.CheckName(holder, name);
        var fields = new Fields(holder);
        if (fields.TryGet("strict", out JsonElement strict) && strict.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
        {
            throw Fields.Wrong($"{name}.strict", strict, "true or false");
        }

        if (fields.TryGet("description", out JsonElement description))
        {
            Fields.Text(description, $"{name}.description", "a string");
        }

        // The schema holds whether strict or not: an answer that keeps to it serves both.
        return fields.TryGet("schema", out JsonElement schema)
            ? new JsonSchemaFormat($"{name}.schema", ReadSchema(schema, $"{name}.schema"))
            : new JsonObjectFormat(name);
    }

    /// <summary>The schema, or the text of one.</summary>
    private static JsonElement ReadSchema(JsonElement value, string name)
    {
        if (value.ValueKind == JsonValueKind.String)
        {
            try
            {
                using JsonDocument document = JsonDocument.Parse(Fields.Text(value, name, Schema));
                return ReadSchema(document.RootElement, name);
            }
            catch (JsonException e)
            {
                throw e.Message.Contains("maximum configured depth", StringComparison.Ordinal)
                    ? ApiException.Invalid(name, $"{name} is nested too deep; at most 64 levels are read.")
                    : Fields.Wrong(name, value, Schema);
            }
        }

        return value.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False
            ? value.Clone()
            : throw Fields.Wrong(name, value, Schema);
    }
}
