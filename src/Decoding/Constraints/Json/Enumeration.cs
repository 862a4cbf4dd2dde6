using System.Text.Json;
using Understory.Decoding.Constraints.Matching;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Values that a schema names one by one: <c>enum</c> and <c>const</c>.</summary>
internal sealed class Enumeration(SchemaCompiler compiler)
{
    /// <summary>A schema that is nothing but named values, of whatever type.</summary>
    public static bool IsPlain(SchemaNode node) => node.IsObject && (node.Has("const") || node.Is("enum", JsonValueKind.Array))
        && node.Keywords.Keys.All(keyword => keyword is "title" or "description" or "default" or "examples" or "$comment" or "deprecated"
            || (keyword == "type" ? IsOfType(node) : keyword is "const" or "enum" && !(node.Has("const") && node.Has("enum"))));

    /// <summary>The values that a schema names, once for each of its keywords.</summary>
    public static IEnumerable<JsonElement[]> Values(SchemaNode node)
    {
        if (node.Has("const"))
        {
            yield return [node["const"].Schema];
        }

        if (node.Has("enum"))
        {
            yield return [.. node["enum"].Schema.EnumerateArray()];
        }
    }

    /// <summary>The named values that all other keywords allow as well.</summary>
    /// <param name="types">The types that the parts allow.</param>
    public Grammar Build(List<SchemaPart> parts, IReadOnlySet<string> types)
    {
        var options = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        var judges = new Dictionary<string, MatchStates?>();
        foreach (JsonElement value in Shared(parts))
        {
            string type = SchemaTypes.Of(value);
            compiler.Budget.Work(150);
            if (!types.Contains(type) && !(type == "integer" && types.Contains("number")))
            {
                continue;
            }

            string text = JsonTexts.Write(value);
            SchemaNode? limiting = parts.Select(part => part.Node).FirstOrDefault(node => SchemaKeywords.OfType[type].Any(node.Has));
            bool isNested = value.ValueKind is JsonValueKind.Object or JsonValueKind.Array;
            compiler.Budget.Work((isNested ? 25L : 2) * text.Length);
            if (limiting is null || (isNested && compiler.Loosely))
            {
                options.TryAdd(text, value);
            }
            else if (isNested)
            {
                throw new GrammarException(limiting.Path, "enum or const with objects or arrays beside keywords that limit these is "
                    + "not supported; leave those keywords out.");
            }
            else if (value.ValueKind == JsonValueKind.Number ? ScalarSchemas.Holds(parts, JsonNumber.Of(value)) : Judged(text, type))
            {
                options.TryAdd(text, value);
            }
        }

        return Grammar.Choice([.. options.Values.Select(JsonTexts.Constant)]);

        bool Judged(string text, string type)
        {
            if (!judges.TryGetValue(type, out MatchStates? judge))
            {
                Grammar typed = compiler.Typed(type, parts);
                judge = ReferenceEquals(typed, Grammar.Nothing) ? null : Constraint.Judge(typed, compiler.Budget);
                judges.Add(type, judge);
            }

            return judge is not null && Constraint.Matches(judge, text);
        }
    }

    private static List<JsonElement> Shared(List<SchemaPart> parts)
    {
        List<JsonElement>? values = null;
        foreach (JsonElement[] allowed in parts.SelectMany(part => Values(part.Node)))
        {
            if (values is null)
            {
                values = [.. allowed];
                continue;
            }

            HashSet<string> known = [.. allowed.Select(SchemaTypes.Canonical)];
            values.RemoveAll(value => !known.Contains(SchemaTypes.Canonical(value)));
        }

        return values!;
    }

    private static bool IsOfType(SchemaNode node)
    {
        var part = SchemaPart.Of(node, null);
        IReadOnlySet<string> types = SchemaTypes.Of([part]);
        return Values(node).First().All(value =>
            SchemaTypes.Of(value) is var type && (types.Contains(type) || (type == "integer" && types.Contains("number"))));
    }
}
