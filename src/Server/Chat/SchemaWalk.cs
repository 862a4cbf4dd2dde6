using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>What grammars of arguments that are no JSON ask a schema for.</summary>
internal static class SchemaWalk
{
    private const int Deepest = 16;

    /// <summary>The names that an object must have.</summary>
    public static HashSet<string> Required(JsonElement schema) =>
        schema.ValueKind == JsonValueKind.Object && schema.TryGetProperty("required", out JsonElement names)
            && names.ValueKind == JsonValueKind.Array
            ? [.. names.EnumerateArray().Where(name => name.ValueKind == JsonValueKind.String).Select(name => name.GetString()!)] : [];

    /// <summary>A schema behind its references, and behind an <c>allOf</c> of one.</summary>
    public static JsonElement Resolve(JsonElement root, JsonElement schema)
    {
        for (int i = 0; i < Deepest && schema.ValueKind == JsonValueKind.Object; i++)
        {
            if (schema.TryGetProperty("$ref", out JsonElement reference) && reference.ValueKind == JsonValueKind.String
                && SchemaReference.Find(root, reference.GetString()!) is { } target)
            {
                schema = target;
            }
            else if (schema.TryGetProperty("allOf", out JsonElement parts) && parts.ValueKind == JsonValueKind.Array
                && parts.GetArrayLength() == 1)
            {
                schema = parts[0];
            }
            else
            {
                break;
            }
        }

        return schema;
    }

    /// <summary>The alternatives of a union, or the schema itself.</summary>
    public static IReadOnlyList<JsonElement> Alternatives(JsonElement schema)
    {
        foreach (string keyword in (string[])["anyOf", "oneOf"])
        {
            if (schema.ValueKind == JsonValueKind.Object && schema.TryGetProperty(keyword, out JsonElement options)
                && options.ValueKind == JsonValueKind.Array)
            {
                return [.. options.EnumerateArray()];
            }
        }

        return [schema];
    }

    /// <summary>The types that a schema names or implies; null: any.</summary>
    public static IReadOnlyList<string>? Types(JsonElement schema)
    {
        if (schema.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        if (schema.TryGetProperty("type", out JsonElement type))
        {
            return type.ValueKind == JsonValueKind.Array
                ? [.. type.EnumerateArray().Where(one => one.ValueKind == JsonValueKind.String).Select(one => one.GetString()!)]
                : type.ValueKind == JsonValueKind.String ? [type.GetString()!] : null;
        }

        return schema.TryGetProperty("properties", out _) ? ["object"] : schema.TryGetProperty("items", out _) ? ["array"] : null;
    }
}
