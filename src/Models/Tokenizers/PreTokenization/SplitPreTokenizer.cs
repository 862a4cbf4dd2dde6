namespace Understory.Models.Tokenizers.PreTokenization;

/// <summary>What becomes of the matches of a pattern that cuts a text.</summary>
internal enum SplitBehavior
{
    /// <summary>A match is a piece.</summary>
    Isolated,

    /// <summary>Matches vanish.</summary>
    Removed,

    /// <summary>A match ends the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>A match begins the piece after it.</summary>
    MergedWithNext,

    /// <summary>Neighbouring matches are one piece.</summary>
    Contiguous,
}

/// <summary>A range of text, matched by a pattern or lying between matches.</summary>
internal readonly record struct Stretch(int Start, int End, bool IsMatch);

/// <summary>Finds the matches of a pattern.</summary>
internal interface IMatcher
{
    /// <summary>Adds the matches in <paramref name="text"/> to <paramref name="matches"/>: in order, not overlapping, not empty.</summary>
    void Find(ReadOnlySpan<char> text, List<Range> matches);
}

/// <summary>Matches a fixed text.</summary>
internal sealed class LiteralMatcher(string literal) : IMatcher
{
    public void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        for (int start = 0; ;)
        {
            int at = text[start..].IndexOf(literal, StringComparison.Ordinal);
            if (at < 0)
            {
                return;
            }

            matches.Add((start + at)..(start + at + literal.Length));
            start += at + literal.Length;
        }
    }
}

/// <summary>Matches single code points of some kind.</summary>
internal sealed class KindMatcher(CodePointKind kinds) : IMatcher
{
    public void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        for (int at = 0; at < text.Length;)
        {
            bool isMatch = (CodePoints.KindAt(text, at, out int length) & kinds) != 0;
            if (isMatch)
            {
                matches.Add(at..(at + length));
            }

            at += length;
        }
    }
}

/// <summary>Matches <c>\w+|[^\w\s]+</c>.</summary>
internal sealed class WordMatcher : IMatcher
{
    public void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        const CodePointKind Either = CodePointKind.Word | CodePointKind.Space;
        for (int at = 0; at < text.Length;)
        {
            CodePointKind kind = CodePoints.KindAt(text, at, out int length);
            int end = (kind & CodePointKind.Word) != 0 ? CodePoints.SkipAny(text, at, CodePointKind.Word)
                : (kind & CodePointKind.Space) != 0 ? at + length
                : CodePoints.SkipNone(text, at, Either);
            if ((kind & Either) != CodePointKind.Space)
            {
                matches.Add(at..end);
            }

            at = end;
        }
    }
}

/// <summary>Cuts at the matches of a pattern; with <paramref name="invert"/> at what lies between them.</summary>
internal sealed class SplitPreTokenizer(IMatcher matcher, SplitBehavior behavior, bool invert) : IPreTokenizer
{
    public bool CutsOnly => true;

    public void Apply(Pieces pieces)
    {
        var matches = new List<Range>();
        var stretches = new List<Stretch>();
        pieces.Cut((text, sink) =>
        {
            matches.Clear();
            matcher.Find(text, matches);
            Cover(text.Length, matches, stretches);
            Emit(stretches, sink);
        });
    }

    private void Cover(int length, List<Range> matches, List<Stretch> stretches)
    {
        stretches.Clear();
        int covered = 0;
        foreach (Range match in matches)
        {
            if (match.Start.Value > covered)
            {
                stretches.Add(new Stretch(covered, match.Start.Value, invert));
            }

            stretches.Add(new Stretch(match.Start.Value, match.End.Value, !invert));
            covered = match.End.Value;
        }

        if (covered < length)
        {
            stretches.Add(new Stretch(covered, length, invert));
        }
    }

    private void Emit(List<Stretch> stretches, PieceSink sink)
    {
        for (int i = 0; i < stretches.Count; i++)
        {
            Stretch stretch = stretches[i];
            switch (behavior)
            {
                case SplitBehavior.Removed when stretch.IsMatch:
                    continue;

                case SplitBehavior.MergedWithPrevious:
                    // The first of several matches joins what is before it; the others stand alone.
                    if (!stretch.IsMatch && i + 1 < stretches.Count && stretches[i + 1].IsMatch)
                    {
                        stretch = stretch with { End = stretches[++i].End };
                    }

                    break;

                case SplitBehavior.MergedWithNext:
                    // The last of several matches joins what is after it.
                    if (stretch.IsMatch && i + 1 < stretches.Count && !stretches[i + 1].IsMatch)
                    {
                        stretch = stretch with { End = stretches[++i].End };
                    }

                    break;

                case SplitBehavior.Contiguous:
                    while (i + 1 < stretches.Count && stretches[i + 1].IsMatch == stretch.IsMatch)
                    {
                        stretch = stretch with { End = stretches[++i].End };
                    }

                    break;
            }

            sink.Add(stretch.Start, stretch.End);
        }
    }
}
