using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Which keywords of JSON Schema are honoured, of what kind they must be, and which must not be passed over.</summary>
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

    private static readonly Dictionary<string, (string Words, Func<JsonElement, bool> Fits)> _kinds = Kinds();

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

    public static HashSet<string> Limiting { get; } =
        [.. OfType.Values.SelectMany(keywords => keywords), "type", "enum", "const", "anyOf", "oneOf"];

    /// <summary>
    /// Refuses what is no schema, or asks for something that the grammar would not hold. Keywords unknown to JSON Schema are annotations.
    /// </summary>
    /// <param name="loosely">What cannot be held is passed over.</param>
    /// <exception cref="GrammarException">Names the keyword by its path.</exception>
    public static void Check(SchemaNode node, bool loosely, GrammarBudget budget)
    {
        if (node.IsChecked)
        {
            return;
        }

        if (!node.IsObject)
        {
            throw node.Broken("a schema (an object, true or false)");
        }

        budget.Work(40 * (2 + node.Keywords.Count));
        foreach ((string name, JsonElement value) in node.Keywords)
        {
            if (_kinds.TryGetValue(name, out (string Words, Func<JsonElement, bool> Fits) kind) && !kind.Fits(value))
            {
                throw node[name].Broken(kind.Words);
            }

            if (!loosely && _unsupported.Contains(name) && !LimitsNothing(node, name, value))
            {
                throw new GrammarException(node[name].Path, $"The keyword '{name}' is not supported; leave it out, or say it otherwise.");
            }
        }

        node.IsChecked = true;
    }


    private static bool LimitsNothing(SchemaNode node, string name, JsonElement value) => name switch
    {
        "uniqueItems" => value.ValueKind == JsonValueKind.False,
        "minProperties" => value.ValueKind == JsonValueKind.Number && JsonNumber.Of(value) is { IsZero: true } or { Negative: true },
        "multipleOf" => value.ValueKind == JsonValueKind.Number && JsonNumber.Of(value) is { Digits: "1", Exponent: 0 }
            && node.Is("type", JsonValueKind.String) && node.Text("type") == "integer",
        "propertyNames" => value.ValueKind == JsonValueKind.True || IsAnyName(value),
        "dependentRequired" or "dependentSchemas" or "dependencies" or "patternProperties" =>
            value.ValueKind == JsonValueKind.Object && value.GetPropertyCount() == 0,
        "if" => !node.Has("then") && !node.Has("else"),
        "then" or "else" => !node.Has("if"),
        "unevaluatedProperties" or "unevaluatedItems" =>
            value.ValueKind == JsonValueKind.True || (value.ValueKind == JsonValueKind.Object && value.GetPropertyCount() == 0),
        "contentSchema" => true,
        _ => false,
    };

    /// <summary>Names are strings anyway.</summary>
    private static bool IsAnyName(JsonElement schema) => schema.ValueKind == JsonValueKind.Object
        && schema.EnumerateObject().All(keyword => keyword.Name is "title" or "description" or "$comment"
            || (keyword.Name == "type" && keyword.Value.ValueKind == JsonValueKind.String && keyword.Value.ValueEquals("string")));

    private static Dictionary<string, (string Words, Func<JsonElement, bool> Fits)> Kinds()
    {
        var kinds = new Dictionary<string, (string, Func<JsonElement, bool>)>(StringComparer.Ordinal);
        Add("an object of schemas", Is(JsonValueKind.Object), "properties", "$defs", "definitions");
        Add("an array of schemas", Is(JsonValueKind.Array), "anyOf", "oneOf", "allOf", "prefixItems");
        Add("a schema (an object, true or false)", IsSchema, "additionalProperties", "additionalItems");
        Add("a schema (an object, true or false) or an array of them", value =>
            IsSchema(value) || value.ValueKind == JsonValueKind.Array, "items");
        Add("an array of strings", AreStrings, "required");
        Add("a type or an array of types", value => value.ValueKind == JsonValueKind.String || AreStrings(value), "type");
        Add("an array", Is(JsonValueKind.Array), "enum");
        Add("a string", Is(JsonValueKind.String), "$ref", "pattern", "format");
        Add("a whole number that is 0 or more", value =>
            value.ValueKind == JsonValueKind.Number && JsonNumber.Of(value) is { IsInteger: true, Negative: false },
            "minItems", "maxItems", "minLength", "maxLength");
        Add("a number", Is(JsonValueKind.Number), "minimum", "maximum");
        // A flag in older drafts.
        Add("a number", value => value.ValueKind is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False,
            "exclusiveMinimum", "exclusiveMaximum");
        return kinds;

        void Add(string words, Func<JsonElement, bool> fits, params ReadOnlySpan<string> names)
        {
            foreach (string name in names)
            {
                kinds.Add(name, (words, fits));
            }
        }
    }

    private static Func<JsonElement, bool> Is(JsonValueKind kind) => value => value.ValueKind == kind;

    private static bool IsSchema(JsonElement value) => value.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False;

    private static bool AreStrings(JsonElement value) => value.ValueKind == JsonValueKind.Array
        && value.EnumerateArray().All(name => name.ValueKind == JsonValueKind.String);
}
