using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>The types of values.</summary>
internal static class SchemaTypes
{
    /// <summary>The types that all parts allow. Where none names a type, keywords that only concern one type stand for it.</summary>
    public static IReadOnlySet<string> Of(List<SchemaPart> parts)
    {
        SortedSet<string>? types = Named(parts);
        if (types is null)
        {
            types = [.. SchemaKeywords.OfType.Where(entry =>
                entry.Value.Any(keyword => parts.Any(part => part.Node.Has(keyword)))).Select(entry => entry.Key)];
            types = types.Count > 0 ? types : [.. SchemaKeywords.OfType.Keys];
        }

        if (types.Contains("number"))
        {
            types.Remove("integer");
        }

        return types;
    }

    /// <summary>The types that all parts name; null: none names any.</summary>
    public static SortedSet<string>? Named(List<SchemaPart> parts)
    {
        SortedSet<string>? types = null;
        foreach (SchemaPart part in parts.Where(part => part.Node.Has("type")))
        {
            SchemaNode type = part.Node["type"];
            string[] allowed = type.Schema.ValueKind == JsonValueKind.String ? [part.Node.Text("type")] : [.. part.Node.Names("type")];
            if (allowed.Except(SchemaKeywords.OfType.Keys).FirstOrDefault() is { } unknown)
            {
                throw new GrammarException(type.Path, $"'{unknown}' is not a type of JSON Schema.");
            }

            types ??= [.. SchemaKeywords.OfType.Keys];
            types.IntersectWith(allowed.Contains("number") ? allowed.Append("integer") : allowed);
        }

        return types;
    }

    public static string Of(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.Number => JsonNumber.Of(value).IsInteger ? "integer" : "number",
        JsonValueKind.Null => "null",
        _ => "boolean",
    };

    /// <summary>A text that two values share exactly when they are equal.</summary>
    public static string Canonical(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "{" + string.Join(',', JsonTexts.Members(value).OrderBy(entry => entry.Key, StringComparer.Ordinal)
            .Select(entry => JsonTexts.Quote(entry.Key) + ":" + Canonical(entry.Value))) + "}",
        JsonValueKind.Array => "[" + string.Join(',', value.EnumerateArray().Select(Canonical)) + "]",
        JsonValueKind.String => JsonTexts.Quote(value.GetString()!),
        JsonValueKind.Number => JsonNumber.Of(value).ToString(),
        _ => value.GetRawText(),
    };
}
