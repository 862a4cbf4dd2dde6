using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Arrays: the leading items each with its own schema, then any number of further ones, within the counts.</summary>
internal sealed class ArraySchema(SchemaCompiler compiler, JsonTexts texts)
{
    /// <summary>Longer arrays are not written where a schema counts items.</summary>
    public const int MaxCounted = 1_000;

    public Grammar Build(List<SchemaPart> parts)
    {
        Items[] lists = [.. parts.Select(part => new Items(part.Node))];
        int min = parts.Where(part => part.Node.Has("minItems")).Select(part => part.Node.Count("minItems")).DefaultIfEmpty(0).Max();
        int? max = parts.Where(part => part.Node.Has("maxItems")).Select(part => (int?)part.Node.Count("maxItems")).DefaultIfEmpty(null)
            .Min();
        if (min > MaxCounted)
        {
            SchemaNode node = parts.First(part => part.Node.Has("minItems") && part.Node.Count("minItems") == min).Node;
            min = compiler.Loosely ? MaxCounted : throw new GrammarException(
                node["minItems"].Path, $"{min} items at least are too many to count; the limit is {MaxCounted}.");
        }

        max = max > MaxCounted ? MaxCounted : max;
        int leading = lists.Max(list => list.Leading.Count);
        Grammar further = Item(lists, leading);
        if (ReferenceEquals(further, Grammar.Nothing))
        {
            max = Math.Min(max ?? leading, leading);
        }

        return max < min
            ? Grammar.Nothing
            : Grammar.Sequence(Grammar.Literal("["), texts.Space, Written(lists, further, leading, min, max), Grammar.Literal("]"));
    }

    private Grammar Written(Items[] lists, Grammar further, int leading, int min, int? max)
    {
        Grammar body = Grammar.Sequence(texts.Comma, further);
        int counted = Math.Max(leading, 1);
        Grammar rest = max <= counted
            ? Grammar.Empty
            : Grammar.Repeat(body, Math.Max(0, min - counted), max is null ? null : max - counted);
        Grammar after = Grammar.Sequence(rest, texts.Space);
        for (int i = counted - 1; i >= 0; i--)
        {
            compiler.Budget.Work(100 + (20 * lists.Length));
            Grammar item = i < leading ? Item(lists, i) : further;
            Grammar here = Grammar.Sequence(i == 0 ? Grammar.Empty : texts.Comma, item, after);
            Grammar none = i == 0 ? Grammar.Empty : texts.Space;
            after = i >= max ? none : i < min ? here : Grammar.Choice(here, none);
        }

        return after;
    }

    /// <summary>What all parts say of the i-th item.</summary>
    private Grammar Item(Items[] lists, int i)
    {
        SchemaNode[] schemas = [.. lists.Select(list => i < list.Leading.Count ? list.Leading[i].Node : list.Further).OfType<SchemaNode>()];
        return schemas.Length == 0 ? texts.Value : compiler.Rule(schemas);
    }

    /// <summary>
    /// What a schema says of an array's items. Older drafts write <c>items</c> and <c>additionalItems</c> for prefixItems and items.
    /// </summary>
    private sealed class Items(SchemaNode node)
    {
        /// <summary>Schemas of the first ones.</summary>
        public IReadOnlyList<(string Name, SchemaNode Node)> Leading { get; } =
            node.Has("prefixItems") ? node.Under("prefixItems") : node.Is("items", JsonValueKind.Array) ? node.Under("items") : [];

        /// <summary>That of those behind; null: nothing is said.</summary>
        public SchemaNode? Further { get; } = (node.Is("items", JsonValueKind.Array) ? "additionalItems" : "items") is var keyword
            && node.Has(keyword) ? node[keyword] : null;
    }
}
