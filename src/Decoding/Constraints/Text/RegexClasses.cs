using System.Collections.Concurrent;
using System.Globalization;
using Understory.Decoding.Constraints.Automata;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Constraints.Text;

/// <summary>The named classes of regular expressions, as ECMAScript defines them.</summary>
internal static class RegexClasses
{
    private static readonly ConcurrentDictionary<string, CodePointSet?> _categories = new();

    private static readonly Dictionary<string, UnicodeCategory[]> _names = Enum.GetValues<UnicodeCategory>()
        .GroupBy(UnicodeCategories.Short)
        .ToDictionary(group => group.Key, group => group.ToArray());

    public static CodePointSet Digits { get; } = CodePointSet.Of(('0', '9'));

    public static CodePointSet WordCharacters { get; } = CodePointSet.Of(('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z'));

    public static CodePointSet Spaces { get; } = CodePointSet.AnyOf("\t\n\v\f\r \u00A0\u1680\u2028\u2029\u202F\u205F\u3000\uFEFF")
        .Union(CodePointSet.Of((0x2000, 0x200A)));

    /// <summary>A general category by its short or long name of Unicode, or a group of them by its letter; null: not known.</summary>
    public static CodePointSet? Category(string name)
    {
        string wanted = name switch
        {
            "Letter" => "L",
            "Number" => "N",
            "Punctuation" => "P",
            "Symbol" => "S",
            "Separator" => "Z",
            "Mark" => "M",
            _ => name.Replace("_", "", StringComparison.Ordinal),
        };
        return _categories.GetOrAdd(wanted, Find);
    }

    private static CodePointSet? Find(string name)
    {
        UnicodeCategory[] wanted =
            [.. _names.Where(entry => entry.Key == name || (name.Length == 1 && entry.Key[0] == name[0])).SelectMany(entry => entry.Value)];
        if (wanted.Length == 0 && Enum.TryParse(name, out UnicodeCategory category) && !int.TryParse(name, out _))
        {
            wanted = [category];
        }

        if (wanted.Length == 0)
        {
            return null;
        }

        var ranges = new List<(int, int)>();
        for (int codePoint = 0, first = -1; codePoint <= 0x110000; codePoint++)
        {
            bool isIn = codePoint < 0x110000 && wanted.Contains(CharUnicodeInfo.GetUnicodeCategory(codePoint));
            if (isIn && first < 0)
            {
                first = codePoint;
            }
            else if (!isIn && first >= 0)
            {
                ranges.Add((first, codePoint - 1));
                first = -1;
            }
        }

        return CodePointSet.Of([.. ranges]);
    }
}
