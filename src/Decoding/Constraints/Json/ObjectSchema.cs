using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Objects: the declared properties in their order, each optional one there or not, then others where they are allowed.</summary>
internal sealed class ObjectSchema(SchemaCompiler compiler, JsonTexts texts)
{
    public Grammar Build(List<SchemaPart> parts)
    {
        HashSet<string> required = [.. parts.SelectMany(part => part.Node.Names("required"))];
        IEnumerable<string> declared = parts.SelectMany(part => part.Node.Under("properties").Select(entry => entry.Name));
        string[] names = [.. declared.Concat(required).Distinct()];
        Grammar? others = Others(parts, names);
        var properties = new List<(Grammar Body, bool Required)>();
        foreach (string name in names)
        {
            compiler.Budget.Work(100 + (20 * parts.Count));
            bool isRequired = required.Contains(name);
            Grammar? value = ValueOf(parts, name);
            if (value is not null && !ReferenceEquals(value, Grammar.Nothing))
            {
                properties.Add((Grammar.Sequence(Grammar.Literal(JsonTexts.Quote(name)), texts.Colon, value), isRequired));
            }
            else if (isRequired)
            {
                return Grammar.Nothing;
            }
        }

        return JsonTexts.Braced(texts.Space, Members(properties, others));
    }

    /// <summary>
    /// From the last property to the first: what follows one is the same text whether or not it was there, but for the comma.
    /// </summary>
    private Grammar Members(List<(Grammar Body, bool Required)> properties, Grammar? others)
    {
        Grammar more = others is null ? Grammar.Empty : Grammar.Repeat(Grammar.Sequence(texts.Comma, others));
        Grammar after = Grammar.Sequence(more, texts.Space);
        Grammar first = others is null ? Grammar.Empty : Grammar.Optional(Grammar.Sequence(others, after));
        for (int i = properties.Count - 1; i >= 0; i--)
        {
            (Grammar body, bool isRequired) = properties[i];
            Grammar from = Grammar.Sequence(body, after);
            Grammar next = Grammar.Sequence(texts.Comma, from);
            first = isRequired ? from : Grammar.Choice(from, first);
            after = isRequired ? next : Grammar.Choice(next, after);
        }

        return first;
    }

    /// <summary>What all parts say of a property; null: some part does not allow it.</summary>
    private Grammar? ValueOf(List<SchemaPart> parts, string name)
    {
        var schemas = new List<SchemaNode>();
        foreach (SchemaPart part in parts)
        {
            if (part.Node.Property(name) is { } own)
            {
                schemas.Add(own);
            }
            else if (part.Node.Has("additionalProperties"))
            {
                if (part.Node.Is("additionalProperties", JsonValueKind.False))
                {
                    return null;
                }

                schemas.Add(part.Node["additionalProperties"]);
            }
        }

        return schemas.Count == 0 ? texts.Value : compiler.Rule(schemas);
    }

    /// <summary>A property beyond the declared ones; null: there is none.</summary>
    private Grammar? Others(List<SchemaPart> parts, string[] names)
    {
        SchemaNode[] schemas = [.. parts.Where(part => part.Node.Has("additionalProperties"))
            .Select(part => part.Node["additionalProperties"])];
        bool closed = schemas.Length == 0 && parts.Exists(part => part.Node.Has("properties"));
        if (closed || schemas.Any(schema => schema.Schema.ValueKind == JsonValueKind.False))
        {
            return null;
        }

        Grammar value = schemas.Length == 0 ? texts.Value : compiler.Rule(schemas);
        Grammar key = names.Length == 0 ? JsonTexts.Key : JsonTexts.KeyOf(Grammar.Except(
            Grammar.Repeat(JsonTexts.SimpleCharacter),
            Grammar.Choice([.. names.Select(name => Grammar.Literal(JsonTexts.Quote(name)[1..^1]))])));
        return Grammar.Sequence(key, texts.Colon, value);
    }
}
