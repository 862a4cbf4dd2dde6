using System.Numerics;
using Understory.Decoding.Constraints.Text;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Strings and numbers.</summary>
internal static class ScalarSchemas
{
    /// <summary>Longer strings are not written where a schema counts characters.</summary>
    public const int MaxCounted = 2_000;

    public static Grammar Text(List<SchemaNode> parts, JsonTexts texts)
    {
        var bodies = new List<Grammar>();
        foreach (SchemaNode part in parts)
        {
            if (part.Has("pattern"))
            {
                bodies.Add(JsonTexts.Escape(RegexParser.Parse(part.Text("pattern"), $"{part.Path}/pattern").Within()));
            }

            if (part.Has("format"))
            {
                string name = part.Text("format");
                bodies.Add(JsonTexts.Escape(StringFormats.All.TryGetValue(name, out Grammar? format)
                    ? format
                    : throw new GrammarException($"{part.Path}/format",
                        $"The format '{name}' is not supported; {string.Join(", ", StringFormats.All.Keys)} are.")));
            }
        }

        if (parts.Exists(part => part.Has("minLength") || part.Has("maxLength")))
        {
            bodies.Add(Length(parts));
        }

        return bodies.Count == 0
            ? texts.String
            : Grammar.Sequence(Grammar.Literal("\""), bodies.Aggregate(Grammar.Intersect), Grammar.Literal("\""));
    }

    public static Grammar Integer(List<SchemaNode> parts)
    {
        (decimal? low, bool lowOut, decimal? high, bool highOut) = Bounds(parts);
        if (low is null && high is null)
        {
            return JsonTexts.Integer;
        }

        BigInteger? least = low is null ? null
            : new BigInteger(Math.Ceiling(low.Value)) + (lowOut && Math.Ceiling(low.Value) == low ? 1 : 0);
        BigInteger? most = high is null ? null
            : new BigInteger(Math.Floor(high.Value)) - (highOut && Math.Floor(high.Value) == high ? 1 : 0);
        return NumberRange.Integers(least, most);
    }

    public static Grammar Number(List<SchemaNode> parts)
    {
        (decimal? low, bool lowOut, decimal? high, bool highOut) = Bounds(parts);
        return low is null && high is null ? JsonTexts.Number : NumberRange.Decimals(low, lowOut, high, highOut);
    }

    private static Grammar Length(List<SchemaNode> parts)
    {
        int min = parts.Where(part => part.Has("minLength")).Select(part => part.Count("minLength")).DefaultIfEmpty(0).Max();
        int? max = parts.Where(part => part.Has("maxLength")).Select(part => (int?)part.Count("maxLength")).DefaultIfEmpty(null).Min();
        if (min > MaxCounted)
        {
            SchemaNode part = parts.First(part => part.Has("minLength") && part.Count("minLength") == min);
            throw new GrammarException($"{part.Path}/minLength",
                $"{min} characters at least are too many to count; the limit is {MaxCounted}.");
        }

        max = max > MaxCounted ? MaxCounted : max;
        return max < min ? Grammar.Nothing : Grammar.Repeat(JsonTexts.SimpleCharacter, min, max);
    }

    /// <summary>The narrowest bounds; the older drafts' <c>exclusiveMinimum: true</c> counts too.</summary>
    private static (decimal? Low, bool LowOut, decimal? High, bool HighOut) Bounds(List<SchemaNode> parts)
    {
        (decimal? low, bool lowOut, decimal? high, bool highOut) = (null, false, null, false);
        foreach (SchemaNode part in parts)
        {
            foreach ((string keyword, string exclusive, bool isLow) in new[] { ("minimum", "exclusiveMinimum", true),
                ("maximum", "exclusiveMaximum", false) })
            {
                bool flag = part.Has(exclusive)
                    && part[exclusive].Schema.ValueKind is System.Text.Json.JsonValueKind.True or System.Text.Json.JsonValueKind.False;
                if (part.Has(keyword))
                {
                    Narrow(part.Number(keyword), flag && part[exclusive].Schema.GetBoolean(), isLow);
                }

                if (part.Has(exclusive) && !flag)
                {
                    Narrow(part.Number(exclusive), true, isLow);
                }
            }
        }

        return (low, lowOut, high, highOut);

        void Narrow(decimal bound, bool isOut, bool isLow)
        {
            if (isLow && (low is null || bound > low || (bound == low && isOut)))
            {
                (low, lowOut) = (bound, isOut);
            }
            else if (!isLow && (high is null || bound < high || (bound == high && isOut)))
            {
                (high, highOut) = (bound, isOut);
            }
        }
    }
}
