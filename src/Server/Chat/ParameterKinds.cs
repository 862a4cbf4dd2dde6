using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>What the parameters of a tool are: says how a value that was written without quotes is meant.</summary>
/// <param name="schema">The tool's parameters, a JSON schema.</param>
public sealed class ParameterKinds(JsonElement schema)
{
    private const int Deepest = 16;

    /// <summary>The parameter can only be a string, so that its text is its value.</summary>
    public bool IsText(string name) => TypesOf(name) is { Count: 1 } types && types.Contains("string");

    /// <summary>
    /// A value as JSON: as what its schema allows, else as the JSON that it looks like, else as a string. Python's names for truth values
    /// and nothing count too.
    /// </summary>
    public string ToJson(string name, string text)
    {
        HashSet<string>? types = TypesOf(name);
        string value = text.Trim();
        value = value switch { "True" => "true", "False" => "false", "None" => "null", _ => value };
        if (Repaired(value) is { } json && json[0] != '"' && (types is null || Allows(types, json)))
        {
            return json;
        }

        return JsonSerializer.Serialize(text, ToolSyntax.Readable);
    }

    /// <summary>A whole JSON value, put right; null: it is none.</summary>
    public static string? Repaired(string text)
    {
        var scanner = new JsonScanner();
        for (int i = 0; i < text.Length; i++)
        {
            JsonScanner.Step step = scanner.Feed(text[i]);
            if (step is JsonScanner.Step.Broken or JsonScanner.Step.Past || (step == JsonScanner.Step.Last && i < text.Length - 1))
            {
                return null;
            }
        }

        return scanner.Complete ? scanner.Take() : null;
    }

    private static bool Allows(HashSet<string> types, string json) => json[0] switch
    {
        '{' => types.Contains("object"),
        '[' => types.Contains("array"),
        't' or 'f' => types.Contains("boolean"),
        'n' => types.Contains("null"),
        _ => types.Contains("number") || (types.Contains("integer") && json.AsSpan().IndexOfAny('.', 'e', 'E') < 0),
    };

    /// <summary>The types of a parameter; null: any.</summary>
    private HashSet<string>? TypesOf(string name) =>
        SchemaWalk.Resolve(schema, schema) is { ValueKind: JsonValueKind.Object } shape
            && shape.TryGetProperty("properties", out JsonElement properties) && properties.ValueKind == JsonValueKind.Object
            && properties.TryGetProperty(name, out JsonElement parameter)
            ? Types(parameter, 0) : null;

    private HashSet<string>? Types(JsonElement at, int depth)
    {
        if (at.ValueKind != JsonValueKind.Object || depth > Deepest)
        {
            return null;
        }

        if (at.TryGetProperty("type", out JsonElement type))
        {
            return type.ValueKind == JsonValueKind.String ? [type.GetString()!]
                : type.ValueKind == JsonValueKind.Array
                    ? [.. type.EnumerateArray().Where(one => one.ValueKind == JsonValueKind.String).Select(one => one.GetString()!)] : null;
        }

        if (at.TryGetProperty("const", out JsonElement only))
        {
            return [TypeOf(only)];
        }

        if (at.TryGetProperty("enum", out JsonElement values) && values.ValueKind == JsonValueKind.Array)
        {
            return [.. values.EnumerateArray().Select(TypeOf)];
        }

        if (at.TryGetProperty("$ref", out JsonElement reference) && reference.ValueKind == JsonValueKind.String)
        {
            return SchemaReference.Find(schema, reference.GetString()!) is { } target ? Types(target, depth + 1) : null;
        }

        foreach (string keyword in (string[])["anyOf", "oneOf"])
        {
            if (at.TryGetProperty(keyword, out JsonElement options) && options.ValueKind == JsonValueKind.Array)
            {
                HashSet<string>?[] each = [.. options.EnumerateArray().Select(option => Types(option, depth + 1))];
                return Array.Exists(each, one => one is null) ? null : [.. each.SelectMany(one => one!)];
            }
        }

        return at.TryGetProperty("allOf", out JsonElement parts) && parts.ValueKind == JsonValueKind.Array
            ? parts.EnumerateArray().Select(part => Types(part, depth + 1)).FirstOrDefault(types => types is not null) : null;
    }

    private static string TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => "string",
        JsonValueKind.Number => "number",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        _ => "null",
    };
}
