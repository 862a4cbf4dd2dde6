using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// oneOf asks that exactly one alternative holds. As alternatives of a grammar they are only right if no value satisfies two, which must
/// be plain to see: by their types, by enumerated values, or by a required property that tells them apart.
/// </summary>
internal sealed class Disjointness(SchemaCompiler compiler)
{
    /// <exception cref="GrammarException">Two alternatives may both hold.</exception>
    public void Check(SchemaNode list, SchemaNode[] alternatives)
    {
        for (int i = 0; i < alternatives.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (!AreDisjoint([alternatives[j]], [alternatives[i]], depth: 0))
                {
                    throw new GrammarException(list.Path, $"A value might satisfy both the alternatives {j} and {i}; use anyOf, give them "
                        + "different types, or a required property with different constants.");
                }
            }
        }
    }

    private bool AreDisjoint(SchemaNode[] first, SchemaNode[] second, int depth)
    {
        List<SchemaNode>? a = Parts(first);
        List<SchemaNode>? b = Parts(second);
        if (a is null || b is null)
        {
            return true;
        }

        if (depth > 8)
        {
            return false;
        }

        HashSet<string> shared = [.. Kinds(a)];
        shared.IntersectWith(Kinds(b));
        return shared.Count == 0
            || (Values(a) is { } these && Values(b) is { } those
                && !these.Exists(value => those.Exists(other => JsonElement.DeepEquals(value, other))))
            || (shared.SetEquals(["object"]) && Required(a).Intersect(Required(b))
                .Any(name => AreDisjoint(Property(a, name), Property(b, name), depth + 1)))
            || (shared.SetEquals(["object"]) && (Lacks(a, b) || Lacks(b, a)));
    }

    /// <summary>One requires a property that the other does not allow.</summary>
    private static bool Lacks(List<SchemaNode> a, List<SchemaNode> b) =>
        Required(a).Any(name => b.Exists(part => part.Has("additionalProperties")
            && part["additionalProperties"].Schema.ValueKind == JsonValueKind.False
            && !(part.Has("properties") && part["properties"].Has(name))));

    private List<SchemaNode>? Parts(SchemaNode[] nodes)
    {
        var all = new List<SchemaNode>();
        foreach (SchemaNode node in nodes)
        {
            if (compiler.PartsOf(node) is not { } parts)
            {
                return null;
            }

            all.AddRange(parts);
        }

        return all;
    }

    /// <summary>
    /// Types by what they say of themselves only: what a missing type implies for writing says nothing of what validates.
    /// </summary>
    private static IEnumerable<string> Kinds(List<SchemaNode> parts) =>
        (parts.Exists(part => part.Has("type")) ? SchemaCompiler.Types(parts) : SchemaKeywords.OfType.Keys.ToHashSet())
            .Select(type => type == "integer" ? "number" : type);

    private static List<JsonElement>? Values(List<SchemaNode> parts) =>
        parts.SelectMany(SchemaCompiler.Values).MinBy(values => values.Length) is { } fewest ? [.. fewest] : null;

    private static IEnumerable<string> Required(List<SchemaNode> parts) =>
        parts.Where(part => part.Has("required")).SelectMany(part => part.Names("required"));

    private static SchemaNode[] Property(List<SchemaNode> parts, string name) =>
        [.. parts.Where(part => part.Has("properties") && part["properties"].Has(name)).Select(part => part["properties"][name])];
}
