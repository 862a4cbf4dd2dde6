namespace Understory.Models.Tokenizers;

/// <summary>
/// Decodes tokens as they come: text is given out once it is certain, never half a character. All that it gives together is
/// <see cref="Tokenizer.Decode(ReadOnlySpan{int}, bool)"/> of all tokens. Holds back at most 3 bytes. Not for several threads at once.
/// </summary>
/// <param name="skipSpecial">Special tokens are left out of the text.</param>
/// <param name="kept">Special tokens that stay in the text all the same; null: none.</param>
public sealed class StreamDecoder(Tokenizer tokenizer, bool skipSpecial = true, IReadOnlySet<int>? kept = null)
{
    private readonly TokenDecoder _decoder = tokenizer.Decoder;
    private readonly byte[] _held = new byte[3];
    private int _heldCount;
    private bool _isFirst = true;
    private int _stripLeft = tokenizer.Decoder.Options.StripCount;

    /// <summary>The text that became certain with <paramref name="token"/>; may be empty.</summary>
    public string Push(int token)
    {
        if ((skipSpecial && tokenizer.IsSpecial(token) && kept?.Contains(token) != true) || !tokenizer.Contains(token))
        {
            return "";
        }

        ReadOnlySpan<byte> bytes = _decoder.Bytes(token, _isFirst);
        _isFirst = false;
        int length = _heldCount + bytes.Length;
        Span<byte> joined = length <= 256 ? stackalloc byte[length] : new byte[length];
        _held.AsSpan(0, _heldCount).CopyTo(joined);
        bytes.CopyTo(joined[_heldCount..]);

        _heldCount = TokenDecoder.IncompleteTail(joined);
        joined[^_heldCount..].CopyTo(_held);
        return Strip(_decoder.Text(joined[..^_heldCount]));
    }

    /// <summary>The end of the text: what was held back, as U+FFFD. The decoder is then as new.</summary>
    public string Flush()
    {
        string text = Strip(_decoder.Text(_held.AsSpan(0, _heldCount)));
        Reset();
        return text;
    }

    /// <summary>Forgets everything.</summary>
    public void Reset()
    {
        _heldCount = 0;
        _isFirst = true;
        _stripLeft = _decoder.Options.StripCount;
    }

    private string Strip(string text)
    {
        if (_stripLeft == 0 || text.Length == 0)
        {
            return text;
        }

        int cut = 0;
        while (cut < text.Length && _stripLeft > 0 && text[cut] == _decoder.Options.Strip)
        {
            cut++;
            _stripLeft--;
        }

        if (cut < text.Length)
        {
            _stripLeft = 0;
        }

        return text[cut..];
    }
}
