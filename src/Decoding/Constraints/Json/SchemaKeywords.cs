using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Which keywords of JSON Schema are honoured, and which must not be passed over.</summary>
internal static class SchemaKeywords
{
    private static readonly HashSet<string> _unsupported =
    [
        "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies", "patternProperties", "propertyNames",
        "contains", "minContains",
        "maxContains", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef", "multipleOf", "uniqueItems",
        "minProperties", "maxProperties",
        "contentSchema", "extends", "disallow", "divisibleBy",
    ];

    /// <summary>Keywords that limit values of a type.</summary>
    public static IReadOnlyDictionary<string, string[]> OfType { get; } = new Dictionary<string, string[]>
    {
        ["object"] = ["properties", "required", "additionalProperties"],
        ["array"] = ["items", "prefixItems", "additionalItems", "minItems", "maxItems"],
        ["string"] = ["minLength", "maxLength", "pattern", "format"],
        ["number"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        ["integer"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        ["boolean"] = [],
        ["null"] = [],
    };

    /// <summary>
    /// Refuses what is no schema, or asks for something that the grammar would not hold. Keywords unknown to JSON Schema are annotations.
    /// </summary>
    /// <exception cref="GrammarException">Names the keyword by its path.</exception>
    public static void Check(SchemaNode node)
    {
        if (node.Schema.ValueKind != JsonValueKind.Object)
        {
            throw node.Broken("a schema (an object, true or false)");
        }

        foreach (JsonProperty keyword in node.Schema.EnumerateObject())
        {
            if (_unsupported.Contains(keyword.Name) && !LimitsNothing(keyword))
            {
                throw new GrammarException($"{node.Path}/{keyword.Name}",
                    $"The keyword '{keyword.Name}' is not supported; leave it out, or say it otherwise.");
            }
        }
    }

    private static bool LimitsNothing(JsonProperty keyword) => keyword.Name switch
    {
        "uniqueItems" => keyword.Value.ValueKind == JsonValueKind.False,
        "minProperties" => keyword.Value.ValueKind == JsonValueKind.Number && keyword.Value.GetDouble() <= 0,
        "propertyNames" or "unevaluatedProperties" or "unevaluatedItems" => keyword.Value.ValueKind == JsonValueKind.True,
        _ => false,
    };
}
