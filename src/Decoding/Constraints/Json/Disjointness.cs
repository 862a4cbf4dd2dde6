using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// oneOf asks that exactly one alternative holds. As alternatives of a grammar they are only right if no value satisfies two, which must
/// be plain to see: by their types, by enumerated values, or by a required property that tells them apart.
/// </summary>
internal sealed class Disjointness(SchemaCompiler compiler)
{
    private const int MaxDepth = 8;

    /// <exception cref="GrammarException">Two alternatives may both hold.</exception>
    public void Check(SchemaNode list, SchemaNode[] alternatives)
    {
        string before = compiler.Budget.At;
        compiler.Budget.At = list.Path;
        Profile?[] profiles = [.. alternatives.Select(alternative => ProfileOf([alternative], 0))];
        foreach (string kind in SchemaKeywords.OfType.Keys)
        {
            int[] members = [.. Enumerable.Range(0, profiles.Length).Where(i => profiles[i]?.Kinds.Contains(kind) == true)];
            if (members.Length < 2)
            {
                continue;
            }

            if (AreTold(profiles, members, profile => profile.ValuesOf(kind), out (int First, int Second)? clash))
            {
                if (clash is { } shared)
                {
                    throw Ambiguous(list, shared.First, shared.Second);
                }

                continue;
            }

            if (kind == "object" && profiles[members[0]]!.Required.Any(name => AreTold(profiles, members, profile =>
                !profile.Required.Contains(name) ? null : PropertyOf(profile, name, 1) is { } own ? own.Values : [], out clash)
                && clash is null))
            {
                continue;
            }

            for (int i = 1; i < members.Length; i++)
            {
                for (int j = 0; j < i; j++)
                {
                    if (!AreDisjoint(profiles[members[j]]!, profiles[members[i]]!, kind, depth: 0))
                    {
                        throw Ambiguous(list, members[j], members[i]);
                    }
                }
            }
        }

        compiler.Budget.At = before;
    }

    private static GrammarException Ambiguous(SchemaNode list, int first, int second) => new(
        list.Path, $"A value might satisfy both the alternatives {first} and {second}; use anyOf, give them different types, or a required "
            + "property with different constants.");

    /// <summary>Whether each of them names its values: seen in one look at all.</summary>
    /// <param name="clash">Two that share a value; null: none do.</param>
    private bool AreTold(
        Profile?[] profiles, int[] members, Func<Profile, IEnumerable<string>?> values, out (int First, int Second)? clash)
    {
        clash = null;
        var known = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (int member in members)
        {
            compiler.Budget.Work(20);
            if (values(profiles[member]!) is not { } own)
            {
                return false;
            }

            foreach (string value in own)
            {
                compiler.Budget.Work(10);
                if (!known.TryAdd(value, member) && known[value] is var other && other != member)
                {
                    clash ??= (other, member);
                }
            }
        }

        return true;
    }

    private bool AreDisjoint(Profile a, Profile b, string kind, int depth)
    {
        compiler.Budget.Work(60 + (20 * (a.Required.Count + b.Required.Count)));
        return (a.ValuesOf(kind) is { } these && b.ValuesOf(kind) is { } those && !these.Intersect(those).Any())
            || (kind == "object" && (a.Required.Any(name => b.Required.Contains(name) && PropertyDiffers(a, b, name, depth))
                || Lacks(a, b) || Lacks(b, a)));
    }

    private bool PropertyDiffers(Profile a, Profile b, string name, int depth)
    {
        if (depth >= MaxDepth)
        {
            return false;
        }

        Profile? first = PropertyOf(a, name, depth + 1);
        Profile? second = PropertyOf(b, name, depth + 1);
        return first is null || second is null
            || first.Kinds.All(kind => !second.Kinds.Contains(kind) || AreDisjoint(first, second, kind, depth + 1));
    }

    private Profile? PropertyOf(Profile profile, string name, int depth)
    {
        if (!profile.Properties.TryGetValue(name, out Profile? own))
        {
            own = ProfileOf(profile.Parts.Select(part => part.Node.Property(name)).OfType<SchemaNode>(), depth);
            profile.Properties.Add(name, own);
        }

        return own;
    }

    /// <summary>One requires a property that the other does not allow.</summary>
    private static bool Lacks(Profile a, Profile b)
    {
        foreach (SchemaPart part in b.Parts)
        {
            if (part.Node.Is("additionalProperties", JsonValueKind.False) && a.Required.Any(name => part.Node.Property(name) is null))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>What can be seen of the values that satisfy all of some schemas; null: nothing does.</summary>
    private Profile? ProfileOf(IEnumerable<SchemaNode> nodes, int depth)
    {
        if (compiler.PartsOf(nodes) is not { } parts)
        {
            return null;
        }

        compiler.Budget.Work(200 * (1 + parts.Count));

        // Types by what they say of themselves only: what a missing type implies for writing says nothing of what validates.
        HashSet<string> kinds = [.. (SchemaTypes.Named(parts) ?? SchemaKeywords.OfType.Keys).Select(KindOf)];
        HashSet<string>? values = null;
        foreach (JsonElement[] named in parts.SelectMany(part => Enumeration.Values(part.Node)))
        {
            compiler.Budget.Work(100 * named.Length);
            Narrow(named.Select(SchemaTypes.Canonical));
            kinds.IntersectWith(named.Select(value => KindOf(SchemaTypes.Of(value))));
        }

        foreach (SchemaPart part in parts.Where(part => part.Open != Unions.None && depth < MaxDepth))
        {
            Profile[] inner = [.. part.Node.Under(part.Node.Has("anyOf") ? "anyOf" : "oneOf")
                .Select(entry => ProfileOf([entry.Node], depth + 1)).OfType<Profile>()];
            kinds.IntersectWith(inner.SelectMany(profile => profile.Kinds));
            if (inner.All(profile => profile.Values is not null))
            {
                Narrow(inner.SelectMany(profile => profile.Values!));
            }
        }

        return new Profile(parts, kinds, values, [.. parts.SelectMany(part => part.Node.Names("required"))]);

        void Narrow(IEnumerable<string> named)
        {
            HashSet<string> set = [.. named];
            set.IntersectWith(values ?? set);
            values = set;
        }
    }

    private static string KindOf(string type) => type == "integer" ? "number" : type;

    /// <param name="Kinds">Types that its values may have, integers being numbers.</param>
    /// <param name="Values">All values, as <see cref="SchemaTypes.Canonical"/> writes them; null: they are not named.</param>
    private sealed record Profile(List<SchemaPart> Parts, HashSet<string> Kinds, HashSet<string>? Values, HashSet<string> Required)
    {
        public IEnumerable<string>? ValuesOf(string kind) => Values?.Where(value => kind == value[0] switch
        {
            '{' => "object",
            '[' => "array",
            '"' => "string",
            't' or 'f' => "boolean",
            'n' => "null",
            _ => "number",
        });

        /// <summary>Those of properties that were asked for; null: nothing satisfies one.</summary>
        public Dictionary<string, Profile?> Properties { get; } = [];
    }
}
