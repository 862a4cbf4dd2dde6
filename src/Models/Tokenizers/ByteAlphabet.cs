using System.Text;

namespace Understory.Models.Tokenizers;

/// <summary>
/// GPT-2's alphabet for bytes: printable Latin-1 stands for itself, every other byte for a code point from U+0100 on, so that
/// byte-level tokens can be written as text.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] s_chars = BuildChars();
    private static readonly short[] s_bytes = BuildBytes();

    /// <summary>The letter that stands for <paramref name="value"/>.</summary>
    public static char Char(byte value) => s_chars[value];

    /// <summary>Bytes as letters.</summary>
    public static string Write(byte[] bytes) => string.Create(bytes.Length, bytes, static (text, bytes) =>
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            text[i] = s_chars[bytes[i]];
        }
    });

    /// <summary>
    /// The bytes that a token's text stands for, written to <paramref name="bytes"/> (as long as the text at least). False if some
    /// letter of it is not of the alphabet.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> text, Span<byte> bytes, out int count)
    {
        count = 0;
        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf8(text, out Rune letter, out int length);
            if (letter.Value >= s_bytes.Length || s_bytes[letter.Value] < 0)
            {
                return false;
            }

            bytes[count++] = (byte)s_bytes[letter.Value];
            text = text[length..];
        }

        return true;
    }

    private static char[] BuildChars()
    {
        var chars = new char[256];
        int shifted = 0;
        for (int value = 0; value < chars.Length; value++)
        {
            bool printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            chars[value] = (char)(printable ? value : 256 + shifted++);
        }

        return chars;
    }

    private static short[] BuildBytes()
    {
        var bytes = new short[s_chars.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (short value = 0; value < s_chars.Length; value++)
        {
            bytes[s_chars[value]] = value;
        }

        return bytes;
    }
}
