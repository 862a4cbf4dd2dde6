namespace Understory.Decoding.Constraints.Automata;

/// <summary>A set of Unicode scalar values as sorted ranges that neither touch nor overlap. Surrogates are never in it.</summary>
internal sealed class CodePointSet
{
    private const int Last = 0x10FFFF;

    private CodePointSet(IReadOnlyList<(int First, int Last)> ranges) => Ranges = ranges;

    public static CodePointSet Empty { get; } = new([]);

    public static CodePointSet All { get; } = Of((0, Last));

    public IReadOnlyList<(int First, int Last)> Ranges { get; }

    public bool IsEmpty => Ranges.Count == 0;

    public static CodePointSet Of(params ReadOnlySpan<(int First, int Last)> ranges)
    {
        var sorted = new List<(int First, int Last)>(ranges.Length + 2);
        foreach ((int first, int last) in ranges)
        {
            AddWithoutSurrogates(sorted, first, Math.Min(last, Last));
        }

        sorted.Sort();
        var merged = new List<(int First, int Last)>(sorted.Count);
        foreach ((int first, int last) in sorted)
        {
            if (merged.Count > 0 && first <= merged[^1].Last + 1)
            {
                merged[^1] = (merged[^1].First, Math.Max(merged[^1].Last, last));
            }
            else
            {
                merged.Add((first, last));
            }
        }

        return new CodePointSet(merged);
    }

    public static CodePointSet Single(int codePoint) => Of((codePoint, codePoint));

    /// <summary>All characters of <paramref name="text"/>.</summary>
    public static CodePointSet AnyOf(string text) => Of([.. text.EnumerateRunes().Select(rune => (rune.Value, rune.Value))]);

    public CodePointSet Union(CodePointSet other) => Of([.. Ranges, .. other.Ranges]);

    public CodePointSet Complement()
    {
        var gaps = new List<(int, int)>(Ranges.Count + 1);
        int next = 0;
        foreach ((int first, int last) in Ranges)
        {
            if (first > next)
            {
                gaps.Add((next, first - 1));
            }

            next = last + 1;
        }

        if (next <= Last)
        {
            gaps.Add((next, Last));
        }

        return Of([.. gaps]);
    }

    public CodePointSet Except(CodePointSet other) => Complement().Union(other).Complement();

    public CodePointSet Intersect(CodePointSet other) => Complement().Union(other.Complement()).Complement();

    public bool Contains(int codePoint) => Ranges.Any(range => codePoint >= range.First && codePoint <= range.Last);

    private static void AddWithoutSurrogates(List<(int, int)> ranges, int first, int last)
    {
        if (first <= Math.Min(last, 0xD7FF))
        {
            ranges.Add((first, Math.Min(last, 0xD7FF)));
        }

        if (Math.Max(first, 0xE000) <= last)
        {
            ranges.Add((Math.Max(first, 0xE000), last));
        }
    }
}
