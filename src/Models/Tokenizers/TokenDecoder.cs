using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace Understory.Models.Tokenizers;

/// <summary>A step of decoding that sees one token's text at a time; <c>first</c> at the first token of a text.</summary>
internal delegate string TokenStep(string token, bool first);

/// <summary>How tokens become text.</summary>
/// <param name="Steps">Applied to each token's text in turn.</param>
/// <param name="ByteLevel">What the steps leave is in <see cref="ByteAlphabet"/>.</param>
/// <param name="ByteFallback">Tokens <c>&lt;0xNN&gt;</c> stand for one byte.</param>
/// <param name="DependsOnFirst">Whether some step treats the first token otherwise than the rest.</param>
/// <param name="Strip">What is removed at the beginning of the whole text, up to <paramref name="StripCount"/> times.</param>
internal sealed record DecoderOptions(
    IReadOnlyList<TokenStep> Steps, bool ByteLevel, bool ByteFallback, bool DependsOnFirst, char Strip = '\0', int StripCount = 0)
{
    /// <summary>Without a decoder tokens are joined by blanks.</summary>
    public static DecoderOptions Joining { get; } =
        new([(token, first) => first ? token : ' ' + token], ByteLevel: false, ByteFallback: false, DependsOnFirst: true);
}

/// <summary>The bytes that each token stands for, and how bytes become text.</summary>
internal sealed class TokenDecoder
{
    private readonly Vocabulary _vocabulary;
    private readonly byte[] _bytes;
    private readonly int[] _starts;

    public TokenDecoder(Vocabulary vocabulary, DecoderOptions options)
    {
        _vocabulary = vocabulary;
        Options = options;
        _starts = new int[vocabulary.Size + 1];
        using var bytes = new MemoryStream();
        for (int id = 0; id < vocabulary.Size; id++)
        {
            bytes.Write(Compute(id, first: false));
            _starts[id + 1] = (int)bytes.Length;
        }

        _bytes = bytes.ToArray();
    }

    public DecoderOptions Options { get; }

    /// <summary>The bytes of a token; none for an id that the vocabulary lacks.</summary>
    public ReadOnlySpan<byte> Bytes(int id, bool first)
    {
        if (!_vocabulary.Contains(id))
        {
            return default;
        }

        return first && Options.DependsOnFirst ? Compute(id, first: true) : _bytes.AsSpan(_starts[id].._starts[id + 1]);
    }

    /// <summary>
    /// UTF-8 as text. What is not well-formed becomes U+FFFD: with byte-level tokens once for each maximal part of a character (as
    /// Unicode recommends), with byte fallback once for each byte (as SentencePiece does).
    /// </summary>
    public string Text(ReadOnlySpan<byte> utf8)
    {
        if (!Options.ByteFallback || Utf8.IsValid(utf8))
        {
            return Encoding.UTF8.GetString(utf8);
        }

        var text = new StringBuilder();
        Span<char> units = stackalloc char[2];
        while (!utf8.IsEmpty)
        {
            bool isValid = Rune.DecodeFromUtf8(utf8, out Rune rune, out int length) == System.Buffers.OperationStatus.Done;
            text.Append(isValid ? units[..rune.EncodeToUtf16(units)].ToString() : new string('\uFFFD', length));
            utf8 = utf8[length..];
        }

        return text.ToString();
    }

    /// <summary>
    /// How many bytes at the end begin a character that more bytes may complete: 0 to 3.
    /// </summary>
    public static int IncompleteTail(ReadOnlySpan<byte> utf8)
    {
        for (int length = 1; length <= 3 && length <= utf8.Length; length++)
        {
            byte lead = utf8[^length];
            if (lead is >= 0x80 and < 0xC0)
            {
                continue;
            }

            bool isIncomplete = Rune.DecodeFromUtf8(utf8[^length..], out _, out _) == System.Buffers.OperationStatus.NeedMoreData;
            return isIncomplete ? length : 0;
        }

        return 0;
    }

    private ReadOnlySpan<byte> Compute(int id, bool first)
    {
        ReadOnlySpan<byte> utf8 = _vocabulary.Text(id);
        if (Options.Steps.Count > 0)
        {
            string text = Encoding.UTF8.GetString(utf8);
            foreach (TokenStep step in Options.Steps)
            {
                text = step(text, first);
            }

            utf8 = Encoding.UTF8.GetBytes(text);
        }

        if (Options.ByteFallback && TryParseByte(utf8, out byte value))
        {
            return new byte[] { value };
        }

        if (!Options.ByteLevel)
        {
            return utf8;
        }

        byte[] bytes = new byte[utf8.Length];
        return ByteAlphabet.TryDecode(utf8, bytes, out int count) ? bytes.AsSpan(0, count) : utf8;
    }

    private static bool TryParseByte(ReadOnlySpan<byte> text, out byte value)
    {
        value = 0;
        return text.Length == 6 && text.StartsWith("<0x"u8) && text[5] == '>'
            && byte.TryParse(text[3..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }
}
