namespace Understory.Decoding.Constraints.Json;

/// <summary>Keywords of alternatives.</summary>
[Flags]
internal enum Unions
{
    None = 0,
    AnyOf = 1,
    OneOf = 2,
}

/// <summary>The unions that a part is in an alternative of, the innermost first.</summary>
internal sealed record UnionChain(SchemaNode Union, UnionChain? Before)
{
    public static bool Has(UnionChain? chain, SchemaNode node)
    {
        for (; chain is not null; chain = chain.Before)
        {
            if (ReferenceEquals(chain.Union, node))
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>One of the schemas that a value must satisfy together, for its own keywords only: where it leads to stands beside it.</summary>
/// <param name="Open">Its unions of which no alternative has been taken yet.</param>
/// <param name="Within">The unions that led to it without anything written in between.</param>
internal readonly record struct SchemaPart(SchemaNode Node, Unions Open, UnionChain? Within)
{
    /// <summary>Equal keys of all parts: equal languages.</summary>
    public string Key
    {
        get
        {
            string key = Open == Unions.None ? $"{Node.Id}" : $"{Node.Id}.{(int)Open}";
            for (UnionChain? chain = Open == Unions.None ? null : Within; chain is not null; chain = chain.Before)
            {
                key += $"<{chain.Union.Id}";
            }

            return Open == Unions.None && HasUnions ? key + "-" : key;
        }
    }

    private bool HasUnions => Node.Has("anyOf") || Node.Has("oneOf");

    public static SchemaPart Of(SchemaNode node, UnionChain? within) => new(
        node, (node.Has("anyOf") ? Unions.AnyOf : 0) | (node.Has("oneOf") ? Unions.OneOf : 0), within);

    /// <summary>It says something besides its unions.</summary>
    public bool LimitsItself => Node.Keywords.Keys.Any(keyword => SchemaKeywords.Limiting.Contains(keyword)
        && keyword is not ("anyOf" or "oneOf"));
}

/// <summary>Schemas that hold together, taken apart.</summary>
internal sealed class Conjunction
{
    private readonly HashSet<SchemaNode> _seen = [];

    /// <summary>In the order in which they were written: the first one names the order of keys.</summary>
    public List<SchemaPart> Parts { get; } = [];

    public string Key => string.Join(' ', Parts.Select(part => part.Key));

    public static Conjunction Of(IEnumerable<SchemaPart> parts)
    {
        var made = new Conjunction();
        foreach (SchemaPart part in parts)
        {
            made._seen.Add(part.Node);
            made.Parts.Add(part);
        }

        return made;
    }

    /// <summary>False: it is there already.</summary>
    public bool Visit(SchemaNode node) => _seen.Add(node);
}
