using System.Runtime.InteropServices;
using System.Text;

namespace Understory.Models.Tokenizers;

/// <summary>Two tokens that become <paramref name="Merged"/>; lower ranks go first, equal ranks from left to right.</summary>
internal readonly record struct Merge(int Left, int Right, int Merged, int Rank);

/// <summary>How words become the first symbols, before any merge.</summary>
/// <param name="ByteLevel">Symbols are bytes in <see cref="ByteAlphabet"/>; otherwise code points.</param>
/// <param name="ByteFallback">A code point that the vocabulary lacks becomes its UTF-8 bytes as tokens <c>&lt;0xNN&gt;</c>.</param>
/// <param name="Unknown">The token for what is left over; without one it vanishes.</param>
/// <param name="FuseUnknown">Neighbouring unknown symbols are one token.</param>
/// <param name="IgnoreMerges">A word that is a token as a whole is that token, whatever the merges say.</param>
internal sealed record BytePairOptions(bool ByteLevel, bool ByteFallback, int? Unknown, bool FuseUnknown, bool IgnoreMerges);

/// <summary>
/// Byte-pair encoding of one word (Sennrich et al., arXiv 1508.07909): its symbols, merged by rank until no pair merges.
/// </summary>
internal sealed class BytePairEncoding
{
    private const char Metaspace = '\u2581';

    private readonly Vocabulary _vocabulary;
    private readonly BytePairOptions _options;
    private readonly MergeTable _merges;
    private readonly int[] _byteSymbols = new int[256];        // byte-level letters, or the tokens of byte fallback; -1: none
    private readonly int[] _basicSymbols = [];                 // by UTF-16 unit; -1: none
    private readonly Dictionary<int, int> _astralSymbols = [];
    private readonly PairSet _joins = new();
    private readonly bool _fallsBack;                          // every unknown code point can be written in bytes

    public BytePairEncoding(Vocabulary vocabulary, IReadOnlyList<Merge> merges, BytePairOptions options)
    {
        _vocabulary = vocabulary;
        _options = options;
        _merges = new MergeTable(merges.Count);
        for (int i = 0; i < merges.Count; i++)
        {
            _merges.Set(merges[i].Left, merges[i].Right, merges[i].Rank, merges[i].Merged);
        }

        FillByteSymbols();
        _fallsBack = options.ByteFallback && Array.TrueForAll(_byteSymbols, symbol => symbol >= 0);
        if (!options.ByteLevel)
        {
            _basicSymbols = new int[0x10000];
            FillCodePointSymbols();
            FillJoins(merges);
        }
    }

    /// <summary>What <see cref="Encode"/> needs besides its input.</summary>
    public EncodingScratch NewScratch() => new(_merges);

    /// <summary>Appends the tokens of <paramref name="word"/> to <paramref name="ids"/>.</summary>
    /// <param name="most">May stop where a piece ends, once there are more.</param>
    /// <returns>How much of the word they are of.</returns>
    public int Encode(ReadOnlySpan<char> word, EncodingScratch scratch, List<int> ids, int most = int.MaxValue)
    {
        if (_options.ByteLevel || _options.IgnoreMerges)
        {
            EncodePiece(word, scratch, ids);
            return word.Length;
        }

        // Where no merge joins two code points, no token spans them, and the word falls apart there. SentencePiece models hand a
        // whole text over as one word; this makes it words again without changing a token.
        int start = 0;
        int before = -1;
        int at = 0;
        while (at < word.Length)
        {
            if (ids.Count > most)
            {
                return start;
            }

            Rune.DecodeFromUtf16(word[at..], out Rune rune, out int length);
            if (before >= 0 && !Joins(before, rune.Value))
            {
                EncodePiece(word[start..at], scratch, ids);
                start = at;
            }

            before = rune.Value;
            at += length;
        }

        EncodePiece(word[start..], scratch, ids);
        return word.Length;
    }

    private void EncodePiece(ReadOnlySpan<char> piece, EncodingScratch scratch, List<int> ids)
    {
        if (piece.IsEmpty)
        {
            return;
        }

        bool isShort = piece.Length <= WordCache.MaxChars;
        if (isShort && scratch.Cache.TryGet(piece, out ReadOnlySpan<int> known))
        {
            ids.AddRange(known);
            return;
        }

        int first = ids.Count;
        if (_options.IgnoreMerges && TryFindWhole(piece, out int whole))
        {
            ids.Add(whole);
        }
        else
        {
            AppendSymbols(piece, ids);
            int left = scratch.Merger.Merge(CollectionsMarshal.AsSpan(ids)[first..]);
            CollectionsMarshal.SetCount(ids, first + left);
        }

        if (isShort)
        {
            scratch.Cache.Set(piece, CollectionsMarshal.AsSpan(ids)[first..]);
        }
    }

    private bool TryFindWhole(ReadOnlySpan<char> word, out int id)
    {
        if (!_options.ByteLevel)
        {
            return _vocabulary.TryFind(word, out id);
        }

        id = -1;
        if (word.Length > _vocabulary.LongestText)
        {
            return false;
        }

        return _vocabulary.TryFind(ByteAlphabet.Write(Encoding.UTF8.GetBytes(word.ToString())), out id);
    }

    private void AppendSymbols(ReadOnlySpan<char> word, List<int> symbols)
    {
        Span<byte> utf8 = stackalloc byte[4];
        bool afterUnknown = false;
        int at = 0;
        while (at < word.Length)
        {
            char c = word[at];
            if (c < 128 && (_options.ByteLevel ? _byteSymbols[c] : _basicSymbols[c]) is >= 0 and int ascii)
            {
                symbols.Add(ascii);
                afterUnknown = false;
                at++;
                continue;
            }

            Rune.DecodeFromUtf16(word[at..], out Rune rune, out int length);
            at += length;
            if (!_options.ByteLevel && Symbol(rune.Value) is >= 0 and int symbol)
            {
                symbols.Add(symbol);
                afterUnknown = false;
                continue;
            }

            ReadOnlySpan<byte> bytes = utf8[..rune.EncodeToUtf8(utf8)];
            if (_options.ByteFallback && !_options.ByteLevel && HaveAll(bytes))
            {
                foreach (byte value in bytes)
                {
                    symbols.Add(_byteSymbols[value]);
                }

                afterUnknown = false;
            }
            else if (_options.ByteLevel)
            {
                foreach (byte value in bytes)
                {
                    AppendOrUnknown(_byteSymbols[value], symbols, ref afterUnknown);
                }
            }
            else
            {
                AppendOrUnknown(-1, symbols, ref afterUnknown);
            }
        }
    }

    private void AppendOrUnknown(int symbol, List<int> symbols, ref bool afterUnknown)
    {
        if (symbol >= 0)
        {
            symbols.Add(symbol);
            afterUnknown = false;
        }
        else if (_options.Unknown is int unknown)
        {
            if (!afterUnknown || !_options.FuseUnknown)
            {
                symbols.Add(unknown);
            }

            afterUnknown = true;
        }
    }

    private bool HaveAll(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            if (_byteSymbols[value] < 0)
            {
                return false;
            }
        }

        return true;
    }

    private int Symbol(int codePoint) => codePoint < _basicSymbols.Length
        ? _basicSymbols[codePoint]
        : _astralSymbols.GetValueOrDefault(codePoint, -1);

    private bool Joins(int left, int right) =>
        _joins.Contains(left, right) || (_options.FuseUnknown && Symbol(left) < 0 && Symbol(right) < 0 && !_fallsBack);

    private void FillByteSymbols()
    {
        for (int value = 0; value < 256; value++)
        {
            string text = _options.ByteLevel ? ByteAlphabet.Char((byte)value).ToString() : $"<0x{value:X2}>";
            _byteSymbols[value] = _vocabulary.TryFind(text, out int id) ? id : -1;
        }
    }

    private void FillCodePointSymbols()
    {
        Array.Fill(_basicSymbols, -1);
        for (int id = 0; id < _vocabulary.Size; id++)
        {
            ReadOnlySpan<byte> text = _vocabulary.Text(id);
            if (text.IsEmpty || text.Length > 4)
            {
                continue;
            }

            Rune.DecodeFromUtf8(text, out Rune rune, out int length);
            if (length != text.Length)
            {
                continue;
            }

            if (rune.IsBmp)
            {
                _basicSymbols[rune.Value] = id;
            }
            else
            {
                _astralSymbols[rune.Value] = id;
            }
        }
    }

    private void FillJoins(IReadOnlyList<Merge> merges)
    {
        foreach (Merge merge in merges)
        {
            Rune.DecodeLastFromUtf8(_vocabulary.Text(merge.Left), out Rune left, out _);
            Rune.DecodeFromUtf8(_vocabulary.Text(merge.Right), out Rune right, out _);
            _joins.Add(left.Value, right.Value);
        }
    }

    /// <summary>Ordered pairs of code points; pairs of ASCII and the metaspace, nearly all that occur, without hashing.</summary>
    private sealed class PairSet
    {
        private const int Common = 129;

        private readonly bool[] _common = new bool[Common * Common];
        private readonly HashSet<ulong> _others = [];

        public void Add(int left, int right)
        {
            if (TryIndex(left, right, out int index))
            {
                _common[index] = true;
            }
            else
            {
                _others.Add(((ulong)(uint)left << 32) | (uint)right);
            }
        }

        public bool Contains(int left, int right) =>
            TryIndex(left, right, out int index) ? _common[index] : _others.Contains(((ulong)(uint)left << 32) | (uint)right);

        private static bool TryIndex(int left, int right, out int index)
        {
            left = Place(left);
            right = Place(right);
            index = (left * Common) + right;
            return left >= 0 && right >= 0;
        }

        private static int Place(int codePoint) => codePoint < 128 ? codePoint : codePoint == Metaspace ? 128 : -1;
    }
}

/// <summary>What one encoding needs besides its input; kept from call to call, never shared by two at once.</summary>
internal sealed class EncodingScratch(MergeTable merges)
{
    public WordMerger Merger { get; } = new(merges);

    public WordCache Cache { get; } = new();
}
