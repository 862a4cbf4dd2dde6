using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Understory.Models.Tokenizers.PreTokenization;

/// <summary>
/// Matches a regular expression as tokenizer.json writes it (Oniguruma's syntax). .NET's engine sees UTF-16 units, not code
/// points: text with astral code points is matched with a stand-in for each, one unit of the same general category; where the pattern
/// itself names some, as <see cref="AstralClasses"/> has it.
/// </summary>
internal sealed class RegexMatcher : IMatcher
{
    /// <summary>Honest patterns take microseconds for a match; those that backtrack without end are given up.</summary>
    private static readonly TimeSpan MostPerMatch = TimeSpan.FromSeconds(2);

    /// <summary>Real patterns have some hundred characters, those that list a script's ranges some thousand.</summary>
    private const int MostCharacters = 1 << 16;

    /// <summary>
    /// .NET builds an expression by recursion that goes on in another thread wherever the stack ends; nested a hundred thousand times over
    /// it waits for more threads than the pool gives. Real patterns nest three or four groups.
    /// </summary>
    private const int MostNested = 256;

    private static readonly char[] s_standIns = BuildStandIns();

    private readonly Regex _regex;
    private readonly AstralClasses? _astral;

    /// <exception cref="ArgumentException">
    /// The pattern uses something that .NET's engine lacks, or is longer or nested deeper than anything that cuts words.
    /// </exception>
    public RegexMatcher(string pattern)
    {
        if (pattern.Length > MostCharacters)
        {
            throw new ArgumentException($"it has {pattern.Length:N0} characters, and at most {MostCharacters:N0} are read");
        }

        _astral = AstralClasses.IsIn(pattern) ? new AstralClasses(pattern) : null;
        pattern = WithoutPossessiveQuantifiers(_astral?.Pattern ?? pattern);
        try
        {
            _regex = new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        }
        catch (NotSupportedException)
        {
            // Look-around needs the backtracking engine.
            _regex = new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled, MostPerMatch);
        }
    }

    /// <exception cref="TokenizationException">The pattern backtracks without end on this text.</exception>
    public void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        try
        {
            FindAll(text, matches);
        }
        catch (RegexMatchTimeoutException e)
        {
            throw new TokenizationException(
                "The text cannot be cut into words: the tokenizer's regular expression backtracks without end on it. Send another text, "
                    + "or use a tokenizer with a simpler expression.", e);
        }
    }

    private void FindAll(ReadOnlySpan<char> text, List<Range> matches)
    {
        if (text.IndexOfAnyInRange('\uD800', _astral is null ? '\uDFFF' : '\uF8FF') < 0)
        {
            foreach (ValueMatch match in _regex.EnumerateMatches(text))
            {
                if (match.Length > 0)
                {
                    matches.Add(match.Index..(match.Index + match.Length));
                }
            }

            return;
        }

        var units = new char[text.Length];
        var origins = new int[text.Length + 1];
        int count = 0;
        for (int at = 0; at < text.Length;)
        {
            origins[count] = at;
            Rune.DecodeFromUtf16(text[at..], out Rune rune, out int length);
            units[count++] = _astral is { } astral ? astral[rune]
                : rune.IsBmp ? (char)rune.Value : s_standIns[(int)Rune.GetUnicodeCategory(rune)];
            at += length;
        }

        origins[count] = text.Length;
        foreach (ValueMatch match in _regex.EnumerateMatches(units.AsSpan(0, count)))
        {
            if (match.Length > 0)
            {
                matches.Add(origins[match.Index]..origins[match.Index + match.Length]);
            }
        }
    }

    /// <summary>
    /// The last code unit of each category: far from what patterns name by range or by letter. (Surrogates stand for categories that
    /// the basic plane lacks; none does in practice.)
    /// </summary>
    private static char[] BuildStandIns()
    {
        var standIns = new char[(int)UnicodeCategory.OtherNotAssigned + 1];
        Array.Fill(standIns, '\uFFFD');
        for (int c = 0; c <= 0xFFFF; c++)
        {
            // Compatibility blocks at the end of the plane are named by ranges now and then.
            if (c is < 0xF900 or 0xFFFF)
            {
                standIns[(int)CharUnicodeInfo.GetUnicodeCategory((char)c)] = (char)c;
            }
        }

        return standIns;
    }

    /// <summary>
    /// Rewrites <c>x?+</c>, <c>x*+</c> and <c>x++</c> as atomic groups <c>(?>x?)</c>: .NET has no possessive quantifiers and would
    /// read the second sign as an error.
    /// </summary>
    internal static string WithoutPossessiveQuantifiers(string pattern)
    {
        var rewritten = new StringBuilder();
        var groups = new Stack<int>();
        int atom = -1; // where in the rewritten text the last atom begins
        for (int i = 0; i < pattern.Length;)
        {
            char c = pattern[i];
            if (c is '?' or '*' or '+' && atom >= 0)
            {
                rewritten.Append(c);
                i++;
                if (i < pattern.Length && pattern[i] == '+')
                {
                    rewritten.Insert(atom, "(?>").Append(')');
                    i++;
                }

                continue;
            }

            int length = AtomLength(pattern, i);
            if (c == '(')
            {
                groups.Push(rewritten.Length);
                if (groups.Count > MostNested)
                {
                    throw new ArgumentException($"more than {MostNested} groups within each other");
                }

                length = GroupHeadLength(pattern, i);
                atom = -1;
            }
            else
            {
                atom = c == ')' && groups.Count > 0 ? groups.Pop() : c == '|' ? -1 : rewritten.Length;
            }

            rewritten.Append(pattern, i, length);
            i += length;
        }

        return rewritten.ToString();
    }

    private static int AtomLength(string pattern, int at)
    {
        if (pattern[at] == '\\' && at + 1 < pattern.Length)
        {
            bool isProperty = pattern[at + 1] is 'p' or 'P' && at + 2 < pattern.Length && pattern[at + 2] == '{';
            int close = isProperty ? pattern.IndexOf('}', at) : -1;
            return close > 0 ? close + 1 - at : 2;
        }

        if (pattern[at] != '[')
        {
            return 1;
        }

        int end = at + 1;
        while (end < pattern.Length && pattern[end] != ']')
        {
            end += pattern[end] == '\\' ? 2 : 1;
        }

        return Math.Min(end + 1, pattern.Length) - at;
    }

    /// <summary>Length of <c>(</c>, <c>(?:</c>, <c>(?i:</c>, <c>(?!</c> and the like: their <c>?</c> is no quantifier.</summary>
    private static int GroupHeadLength(string pattern, int at)
    {
        int end = at + 1;
        if (end < pattern.Length && pattern[end] == '?')
        {
            end++;
            while (end < pattern.Length && (char.IsAsciiLetter(pattern[end]) || pattern[end] is '-' or '<' or '!' or '=' or '>'))
            {
                end++;
            }

            if (end < pattern.Length && pattern[end] == ':')
            {
                end++;
            }
        }

        return end - at;
    }
}
