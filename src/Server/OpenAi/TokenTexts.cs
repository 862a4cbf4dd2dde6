using System.Text;
using Understory.Models.Tokenizers;

namespace Understory.Server.OpenAi;

/// <summary>How single tokens, which may hold part of a character, are written in logprobs.</summary>
public sealed class TokenTexts(Tokenizer tokenizer)
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public Tokenizer Tokenizer => tokenizer;

    /// <summary>The token as text; what is no whole character reads U+FFFD.</summary>
    public string Text(int token) => Encoding.UTF8.GetString(tokenizer.TokenBytes(token));

    public int[] Bytes(int token) => [.. tokenizer.TokenBytes(token).ToArray().Select(b => (int)b)];

    /// <summary>Characters of the text of <paramref name="tokens"/> before each of them.</summary>
    public int[] Offsets(IReadOnlyList<int> tokens)
    {
        var decoder = new StreamDecoder(tokenizer, skipSpecial: false);
        int length = 0;
        return [.. tokens.Select(token =>
        {
            int before = length;
            length += decoder.Push(token).Length;
            return before;
        })];
    }

    /// <summary>The token as a key that is its own: what is no whole character is written as OpenAI does, <c>bytes:\xe2\x80</c>.</summary>
    public string Name(int token)
    {
        ReadOnlySpan<byte> bytes = tokenizer.TokenBytes(token);
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            var name = new StringBuilder("bytes:");
            foreach (byte b in bytes)
            {
                name.Append("\\x").Append(b.ToString("x2"));
            }

            return name.ToString();
        }
    }
}
