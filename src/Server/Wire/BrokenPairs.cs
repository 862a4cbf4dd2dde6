using System.Text;

namespace Understory.Server.Wire;

/// <summary>Escaped halves of surrogate pairs in JSON that a model wrote: readers break on them.</summary>
public static class BrokenPairs
{
    private const int EscapeLength = 6;
    private const string Replacement = "\\ufffd";

    /// <summary>The same JSON with U+FFFD in the place of each half that has no other half.</summary>
    public static string Repair(string json)
    {
        if (!json.Contains("\\ud", StringComparison.OrdinalIgnoreCase))
        {
            return json;
        }

        var repaired = new StringBuilder(json.Length);
        for (int i = 0; i < json.Length;)
        {
            if (json[i] != '\\' || UnitAt(json, i) is not { } unit || !char.IsSurrogate(unit))
            {
                int length = json[i] == '\\' ? Math.Min(2, json.Length - i) : 1;
                repaired.Append(json, i, length);
                i += length;
            }
            else if (char.IsHighSurrogate(unit) && UnitAt(json, i + EscapeLength) is { } low && char.IsLowSurrogate(low))
            {
                repaired.Append(json, i, 2 * EscapeLength);
                i += 2 * EscapeLength;
            }
            else
            {
                repaired.Append(Replacement);
                i += EscapeLength;
            }
        }

        return repaired.ToString();
    }

    /// <summary>The UTF-16 unit that is escaped here; null: none is.</summary>
    private static char? UnitAt(string json, int at) =>
        at + EscapeLength <= json.Length && json[at] == '\\' && json[at + 1] == 'u'
            && ushort.TryParse(json.AsSpan(at + 2, 4), System.Globalization.NumberStyles.AllowHexSpecifier, null, out ushort unit)
            ? (char)unit
            : null;
}
