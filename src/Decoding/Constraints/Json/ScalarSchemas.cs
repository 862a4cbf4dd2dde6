using System.Numerics;
using System.Text.Json;
using Understory.Decoding.Constraints.Text;

namespace Understory.Decoding.Constraints.Json;

/// <summary>Strings and numbers.</summary>
internal sealed class ScalarSchemas(SchemaCompiler compiler)
{
    /// <summary>Longer strings are not written where a schema counts characters.</summary>
    public const int MaxCounted = 2_000;

    /// <summary>Digits of a bound, before and behind the point.</summary>
    private const int MaxBoundDigits = 400;

    public Grammar Text(List<SchemaPart> parts, JsonTexts texts)
    {
        var bodies = new List<Grammar>();
        foreach (SchemaNode node in parts.Select(part => part.Node))
        {
            if (node.Has("pattern"))
            {
                string pattern = node.Text("pattern");
                compiler.Budget.Work(20L * pattern.Length);
                AddHeld(() => RegexParser.Parse(pattern, node["pattern"].Path).Within());
            }

            // A format that is not known is an annotation (JSON Schema 2020-12, validation, section 7.2.3).
            if (node.Has("format") && StringFormats.All.TryGetValue(node.Text("format"), out Grammar? format))
            {
                bodies.Add(JsonTexts.Escape(format));
            }
        }

        if (parts.Exists(part => part.Node.Has("minLength") || part.Node.Has("maxLength")))
        {
            bodies.Add(Length(parts));
        }

        return bodies.Count == 0
            ? texts.String
            : Grammar.Sequence(Grammar.Literal("\""), bodies.Aggregate(Grammar.Intersect), Grammar.Literal("\""));

        void AddHeld(Func<Grammar> read)
        {
            try
            {
                bodies.Add(JsonTexts.Escape(read()));
            }
            catch (GrammarException) when (compiler.Loosely)
            {
                // Any string, then.
            }
        }
    }

    public static Grammar Integer(List<SchemaPart> parts)
    {
        Bounds bounds = BoundsOf(parts);
        if (bounds is { Low: null, High: null })
        {
            return JsonTexts.Integer;
        }

        BigInteger? least = bounds.Low is { } low ? low.Ceiling + (bounds.LowOut && low.IsInteger ? 1 : 0) : null;
        BigInteger? most = bounds.High is { } high ? high.Floor - (bounds.HighOut && high.IsInteger ? 1 : 0) : null;
        return NumberRange.Integers(least, most);
    }

    public static Grammar Number(List<SchemaPart> parts)
    {
        Bounds bounds = BoundsOf(parts);
        return bounds is { Low: null, High: null } ? JsonTexts.Number
            : NumberRange.Decimals(bounds.Low, bounds.LowOut, bounds.High, bounds.HighOut);
    }

    /// <summary>Whether a number lies within all bounds.</summary>
    public static bool Holds(List<SchemaPart> parts, JsonNumber value)
    {
        Bounds bounds = BoundsOf(parts);
        return (bounds.Low is not { } low || value.CompareTo(low) is var above && (above > 0 || (above == 0 && !bounds.LowOut)))
            && (bounds.High is not { } high || value.CompareTo(high) is var below && (below < 0 || (below == 0 && !bounds.HighOut)));
    }

    private Grammar Length(List<SchemaPart> parts)
    {
        int min = parts.Where(part => part.Node.Has("minLength")).Select(part => part.Node.Count("minLength")).DefaultIfEmpty(0).Max();
        int? max = parts.Where(part => part.Node.Has("maxLength")).Select(part => (int?)part.Node.Count("maxLength")).DefaultIfEmpty(null)
            .Min();
        if (min > MaxCounted)
        {
            SchemaNode node = parts.First(part => part.Node.Has("minLength") && part.Node.Count("minLength") == min).Node;
            min = compiler.Loosely ? MaxCounted : throw new GrammarException(node["minLength"].Path,
                $"{min} characters at least are too many to count; the limit is {MaxCounted}.");
        }

        max = max > MaxCounted ? MaxCounted : max;
        return max < min ? Grammar.Nothing : Grammar.Repeat(JsonTexts.SimpleCharacter, min, max);
    }

    /// <summary>The narrowest bounds; the older drafts' <c>exclusiveMinimum: true</c> counts too.</summary>
    private static Bounds BoundsOf(List<SchemaPart> parts)
    {
        var bounds = new Bounds(null, false, null, false);
        foreach (SchemaNode node in parts.Select(part => part.Node))
        {
            foreach ((string keyword, string exclusive, bool isLow) in new[] { ("minimum", "exclusiveMinimum", true),
                ("maximum", "exclusiveMaximum", false) })
            {
                bool isFlag = node.Is(exclusive, JsonValueKind.True) || node.Is(exclusive, JsonValueKind.False);
                if (node.Has(keyword))
                {
                    Narrow(node, keyword, node.Is(exclusive, JsonValueKind.True), isLow);
                }

                if (node.Has(exclusive) && !isFlag)
                {
                    Narrow(node, exclusive, true, isLow);
                }
            }
        }

        return bounds;

        void Narrow(SchemaNode node, string keyword, bool isOut, bool isLow)
        {
            JsonNumber bound = node.Number(keyword);
            if (bound.Magnitude > MaxBoundDigits && bound.Negative == isLow)
            {
                // No number that is written reaches so far.
                return;
            }

            if (bound.Magnitude > MaxBoundDigits || bound.Exponent < -MaxBoundDigits)
            {
                throw new GrammarException(node[keyword].Path, $"A bound has at most {MaxBoundDigits} digits before and behind its point.");
            }

            if (isLow && (bounds.Low is not { } low || bound.CompareTo(low) is var above && (above > 0 || (above == 0 && isOut))))
            {
                bounds = bounds with { Low = bound, LowOut = isOut };
            }
            else if (!isLow && (bounds.High is not { } high || bound.CompareTo(high) is var below && (below < 0 || (below == 0 && isOut))))
            {
                bounds = bounds with { High = bound, HighOut = isOut };
            }
        }
    }

    /// <param name="LowOut">The lower bound itself is out.</param>
    private readonly record struct Bounds(JsonNumber? Low, bool LowOut, JsonNumber? High, bool HighOut);
}
