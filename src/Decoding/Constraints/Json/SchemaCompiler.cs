using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// Turns a JSON Schema (draft 2020-12, and what older drafts share with it) into a grammar whose texts validate. Schemas that hold
/// together (allOf, $ref with siblings) are taken apart and merged; anyOf and oneOf become alternatives. Where a schema leaves open what
/// most do not mean, the narrower reading is taken, so that every text still validates: keywords of one type imply that type, and an
/// object with <c>properties</c> has no others unless <c>additionalProperties</c> says so.
/// </summary>
/// <param name="loosely">What the grammar cannot hold is passed over instead of refused: some texts then do not validate.</param>
internal sealed class SchemaCompiler(JsonElement root, JsonTexts texts, bool loosely, GrammarBudget budget)
{
    private const int MaxRules = 10_000;

    private readonly SchemaNode _root = SchemaNode.Root(root, budget);
    private readonly Dictionary<string, GrammarRule> _rules = [];

    public GrammarBudget Budget => budget;

    /// <inheritdoc cref="SchemaCompiler" path="/param[@name='loosely']"/>
    public bool Loosely => loosely;

    public Grammar Compile()
    {
        try
        {
            return Rule([_root]);
        }
        catch (InvalidOperationException e)
        {
            // What the JSON reader says of escaped surrogates without their other half.
            throw new GrammarException("#", $"Some text of the schema is not well-formed Unicode ({e.Message}).");
        }
    }

    /// <summary>The grammar of values that satisfy all of <paramref name="nodes"/>.</summary>
    public Grammar Rule(IEnumerable<SchemaNode> nodes)
    {
        var whole = new Conjunction();
        foreach (SchemaNode node in nodes)
        {
            if (!Flatten(node, whole, within: null))
            {
                return Grammar.Nothing;
            }
        }

        return Rule(whole);
    }

    /// <summary>The parts of a schema after its references and allOf were resolved; null: nothing can satisfy it.</summary>
    public List<SchemaPart>? PartsOf(IEnumerable<SchemaNode> nodes)
    {
        var whole = new Conjunction();
        return nodes.All(node => Flatten(node, whole, within: null)) ? whole.Parts : null;
    }

    private Grammar Rule(Conjunction whole)
    {
        List<SchemaPart> parts = whole.Parts;
        if (parts.Count == 0)
        {
            return texts.Value;
        }

        Guard(parts[0].Node);
        budget.Work(20 + (10 * parts.Count));
        string key = KeyOf(parts) ?? whole.Key;
        if (!_rules.TryGetValue(key, out GrammarRule? rule))
        {
            if (_rules.Count >= MaxRules)
            {
                throw new GrammarException(parts[0].Node.Path,
                    $"The schema needs more than {MaxRules} rules; combine fewer alternatives by allOf and anyOf.");
            }

            string before = budget.At;
            rule = Grammar.Rule(budget.At = parts[0].Node.Path);
            _rules.Add(key, rule);
            rule.Body = Build(parts);
            budget.At = before;
        }

        return rule;
    }

    /// <summary>Equal schemas of scalars share a rule wherever they stand.</summary>
    private string? KeyOf(List<SchemaPart> parts)
    {
        if (parts.Count > 1 || parts[0].Node is not { } only || only.Has("anyOf") || only.Has("oneOf")
            || !only.Keywords.Values.All(IsFlat))
        {
            return null;
        }

        string text = only.Schema.GetRawText();
        budget.Work(text.Length / 8);
        return text;
    }

    private static bool IsFlat(JsonElement value) =>
        value.ValueKind != JsonValueKind.Object
        && (value.ValueKind != JsonValueKind.Array
            || value.EnumerateArray().All(item => item.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array)));

    /// <summary>Takes $ref and allOf apart. False: nothing can satisfy it.</summary>
    private bool Flatten(SchemaNode node, Conjunction whole, UnionChain? within)
    {
        Guard(node);
        budget.Work(60);
        if (node.Schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return node.Schema.ValueKind == JsonValueKind.True;
        }

        SchemaKeywords.Check(node, loosely, budget);
        if (UnionChain.Has(within, node))
        {
            // An alternative that leads back to its own union adds nothing to the others.
            return false;
        }

        if (!whole.Visit(node))
        {
            return true;
        }

        var part = SchemaPart.Of(node, within);
        if (part.Open != Unions.None || part.LimitsItself)
        {
            whole.Parts.Add(part);
        }

        return (!node.Has("$ref") || Resolve(node) is not { } target || Flatten(target, whole, within))
            && node.Under("allOf").All(entry => Flatten(entry.Node, whole, within));
    }

    /// <summary>Where a reference leads; null: elsewhere, which is passed over.</summary>
    private SchemaNode? Resolve(SchemaNode node)
    {
        string reference = node.Text("$ref");
        budget.Work(reference.Length);
        if (reference.StartsWith('/'))
        {
            // A pointer without its #, as some clients write it.
            reference = "#" + reference;
        }

        if (!reference.StartsWith('#') || (reference.Length > 1 && reference[1] != '/'))
        {
            return loosely ? null : throw new GrammarException(node["$ref"].Path,
                $"'{reference}' is not supported: only references into the same schema, such as #/$defs/name, are.");
        }

        SchemaNode at = _root;
        foreach (string step in reference.Split('/').Skip(1))
        {
            string name = Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal)
                .Replace("~0", "~", StringComparison.Ordinal);
            at = at.Step(name) ?? throw new GrammarException(node["$ref"].Path,
                $"'{reference}' points to nothing: '{name}' is not there.");
        }

        return at;
    }

    private Grammar Build(List<SchemaPart> parts)
    {
        int open = parts.FindIndex(part => part.Open != Unions.None);
        if (open >= 0)
        {
            return Union(parts, open);
        }

        IReadOnlySet<string> types = SchemaTypes.Of(parts);
        return parts.Exists(part => part.Node.Has("enum") || part.Node.Has("const"))
            ? new Enumeration(this).Build(parts, types)
            : Grammar.Choice([.. types.Select(type => Typed(type, parts))]);
    }

    /// <summary>The alternatives of one of the parts, each together with the others.</summary>
    private Grammar Union(List<SchemaPart> parts, int at)
    {
        SchemaPart part = parts[at];
        bool any = (part.Open & Unions.AnyOf) != 0;
        SchemaNode[] alternatives = [.. part.Node.Under(any ? "anyOf" : "oneOf").Select(entry => entry.Node)];
        SchemaNode? told = any ? null : Discriminator(part.Node);
        if (!any && told is null && !loosely)
        {
            new Disjointness(this).Check(part.Node["oneOf"], alternatives);
        }

        SchemaPart taken = part with { Open = part.Open & ~(any ? Unions.AnyOf : Unions.OneOf) };
        bool stays = taken.Open != Unions.None || taken.LimitsItself;
        List<SchemaPart> rest = [.. parts.Take(at), .. stays ? [taken] : Array.Empty<SchemaPart>(), .. parts.Skip(at + 1)];
        int place = stays ? at + 1 : at;
        var inside = new UnionChain(part.Node, part.Within);
        var options = new List<Grammar>();
        var constants = new List<JsonElement>();
        foreach (SchemaNode alternative in alternatives)
        {
            budget.Work(60);
            if (Enumeration.IsPlain(alternative))
            {
                SchemaKeywords.Check(alternative, loosely, budget);
                constants.AddRange(Enumeration.Values(alternative).First());
                continue;
            }

            Conjunction whole = Conjunction.Of(rest);
            if ((told is null || Flatten(told, whole, inside)) && Flatten(alternative, whole, inside))
            {
                // Where the union stood, so that keys come in the order of the schema.
                List<SchemaPart> added = whole.Parts[rest.Count..];
                whole.Parts.RemoveRange(rest.Count, added.Count);
                whole.Parts.InsertRange(place, added);
                options.Add(Rule(whole));
            }
        }

        if (constants.Count > 0)
        {
            // Alternatives that are constants are one enumeration.
            var enumerated = SchemaPart.Of(part.Node.Implied(any ? "anyOf" : "oneOf", new { @enum = constants }), inside);
            options.Add(Rule(Conjunction.Of(rest.Append(enumerated))));
        }

        return Grammar.Choice([.. options]);
    }

    /// <summary>
    /// OpenAPI's <c>discriminator</c>: alternatives that a property tells apart, which then must be there. Null: there is none.
    /// </summary>
    private static SchemaNode? Discriminator(SchemaNode node) =>
        node.Is("discriminator", JsonValueKind.Object) && node["discriminator"] is var told && told.Is("propertyName", JsonValueKind.String)
            ? told.Implied("propertyName", new { required = new[] { told.Text("propertyName") } })
            : null;

    public Grammar Typed(string type, List<SchemaPart> parts) => type switch
    {
        "object" => new ObjectSchema(this, texts).Build(parts),
        "array" => new ArraySchema(this, texts).Build(parts),
        "string" => new ScalarSchemas(this).Text(parts, texts),
        "integer" => ScalarSchemas.Integer(parts),
        "number" => ScalarSchemas.Number(parts),
        "boolean" => JsonTexts.Boolean,
        _ => JsonTexts.Null,
    };

    private static void Guard(SchemaNode node)
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new GrammarException(node.Path, "The schema is nested too deeply.");
        }
    }
}
