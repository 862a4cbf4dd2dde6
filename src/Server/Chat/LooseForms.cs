using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Decoding.Constraints;

namespace Understory.Server.Chat;

/// <summary>Grammars of arguments that are literals of Python or of Gemma, from their JSON schema.</summary>
internal sealed class LooseForms(LooseSyntax syntax, Tool tool, FormTexts texts)
{
    private static readonly JsonElement NoSchema = JsonDocument.Parse("{}").RootElement;
    private static readonly Grammar Name =
        Grammar.Repeat(Grammar.Characters(('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')), 1);

    /// <summary>One rule for a schema, however often it is met, so that it may refer to itself.</summary>
    private readonly Dictionary<string, GrammarRule> _rules = [];

    private bool IsPython => syntax.Quote is null;

    /// <summary>What stands between the brackets of a call.</summary>
    public Grammar Arguments() => Members(SchemaWalk.Resolve(tool.Parameters, tool.Parameters), syntax.Pair.ToString(), isQuoted: false);

    private Grammar Members(JsonElement schema, string pair, bool isQuoted)
    {
        string quote = isQuoted ? "\"" : "";
        HashSet<string> required = SchemaWalk.Required(schema);
        bool hasProperties = schema.TryGetProperty("properties", out JsonElement properties) && properties.ValueKind == JsonValueKind.Object
            && properties.EnumerateObject().Any();
        if (!hasProperties)
        {
            bool isClosed = schema.TryGetProperty("additionalProperties", out JsonElement other);
            Grammar value = isClosed && other.ValueKind == JsonValueKind.False ? Grammar.Empty
                : Value(isClosed && other.ValueKind == JsonValueKind.Object ? other : NoSchema);
            Grammar member = Grammar.Sequence(Grammar.Literal(quote), Grammar.Key(Name, Grammar.Literal(quote + pair)), value);
            return ReferenceEquals(value, Grammar.Empty) ? value
                : Grammar.Optional(Grammar.Sequence(member, Grammar.Repeat(Grammar.Sequence(Grammar.Literal(syntax.Comma), member))));
        }

        // From the last one on: what may follow where nothing has been written yet, and where something has.
        Grammar first = Grammar.Empty;
        Grammar further = Grammar.Empty;
        foreach (JsonProperty property in properties.EnumerateObject().Reverse())
        {
            Grammar member = Grammar.Rule(property.Name, Grammar.Sequence(Grammar.Literal(quote + property.Name + quote + pair),
                Value(property.Value)));
            Grammar rest = Grammar.Rule("rest", further);
            Grammar begins = Grammar.Sequence(member, rest);
            Grammar goesOn = Grammar.Sequence(Grammar.Literal(syntax.Comma), member, rest);
            bool isNeeded = required.Contains(property.Name);
            (first, further) = isNeeded ? (begins, goesOn)
                : (Grammar.Rule("first", Grammar.Choice(begins, first)), Grammar.Rule("further", Grammar.Choice(goesOn, rest)));
        }

        return first;
    }

    private GrammarRule Value(JsonElement schema)
    {
        schema = SchemaWalk.Resolve(tool.Parameters, schema);
        string key = schema.GetRawText();
        if (!_rules.TryGetValue(key, out GrammarRule? rule))
        {
            rule = Grammar.Rule("value");
            _rules.Add(key, rule);
            rule.Body = Resolved(schema);
        }

        return rule;
    }

    private Grammar Resolved(JsonElement schema)
    {
        IReadOnlyList<JsonElement> alternatives = SchemaWalk.Alternatives(schema);
        if (alternatives.Count != 1 || !alternatives[0].Equals(schema))
        {
            return Grammar.Choice([.. alternatives.Select(alternative => Value(alternative))]);
        }

        if (FormTexts.Values(schema) is { } values)
        {
            return Grammar.Choice([.. values.Select(Constant)]);
        }

        IReadOnlyList<string> types = SchemaWalk.Types(schema) ?? ["string", "number", "boolean", "null"];
        return Grammar.Choice([.. types.Select(type => Typed(type, schema))]);
    }

    private Grammar Typed(string type, JsonElement schema) => type switch
    {
        "string" when IsPython => Json("string", schema),
        "string" => Grammar.Sequence(texts.Of(syntax.Quote!), FormTexts.Text(schema, syntax.Quote!), texts.Of(syntax.Quote!)),
        "boolean" => IsPython ? Grammar.Choice(Grammar.Literal("True"), Grammar.Literal("False"))
            : Grammar.Choice(Grammar.Literal("true"), Grammar.Literal("false")),
        "null" => Grammar.Literal("None"),
        "object" => Grammar.Object(Grammar.Literal("{"), Members(schema, IsPython ? ": " : ":", IsPython), Grammar.Literal("}")),
        "array" => List(schema),
        _ => Json(type, schema),
    };

    /// <summary>JSON of one of a schema's types, with the schema's other limits.</summary>
    private Grammar Json(string type, JsonElement schema)
    {
        JsonObject only = schema.ValueKind == JsonValueKind.Object ? JsonObject.Create(schema.Clone())! : [];
        only["type"] = type;
        return texts.Json(tool, JsonDocument.Parse(only.ToJsonString()).RootElement);
    }

    private Grammar List(JsonElement schema)
    {
        Grammar item = Value(schema.TryGetProperty("items", out JsonElement items) ? items : NoSchema);
        int least = schema.TryGetProperty("minItems", out JsonElement min) && min.TryGetInt32(out int from) ? Math.Max(from, 0) : 0;
        int? most = schema.TryGetProperty("maxItems", out JsonElement max) && max.TryGetInt32(out int to) && to >= least ? to : null;
        Grammar list = Grammar.Sequence(item, Grammar.Repeat(Grammar.Sequence(Grammar.Literal(syntax.Comma), item),
            Math.Max(least - 1, 0), most is { } bound ? Math.Max(bound - 1, 0) : null));
        Grammar inside = most == 0 ? Grammar.Empty : least == 0 ? Grammar.Optional(list) : list;
        return Grammar.Sequence(Grammar.Literal("["), inside, Grammar.Literal("]"));
    }

    private Grammar Constant(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => IsPython ? Grammar.Literal(JsonSerializer.Serialize(value.GetString(), ToolSyntax.Readable))
            : Grammar.Sequence(texts.Of(syntax.Quote!), Grammar.Literal(value.GetString()!), texts.Of(syntax.Quote!)),
        JsonValueKind.True => Grammar.Literal(IsPython ? "True" : "true"),
        JsonValueKind.False => Grammar.Literal(IsPython ? "False" : "false"),
        JsonValueKind.Null => Grammar.Literal("None"),
        _ => Grammar.Literal(value.GetRawText()),
    };
}
