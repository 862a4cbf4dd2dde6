using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Arrays: the leading items each with its own schema, then any number of further ones, within the counts.</summary>
internal sealed class ArraySchema(SchemaCompiler compiler, JsonTexts texts)
{
    /// <summary>Longer arrays are not written where a schema counts items.</summary>
    public const int MaxCounted = 1_000;

    public Grammar Build(List<SchemaNode> parts)
    {
        int min = parts.Where(part => part.Has("minItems")).Select(part => part.Count("minItems")).DefaultIfEmpty(0).Max();
        int? max = parts.Where(part => part.Has("maxItems")).Select(part => (int?)part.Count("maxItems")).DefaultIfEmpty(null).Min();
        if (min > MaxCounted)
        {
            SchemaNode part = parts.First(part => part.Has("minItems") && part.Count("minItems") == min);
            throw new GrammarException($"{part.Path}/minItems", $"{min} items at least are too many to count; the limit is {MaxCounted}.");
        }

        max = max > MaxCounted ? MaxCounted : max;
        int leading = parts.Max(part => Leading(part).Length);
        Grammar further = Further(parts, leading);
        if (ReferenceEquals(further, Grammar.Nothing))
        {
            max = Math.Min(max ?? leading, leading);
        }

        return max < min
            ? Grammar.Nothing
            : Grammar.Sequence(Grammar.Literal("["), texts.Space, Items(parts, further, leading, min, max), Grammar.Literal("]"));
    }

    private Grammar Items(List<SchemaNode> parts, Grammar further, int leading, int min, int? max)
    {
        Grammar body = Grammar.Sequence(texts.Comma, further);
        int counted = Math.Max(leading, 1);
        Grammar rest = max <= counted
            ? Grammar.Empty
            : Grammar.Repeat(body, Math.Max(0, min - counted), max is null ? null : max - counted);
        Grammar after = Grammar.Sequence(rest, texts.Space);
        for (int i = counted - 1; i >= 0; i--)
        {
            Grammar item = i < leading ? compiler.Rule([.. parts.Select(part => ItemOf(part, i)).OfType<SchemaNode>()]) : further;
            Grammar here = Grammar.Sequence(i == 0 ? Grammar.Empty : texts.Comma, item, after);
            Grammar none = i == 0 ? Grammar.Empty : texts.Space;
            after = i >= max ? none : i < min ? here : Grammar.Choice(here, none);
        }

        return after;
    }

    private Grammar Further(List<SchemaNode> parts, int leading)
    {
        SchemaNode[] schemas = [.. parts.Select(part => ItemOf(part, leading)).OfType<SchemaNode>()];
        return schemas.Length == 0 ? texts.Value : compiler.Rule(schemas);
    }

    private static SchemaNode[] Leading(SchemaNode part)
    {
        string keyword = part.Has("prefixItems") ? "prefixItems" : "items";
        return part.Has(keyword) && part[keyword].Schema.ValueKind == JsonValueKind.Array
            ? [.. part.Under(keyword).Select(entry => entry.Node)] : [];
    }

    /// <summary>
    /// What a part says of the i-th item; null: nothing. Older drafts write <c>items</c> and <c>additionalItems</c> for prefixItems and
    /// items.
    /// </summary>
    private static SchemaNode? ItemOf(SchemaNode part, int i)
    {
        SchemaNode[] leading = Leading(part);
        if (i < leading.Length)
        {
            return leading[i];
        }

        string keyword = part.Has("items") && part["items"].Schema.ValueKind == JsonValueKind.Array ? "additionalItems" : "items";
        return part.Has(keyword) ? part[keyword] : null;
    }
}
