using System.Globalization;
using System.Text;

namespace Understory.Models.Tokenizers.PreTokenization;

/// <summary>
/// A pattern that names characters beyond U+FFFF, for an engine that sees UTF-16 units. Every such character is matched as a stand-in of
/// one unit, from the private use area: one for each general category within each of the stretches between the pattern's own ends. The
/// pattern is rewritten to name the stand-ins wherever it names, or means by a category, what they stand for.
/// </summary>
internal sealed class AstralClasses
{
    private const int First = 0x10000;
    private const int Last = 0x10FFFF;
    private const char FirstStandIn = '\uE000';

    /// <summary>Stands for the private use characters of the text itself, which no pattern names.</summary>
    private const char PrivateUse = '\uF8FF';

    private readonly List<int> _begins = [First];
    private readonly Dictionary<(int Stretch, UnicodeCategory Category), char> _standIns = [];

    /// <exception cref="ArgumentException">A class of the pattern does not end.</exception>
    public AstralClasses(string pattern)
    {
        foreach (Rune rune in pattern.EnumerateRunes())
        {
            if (!rune.IsBmp)
            {
                // Each may be one end or the other of a range.
                _begins.AddRange([rune.Value, rune.Value + 1]);
            }
        }

        _begins.Sort();
        _begins = [.. _begins.Distinct()];
        for (int codePoint = First, stretch = 0; codePoint <= Last; codePoint++)
        {
            stretch += stretch + 1 < _begins.Count && codePoint >= _begins[stretch + 1] ? 1 : 0;
            (int, UnicodeCategory) key = (stretch, CharUnicodeInfo.GetUnicodeCategory(codePoint));
            _standIns.TryAdd(key, (char)(FirstStandIn + _standIns.Count));
        }

        Pattern = Rewrite(pattern);
    }

    /// <summary>Whether a pattern needs all this.</summary>
    public static bool IsIn(string pattern) => pattern.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') >= 0;

    /// <summary>The pattern over stand-ins.</summary>
    public string Pattern { get; }

    /// <summary>The unit that is matched for a character.</summary>
    public char this[Rune rune] => rune.IsBmp
        ? (char)rune.Value is >= FirstStandIn and <= PrivateUse ? PrivateUse : (char)rune.Value
        : _standIns[(StretchOf(rune.Value), Rune.GetUnicodeCategory(rune))];

    private int StretchOf(int codePoint) => _begins.BinarySearch(codePoint) is var at && at >= 0 ? at : ~at - 1;

    private string Rewrite(string pattern)
    {
        var written = new StringBuilder();
        for (int at = 0; at < pattern.Length;)
        {
            if (pattern[at] == '[')
            {
                written.Append(Class(pattern, ref at));
                continue;
            }

            string item = Next(pattern, ref at);
            string positive = Positive(item);
            string members = Members(positive, positive);
            written.Append(char.IsSurrogate(item[0]) ? $"[{members}]" : members.Length == 0 ? item
                : $"[{(positive == item ? "" : "^")}{positive}{members}]");
        }

        return written.ToString();
    }

    /// <summary>A class, with the stand-ins of what it names: a negated one then lacks just these.</summary>
    private string Class(string pattern, ref int at)
    {
        var written = new StringBuilder("[");
        at++;
        bool isFirst = true;
        for (bool begins = true; at < pattern.Length && (pattern[at] != ']' || isFirst); begins = false)
        {
            if (begins && pattern[at] == '^')
            {
                written.Append('^');
                at++;
                continue;
            }

            isFirst = false;
            string first = Next(pattern, ref at);
            string last = first;
            if (Positive(first) != first)
            {
                throw new ArgumentException($"{first} within a class beside characters beyond U+FFFF");
            }

            if (at + 1 < pattern.Length && pattern[at] == '-' && pattern[at + 1] != ']')
            {
                at++;
                last = Next(pattern, ref at);
            }

            if (!char.IsSurrogate(first[0]))
            {
                written.Append(first).Append(char.IsSurrogate(last[0]) ? "-\uDFFF" : last == first ? "" : "-" + last);
            }

            written.Append(Members(first, last));
        }

        at++;
        return at > pattern.Length ? throw new ArgumentException("a class does not end") : written.Append(']').ToString();
    }

    /// <summary>A character, or an escape, as the pattern writes it.</summary>
    private static string Next(string pattern, ref int at)
    {
        int begin = at;
        bool isEscape = pattern[at] == '\\' && at + 1 < pattern.Length;
        bool isProperty = isEscape && pattern[at + 1] is 'p' or 'P' && at + 2 < pattern.Length && pattern[at + 2] == '{';
        int close = isProperty ? pattern.IndexOf('}', at) : -1;
        at = close > 0 ? close + 1 : at + (isEscape || char.IsHighSurrogate(pattern[at]) ? 2 : 1);
        return pattern[begin..Math.Min(at, pattern.Length)];
    }

    /// <summary>What an escape is the opposite of; any other item itself.</summary>
    private static string Positive(string item) => item switch
    {
        ['\\', 'p' or 'P', '{', 'C', ..] => throw new ArgumentException($"{item} beside characters beyond U+FFFF"),
        ['\\', 'P', ..] => @"\p" + item[2..],
        @"\W" => @"\w",
        @"\D" => @"\d",
        _ => item,
    };

    /// <summary>The stand-ins of what lies between two characters, or of what an escape means.</summary>
    private string Members(string first, string last)
    {
        var members = new StringBuilder();
        bool isRange = char.IsSurrogate(last[0]);
        int low = char.IsSurrogate(first[0]) ? char.ConvertToUtf32(first, 0) : First;
        int high = isRange ? char.ConvertToUtf32(last, 0) : 0;
        foreach (((int stretch, UnicodeCategory category), char standIn) in _standIns)
        {
            if (isRange ? _begins[stretch] >= low && _begins[stretch] <= high : Means(first, category))
            {
                members.Append(standIn);
            }
        }

        return members.ToString();
    }

    /// <summary>Whether an escape means a category; white space beyond U+FFFF there is none.</summary>
    private static bool Means(string escape, UnicodeCategory category)
    {
        string name = UnicodeCategories.Short(category);
        return escape switch
        {
            ['\\', 'p', '{', .. var wanted, '}'] => name.StartsWith(wanted, StringComparison.Ordinal),
            @"\w" => name[0] is 'L' or 'M' || name is "Nd" or "Nl" or "Pc",
            @"\d" => name == "Nd",
            _ => false,
        };
    }
}
