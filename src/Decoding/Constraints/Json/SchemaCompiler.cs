using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// Turns a JSON Schema (draft 2020-12, and what older drafts share with it) into a grammar whose texts validate. Schemas that hold
/// together (allOf, $ref with siblings) are merged; anyOf and oneOf become alternatives. Where a schema leaves open what most do not mean,
/// the narrower reading is taken, so that every text still validates: keywords of one type imply that type, and an object with
/// <c>properties</c> has no others unless
/// <c>additionalProperties</c> says so.
/// </summary>
internal sealed class SchemaCompiler(JsonElement root, JsonTexts texts)
{
    private const int MaxRules = 4_000;

    private readonly Dictionary<string, GrammarRule> _rules = [];

    public Grammar Compile() => Rule([new SchemaNode(root, "#")]);

    /// <summary>The grammar of values that satisfy all of <paramref name="nodes"/>.</summary>
    public Grammar Rule(IReadOnlyList<SchemaNode> nodes)
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new GrammarException(nodes[0].Path, "The schema is nested too deeply.");
        }

        var parts = new SortedDictionary<string, SchemaNode>(StringComparer.Ordinal);
        foreach (SchemaNode node in nodes)
        {
            if (!Flatten(node, parts))
            {
                return Grammar.Nothing;
            }
        }

        if (parts.Count == 0)
        {
            return texts.Value;
        }

        string key = KeyOf(parts);
        if (!_rules.TryGetValue(key, out GrammarRule? rule))
        {
            if (_rules.Count >= MaxRules)
            {
                throw new GrammarException(nodes[0].Path,
                    $"The schema needs more than {MaxRules} rules; combine fewer alternatives by allOf and anyOf.");
            }

            rule = Grammar.Rule(nodes[0].Path);
            _rules.Add(key, rule);
            // In the order in which they were written: the first one names the keys' order.
            rule.Body = Build([.. Ordered(nodes, parts)]);
        }

        return rule;
    }

    /// <summary>Equal schemas of scalars share a rule wherever they stand.</summary>
    private static string KeyOf(SortedDictionary<string, SchemaNode> parts)
    {
        if (parts.Count == 1 && parts.Values.First() is { WithoutAlternatives: false } only && !only.Has("$ref")
            && only.Schema.EnumerateObject().All(keyword => IsFlat(keyword.Value)))
        {
            return only.Schema.GetRawText();
        }

        return string.Join('\n', parts.Values.Select(part => part.Key));
    }

    private static bool IsFlat(JsonElement value) =>
        value.ValueKind != JsonValueKind.Object
        && (value.ValueKind != JsonValueKind.Array
            || value.EnumerateArray().All(item => item.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array)));

    private IEnumerable<SchemaNode> Ordered(IReadOnlyList<SchemaNode> nodes, SortedDictionary<string, SchemaNode> parts)
    {
        var ordered = new Dictionary<string, SchemaNode>();
        foreach (SchemaNode node in nodes)
        {
            _ = Flatten(node, ordered);
        }

        return ordered.Values.Where(part => parts.ContainsKey(part.Key));
    }

    /// <summary>Takes $ref and allOf apart. False: nothing can satisfy it.</summary>
    private bool Flatten(SchemaNode node, IDictionary<string, SchemaNode> parts)
    {
        if (node.Schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return node.Schema.ValueKind == JsonValueKind.True;
        }

        SchemaKeywords.Check(node);
        if (!parts.TryAdd(node.Key, node))
        {
            return true;
        }

        if (node.Has("$ref") && !Flatten(Resolve(node), parts))
        {
            return false;
        }

        return !node.Has("allOf") || node.Under("allOf").All(part => Flatten(part.Node, parts));
    }

    private SchemaNode Resolve(SchemaNode node)
    {
        string reference = node.Text("$ref");
        SchemaNode at = new(root, "#");
        if (!reference.StartsWith('#') || (reference.Length > 1 && reference[1] != '/'))
        {
            throw new GrammarException($"{node.Path}/$ref",
                $"'{reference}' is not supported: only references into the same schema, such as #/$defs/name, are.");
        }

        foreach (string step in reference.Split('/').Skip(1))
        {
            string name = Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal)
                .Replace("~0", "~", StringComparison.Ordinal);
            if (at.Schema.ValueKind == JsonValueKind.Object && at.Has(name))
            {
                at = at[name];
            }
            else if (at.Schema.ValueKind == JsonValueKind.Array && int.TryParse(name, out int index) && index >= 0
                && index < at.Schema.GetArrayLength())
            {
                at = new SchemaNode(at.Schema[index], $"{at.Path}/{index}");
            }
            else
            {
                throw new GrammarException($"{node.Path}/$ref", $"'{reference}' points to nothing: '{name}' is not there.");
            }
        }

        return at;
    }

    private Grammar Build(List<SchemaNode> parts)
    {
        for (int i = 0; i < parts.Count; i++)
        {
            SchemaNode part = parts[i];
            string? keyword = part.WithoutAlternatives ? null : part.Has("anyOf") ? "anyOf" : part.Has("oneOf") ? "oneOf" : null;
            if (keyword is null)
            {
                continue;
            }

            if (part.Has("anyOf") && part.Has("oneOf"))
            {
                throw new GrammarException($"{part.Path}/oneOf", "oneOf beside anyOf is not supported; put one of them into allOf.");
            }

            SchemaNode[] alternatives = [.. part.Under(keyword).Select(entry => entry.Node)];
            if (keyword == "oneOf")
            {
                new Disjointness(this).Check(part[keyword], alternatives);
            }

            parts[i] = part with { WithoutAlternatives = true };
            return Grammar.Choice([.. alternatives.Select(alternative => Rule([.. parts, alternative]))]);
        }

        IReadOnlySet<string> types = Types(parts);
        if (parts.Exists(part => part.Has("enum") || part.Has("const")))
        {
            return Enumerated(parts, types);
        }

        return Grammar.Choice([.. types.Select(type => Typed(type, parts))]);
    }

    /// <summary>The parts of a schema after its references and allOf were resolved; null: nothing can satisfy it.</summary>
    internal IReadOnlyCollection<SchemaNode>? PartsOf(SchemaNode node)
    {
        var parts = new Dictionary<string, SchemaNode>();
        return Flatten(node, parts) ? parts.Values : null;
    }

    /// <summary>The types that all parts allow. Where none names a type, keywords that only concern one type stand for it.</summary>
    internal static IReadOnlySet<string> Types(IReadOnlyCollection<SchemaNode> parts)
    {
        SortedSet<string> types = ["array", "boolean", "integer", "null", "number", "object", "string"];
        bool named = false;
        foreach (SchemaNode part in parts.Where(part => part.Has("type")))
        {
            named = true;
            SchemaNode type = part["type"];
            string[] allowed = type.Schema.ValueKind == JsonValueKind.String ? [type.Schema.GetString()!] : [.. part.Names("type")];
            if (allowed.Except(SchemaKeywords.OfType.Keys).FirstOrDefault() is { } unknown)
            {
                throw new GrammarException(type.Path, $"'{unknown}' is not a type of JSON Schema.");
            }

            types.IntersectWith(allowed.Contains("number") ? allowed.Append("integer") : allowed);
        }

        if (!named)
        {
            SortedSet<string> implied = [.. SchemaKeywords.OfType.Where(entry =>
                entry.Value.Any(keyword => parts.Any(part => part.Has(keyword)))).Select(entry => entry.Key)];
            types = implied.Count > 0 ? implied : types;
        }

        if (types.Contains("number"))
        {
            types.Remove("integer");
        }

        return types;
    }

    private Grammar Typed(string type, List<SchemaNode> parts) => type switch
    {
        "object" => new ObjectSchema(this, texts).Build(parts),
        "array" => new ArraySchema(this, texts).Build(parts),
        "string" => ScalarSchemas.Text(parts, texts),
        "integer" => ScalarSchemas.Integer(parts),
        "number" => ScalarSchemas.Number(parts),
        "boolean" => JsonTexts.Boolean,
        _ => JsonTexts.Null,
    };

    /// <summary>The enumerated values that all other keywords allow as well.</summary>
    private Grammar Enumerated(List<SchemaNode> parts, IReadOnlySet<string> types)
    {
        List<JsonElement>? values = null;
        foreach (SchemaNode part in parts)
        {
            foreach (JsonElement[] allowed in Values(part))
            {
                values = values is null
                    ? [.. allowed] : [.. values.Where(value => allowed.Any(other => JsonElement.DeepEquals(value, other)))];
            }
        }

        var options = new List<Grammar>();
        foreach (JsonElement value in values!)
        {
            string type = TypeOf(value);
            if (!types.Contains(type) && !(type == "integer" && types.Contains("number")))
            {
                continue;
            }

            string text = JsonTexts.Write(value);
            SchemaNode? limiting = parts.Cast<SchemaNode?>().FirstOrDefault(part => SchemaKeywords.OfType[type].Any(part!.Value.Has));
            if (limiting is null
                || (value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array) && Constraint.Allows(Typed(type, parts), text)))
            {
                options.Add(Grammar.Literal(text));
            }
            else if (value.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
            {
                throw new GrammarException(limiting.Value.Path, "enum or const with objects or arrays beside keywords that limit these is "
                    + "not supported; leave those keywords out.");
            }
        }

        return Grammar.Choice([.. options.Distinct()]);
    }

    internal static IEnumerable<JsonElement[]> Values(SchemaNode part)
    {
        if (part.Has("const"))
        {
            yield return [part["const"].Schema];
        }

        if (part.Has("enum"))
        {
            SchemaNode list = part["enum"];
            yield return list.Schema.ValueKind == JsonValueKind.Array ? [.. list.Schema.EnumerateArray()] : throw list.Broken("an array");
        }
    }

    private static string TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.Number => value.TryGetDecimal(out decimal number) && number == Math.Floor(number) ? "integer" : "number",
        JsonValueKind.Null => "null",
        _ => "boolean",
    };
}
