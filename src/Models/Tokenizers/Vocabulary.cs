using System.Security.Cryptography;
using System.Text;

namespace Understory.Models.Tokenizers;

/// <summary>
/// Token texts and their ids. Texts lie as UTF-8 in one block with an open-addressing table over it, so that a vocabulary of
/// 150,000 tokens costs a few megabytes. Ids may have gaps.
/// </summary>
internal sealed class Vocabulary
{
    /// <summary>Ids from here on are refused: about eight times the largest vocabulary in use.</summary>
    public const int IdLimit = 1 << 21;

    private byte[] _texts = new byte[1 << 12];
    private int _used;
    private int[] _starts = new int[256];   // by id; -1: no such token
    private int[] _lengths = new int[256];
    private int[] _table = new int[512];    // id + 1, or 0

    public Vocabulary() => Array.Fill(_starts, -1);

    /// <summary>Highest id + 1.</summary>
    public int Size { get; private set; }

    /// <summary>How many ids have a token.</summary>
    public int Count { get; private set; }

    /// <summary>Length of the longest text in bytes.</summary>
    public int LongestText { get; private set; }

    public bool Contains(int id) => (uint)id < (uint)Size && _starts[id] >= 0;

    /// <summary>The token's text in UTF-8; empty if there is no such token.</summary>
    public ReadOnlySpan<byte> Text(int id) => Contains(id) ? _texts.AsSpan(_starts[id], _lengths[id]) : default;

    /// <summary>Adds a token. False if the text is there already or the id is taken.</summary>
    public bool TryAdd(ReadOnlySpan<byte> text, int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, IdLimit);
        if (Contains(id) || TryFind(text, out _))
        {
            return false;
        }

        Reserve(id, text.Length);
        text.CopyTo(_texts.AsSpan(_used));
        _starts[id] = _used;
        _lengths[id] = text.Length;
        _used += text.Length;
        Size = Math.Max(Size, id + 1);
        Count++;
        LongestText = Math.Max(LongestText, text.Length);
        Insert(id);
        return true;
    }

    public bool TryFind(ReadOnlySpan<byte> text, out int id)
    {
        int mask = _table.Length - 1;
        for (int slot = Hash(text) & mask; _table[slot] != 0; slot = (slot + 1) & mask)
        {
            id = _table[slot] - 1;
            if (_texts.AsSpan(_starts[id], _lengths[id]).SequenceEqual(text))
            {
                return true;
            }
        }

        id = -1;
        return false;
    }

    public bool TryFind(ReadOnlySpan<char> text, out int id)
    {
        if (text.Length > 1024)
        {
            return TryFind(Encoding.UTF8.GetBytes(text.ToString()), out id);
        }

        Span<byte> bytes = stackalloc byte[text.Length * 3];
        return TryFind(bytes[..Encoding.UTF8.GetBytes(text, bytes)], out id);
    }

    /// <summary>SHA-256 over every id and its text: equal exactly when the same ids stand for the same texts.</summary>
    public string Fingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> head = stackalloc byte[8];
        for (int id = 0; id < Size; id++)
        {
            if (Contains(id))
            {
                BitConverter.TryWriteBytes(head, id);
                BitConverter.TryWriteBytes(head[4..], _lengths[id]);
                hash.AppendData(head);
                hash.AppendData(Text(id));
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static int Hash(ReadOnlySpan<byte> text)
    {
        var hash = new HashCode();
        hash.AddBytes(text);
        return hash.ToHashCode();
    }

    private void Reserve(int id, int length)
    {
        if (_used + length > _texts.Length)
        {
            Array.Resize(ref _texts, Math.Max(_texts.Length * 2, _used + length));
        }

        if (id >= _starts.Length)
        {
            int old = _starts.Length;
            int size = Math.Max(old * 2, id + 1);
            Array.Resize(ref _starts, size);
            Array.Resize(ref _lengths, size);
            Array.Fill(_starts, -1, old, size - old);
        }

        if ((Count + 1) * 2 > _table.Length)
        {
            _table = new int[_table.Length * 2];
            for (int other = 0; other < Size; other++)
            {
                if (_starts[other] >= 0)
                {
                    Insert(other);
                }
            }
        }
    }

    private void Insert(int id)
    {
        int mask = _table.Length - 1;
        int slot = Hash(Text(id)) & mask;
        while (_table[slot] != 0)
        {
            slot = (slot + 1) & mask;
        }

        _table[slot] = id + 1;
    }
}
