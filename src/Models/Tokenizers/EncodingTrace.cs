using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Understory.Models.Tokenizers;

/// <summary>
/// What each token of an encoding came of, kept where somebody asks for offsets. They lie in the text as it was cut into words
/// (normalised, with the blanks that the vocabulary writes), in UTF-16 units; a token that is part of a character has all of it.
/// </summary>
internal sealed class EncodingTrace(Vocabulary vocabulary, BytePairOptions options)
{
    private readonly StringBuilder _text = new();
    private readonly List<(int End, int Ids)> _words = [];

    /// <summary>The text that offsets lie in, where it is not the one that was given.</summary>
    public string? Normalized { get; private set; }

    /// <summary>The tokens, or those that fit.</summary>
    public IReadOnlyList<(int Id, Range Offset)> Kept { get; private set; } = [];

    /// <summary>Where the text of what was kept begins.</summary>
    public int Start { get; private set; }

    /// <summary>Where it ends.</summary>
    public int End { get; private set; }

    /// <summary>A word, an added token, or nothing, became the tokens up to <paramref name="ids"/>.</summary>
    public void Add(ReadOnlySpan<char> word, int ids)
    {
        _text.Append(word);
        _words.Add((_text.Length, ids));
    }

    /// <summary>
    /// The encoding is complete: finds offsets, and keeps <paramref name="most"/> tokens, fewer where the cut would part a character.
    /// </summary>
    public void Close(string given, List<int> ids, int most, bool fromEnd)
    {
        string text = _text.ToString();
        Normalized = text == given ? null : text;
        var all = new (int Id, Range Offset)[ids.Count];
        (int start, int first) = (0, 0);
        foreach ((int end, int last) in _words)
        {
            Locate(text.AsSpan(start, end - start), start, CollectionsMarshal.AsSpan(ids)[first..last], all.AsSpan(first, last - first));
            (start, first) = (end, last);
        }

        int keep = Math.Clamp(most, 0, all.Length);
        int At(int kept) => fromEnd ? all.Length - kept : kept;
        bool Parts(int cut) => cut > 0 && cut < all.Length && all[cut].Offset.Start.Value < all[cut - 1].Offset.End.Value;
        while (keep > 0 && Parts(At(keep)))
        {
            keep--;
        }

        Kept = fromEnd ? all[At(keep)..] : all[..keep];
        Start = keep == all.Length ? 0 : fromEnd && keep > 0 ? Kept[0].Offset.Start.Value : fromEnd ? text.Length : 0;
        End = keep == all.Length ? text.Length : !fromEnd && keep > 0 ? Kept[^1].Offset.End.Value : fromEnd ? text.Length : 0;
    }

    /// <summary>
    /// Offsets of one word's tokens: where their bytes lie in its own, one after the other. What no token writes, an unknown one has.
    /// </summary>
    private void Locate(ReadOnlySpan<char> word, int origin, ReadOnlySpan<int> ids, Span<(int, Range)> located)
    {
        if (ids.Length == 1)
        {
            // An added token's text may be more than its own: blanks that it swallows.
            located[0] = (ids[0], origin..(origin + word.Length));
            return;
        }

        (byte[] bytes, int[] starts) = Bytes(word);
        int at = 0;
        int unknown = -1;
        for (int i = 0; i < ids.Length; i++)
        {
            ReadOnlySpan<byte> token = Written(ids[i]);
            int found = ids[i] == options.Unknown ? -1 : bytes.AsSpan(at).IndexOf(token);
            int begin = found < 0 ? at : at + found;
            at = found < 0 ? at : begin + token.Length;
            if (unknown >= 0 && found >= 0)
            {
                located[unknown] = (ids[unknown], located[unknown].Item2.Start..(origin + starts[begin]));
            }

            unknown = found >= 0 ? -1 : unknown < 0 ? i : unknown;
            located[i] = (ids[i], (origin + starts[begin])..(origin + Ceiling(starts, at)));
        }

        if (unknown >= 0)
        {
            located[unknown] = (ids[unknown], located[unknown].Item2.Start..(origin + word.Length));
        }
    }

    /// <summary>A word in UTF-8, and for each byte (and the end) the UTF-16 unit at which its character begins.</summary>
    private static (byte[] Bytes, int[] Starts) Bytes(ReadOnlySpan<char> word)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(word.ToString());
        int[] starts = new int[bytes.Length + 1];
        int unit = 0;
        for (int at = 0; at < bytes.Length;)
        {
            Rune.DecodeFromUtf16(word[unit..], out Rune rune, out int units);
            starts.AsSpan(at, rune.Utf8SequenceLength).Fill(unit);
            at += rune.Utf8SequenceLength;
            unit += units;
        }

        starts[^1] = word.Length;
        return (bytes, starts);
    }

    /// <summary>The unit at which the character that the byte before <paramref name="at"/> is of ends.</summary>
    private static int Ceiling(int[] starts, int at)
    {
        if (at == 0)
        {
            return 0;
        }

        int end = at;
        while (end < starts.Length - 1 && starts[end] == starts[at - 1])
        {
            end++;
        }

        return starts[end];
    }

    /// <summary>The bytes of a word that a token is.</summary>
    private ReadOnlySpan<byte> Written(int id)
    {
        ReadOnlySpan<byte> text = vocabulary.Text(id);
        if (options.ByteLevel)
        {
            byte[] bytes = new byte[text.Length];
            return ByteAlphabet.TryDecode(text, bytes, out int count) ? bytes.AsSpan(0, count) : text;
        }

        // <0xNN>
        return options.ByteFallback && text.Length == 6 && text.StartsWith("<0x"u8)
            && byte.TryParse(text[3..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value)
            ? new[] { value }
            : text;
    }
}
