using System.Globalization;

namespace Understory.Models.Tokenizers.Normalization;

/// <summary>What decides whether a code point may stay as it is in a normalised text.</summary>
[Flags]
internal enum CodePointTraits : byte
{
    None = 0,

    /// <summary>Its combining class is not 0.</summary>
    Mark = 1,

    /// <summary>It has a canonical decomposition.</summary>
    Canonical = 2,

    /// <summary>It has a compatibility decomposition.</summary>
    Compatibility = 4,

    /// <summary>It never occurs in composed text: its canonical decomposition does not compose back to it.</summary>
    Replaced = 8,

    /// <summary>It may compose with what stands before it.</summary>
    ComposesBackwards = 16,
}

/// <summary>The tables of normalization.txt, read when first needed.</summary>
internal sealed class NormalizationData
{
    private static readonly Lazy<NormalizationData> s_instance = new(() => new NormalizationData());

    private readonly CodePointTraits[] _basicTraits = new CodePointTraits[0x10000];
    private readonly Dictionary<int, CodePointTraits> _astralTraits = [];
    private readonly Dictionary<int, byte> _classes = [];
    private readonly Dictionary<int, int[]> _canonical = [];
    private readonly Dictionary<int, int[]> _compatibility = [];
    private readonly Dictionary<(int First, int Second), int> _compositions = [];

    private NormalizationData()
    {
        using Stream stream = typeof(NormalizationData).Assembly.GetManifestResourceStream("normalization.txt")
            ?? throw new InvalidOperationException("The resource normalization.txt is missing.");
        using var lines = new StreamReader(stream);
        while (lines.ReadLine() is string line)
        {
            if (!line.StartsWith('#'))
            {
                ReadLine(line);
            }
        }

        for (int code = 0xAC00; code < 0xD7A4; code++)
        {
            Mark(code, CodePointTraits.Canonical);
        }

        for (int code = 0x1161; code < 0x11C3; code++)
        {
            // The vowels and tails of Hangul syllables; the few between them are harmless here.
            Mark(code, CodePointTraits.ComposesBackwards);
        }
    }

    public static NormalizationData Instance => s_instance.Value;

    public CodePointTraits Traits(int code) => code < _basicTraits.Length ? _basicTraits[code] : _astralTraits.GetValueOrDefault(code);

    public int CombiningClass(int code) => (Traits(code) & CodePointTraits.Mark) == 0 ? 0 : _classes[code];

    /// <summary>One step of decomposition; null if there is none.</summary>
    public int[]? Decomposition(int code, bool compatibility)
    {
        CodePointTraits traits = Traits(code);
        return (traits & CodePointTraits.Canonical) != 0 ? _canonical[code]
            : compatibility && (traits & CodePointTraits.Compatibility) != 0 ? _compatibility[code]
            : null;
    }

    /// <summary>The code point that a pair composes to; -1 if it does not.</summary>
    public int Composition(int first, int second) => _compositions.GetValueOrDefault((first, second), -1);

    private void ReadLine(string line)
    {
        int sign = line.IndexOfAny([':', '=', '!', '~']);
        if (line[sign] == ':')
        {
            int dash = line.IndexOf('-');
            byte value = byte.Parse(line.AsSpan(sign + 1), CultureInfo.InvariantCulture);
            for (int mark = Hex(line.AsSpan(0, dash)); mark <= Hex(line.AsSpan(dash + 1, sign - dash - 1)); mark++)
            {
                _classes[mark] = value;
                Mark(mark, CodePointTraits.Mark);
            }

            return;
        }

        int code = Hex(line.AsSpan(0, sign));
        int[] parts = [.. line[(sign + 1)..].Split(' ').Select(part => Hex(part))];
        switch (line[sign])
        {
            case '~':
                _compatibility[code] = parts;
                Mark(code, CodePointTraits.Compatibility);
                break;
            case '!':
                _canonical[code] = parts;
                Mark(code, CodePointTraits.Canonical | CodePointTraits.Replaced);
                break;
            default:
                _canonical[code] = parts;
                _compositions[(parts[0], parts[1])] = code;
                Mark(code, CodePointTraits.Canonical);
                Mark(parts[1], CodePointTraits.ComposesBackwards);
                break;
        }
    }

    private void Mark(int code, CodePointTraits traits)
    {
        if (code < _basicTraits.Length)
        {
            _basicTraits[code] |= traits;
        }
        else
        {
            _astralTraits[code] = _astralTraits.GetValueOrDefault(code) | traits;
        }
    }

    private static int Hex(ReadOnlySpan<char> text) => int.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
