using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Drafters;

/// <summary>The tokens of a vocabulary that stand for text, by their bytes. Of several with the same bytes the lowest id counts.</summary>
internal sealed class TokensByBytes
{
    private readonly Tokenizer _tokenizer;
    private readonly int _limit;
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _ids;

    /// <param name="limit">Ids from here on are no tokens of the model.</param>
    public TokensByBytes(Tokenizer tokenizer, int limit)
    {
        _tokenizer = tokenizer;
        _limit = Math.Min(limit, tokenizer.VocabularySize);
        _ids = new Dictionary<byte[], int>(new ByBytes()).GetAlternateLookup<ReadOnlySpan<byte>>();
        for (int id = 0; id < _limit; id++)
        {
            ReadOnlySpan<byte> bytes = Bytes(id);
            if (!bytes.IsEmpty)
            {
                _ids.TryAdd(bytes, id);
                Longest = Math.Max(Longest, bytes.Length);
            }
        }
    }

    /// <summary>Different texts.</summary>
    public int Count => _ids.Dictionary.Count;

    /// <summary>Bytes of the longest token.</summary>
    public int Longest { get; }

    public IEnumerable<byte[]> All => _ids.Dictionary.Keys;

    /// <summary>The bytes of a token that stands for text; none of another.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => _tokenizer.IsSpecial(id) ? default : _tokenizer.TokenBytes(id);

    public bool TryFind(ReadOnlySpan<byte> bytes, out int id) => _ids.TryGetValue(bytes, out id);

    /// <summary>
    /// The tokens of a text: the tokenizer's own if they spell just these bytes, else the longest ones that fit, from its beginning on.
    /// Empty: the vocabulary cannot write it.
    /// </summary>
    public int[] Spell(ReadOnlySpan<byte> bytes)
    {
        if (Utf8.IsValid(bytes) && TryEncode(Encoding.UTF8.GetString(bytes), out int[]? own) && Spells(own, bytes))
        {
            return own;
        }

        var tokens = new List<int>();
        while (!bytes.IsEmpty)
        {
            int length = Math.Min(Longest, bytes.Length);
            int id = -1;
            while (length > 0 && !TryFind(bytes[..length], out id))
            {
                length--;
            }

            if (length == 0)
            {
                return [];
            }

            tokens.Add(id);
            bytes = bytes[length..];
        }

        return [.. tokens];
    }

    private bool TryEncode(string text, [NotNullWhen(true)] out int[]? tokens)
    {
        try
        {
            tokens = _tokenizer.Literal.Encode(text, addSpecialTokens: false);
            return true;
        }
        catch (TokenizationException)
        {
            tokens = null;
            return false;
        }
    }

    private bool Spells(int[] tokens, ReadOnlySpan<byte> bytes)
    {
        foreach (int token in tokens)
        {
            ReadOnlySpan<byte> own = token < _limit ? Bytes(token) : default;
            if (own.IsEmpty || !bytes.StartsWith(own))
            {
                return false;
            }

            bytes = bytes[own.Length..];
        }

        return bytes.IsEmpty;
    }

    private sealed class ByBytes : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(byte[] bytes) => GetHashCode(bytes.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
