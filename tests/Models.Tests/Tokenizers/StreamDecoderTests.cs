using System.Text;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

public class StreamDecoderTests
{
    private static readonly Tokenizer s_byteLevel = TokenizerVectors.Fixture("byte-level");
    private static readonly Tokenizer s_sentencePiece = TokenizerVectors.Fixture("sentencepiece");

    [Theory]
    [InlineData("byte-level")]
    [InlineData("sentencepiece")]
    public void A_character_of_several_tokens_comes_out_whole_with_its_last(string name)
    {
        Tokenizer tokenizer = TokenizerVectors.Fixture(name);
        var stream = new StreamDecoder(tokenizer);
        int[] tokens = [.. tokenizer.Encode("\U0001F333", addSpecialTokens: false).TakeLast(4)];
        Assert.Equal(["", "", "", "\U0001F333"], tokens.Select(stream.Push));
        Assert.Equal("", stream.Flush());
    }

    [Fact]
    public void What_cannot_become_a_character_is_given_out_at_once()
    {
        var stream = new StreamDecoder(s_byteLevel);
        Assert.Equal("", stream.Push(Byte(s_byteLevel, 0xE2)));
        Assert.Equal("\uFFFDA", stream.Push(Byte(s_byteLevel, (byte)'A')));
        Assert.Equal("\uFFFD", stream.Push(Byte(s_byteLevel, 0xFF)));
        Assert.Equal("\uFFFD", stream.Push(Byte(s_byteLevel, 0xA0)));
    }

    [Fact]
    public void An_unfinished_character_is_one_replacement_for_byte_level_tokens_and_one_per_byte_for_byte_fallback()
    {
        foreach ((Tokenizer tokenizer, string expected) in new[] { (s_byteLevel, "\uFFFD"), (s_sentencePiece, "\uFFFD\uFFFD") })
        {
            var stream = new StreamDecoder(tokenizer);
            Assert.Equal("", stream.Push(Byte(tokenizer, 0xE2)) + stream.Push(Byte(tokenizer, 0x82)));
            Assert.Equal(expected, stream.Flush());
        }
    }

    [Fact]
    public void Only_the_first_blank_of_a_sentencepiece_text_goes()
    {
        var stream = new StreamDecoder(s_sentencePiece);
        int[] ids = s_sentencePiece.Encode(" a tree", addSpecialTokens: false);
        Assert.Equal(" a tree", string.Concat(ids.Select(stream.Push)));
        Assert.True(s_sentencePiece.TryGetId("\u2581", out int blank));
        Assert.Equal(" ", stream.Push(blank));
    }

    [Fact]
    public void After_a_flush_or_a_reset_a_new_text_begins()
    {
        var stream = new StreamDecoder(s_sentencePiece);
        int[] ids = s_sentencePiece.Encode("tree", addSpecialTokens: false);
        Assert.Equal("tree", string.Concat(ids.Select(stream.Push)) + stream.Flush());
        Assert.Equal("tree", string.Concat(ids.Select(stream.Push)));
        stream.Push(Byte(s_sentencePiece, 0xE2));
        stream.Reset();
        Assert.Equal("tree", string.Concat(ids.Select(stream.Push)));
    }

    [Fact]
    public void Special_tokens_are_left_out_on_request()
    {
        int[] ids = s_byteLevel.Encode("a<|turn|>b<tool>");
        Assert.Equal("ab<tool>", string.Concat(ids.Select(new StreamDecoder(s_byteLevel).Push)));
        Assert.Equal("<|begin|>a<|turn|>b<tool>", string.Concat(ids.Select(new StreamDecoder(s_byteLevel, skipSpecial: false).Push)));
    }

    [Fact]
    public void Every_token_says_which_bytes_it_stands_for()
    {
        Assert.True(s_sentencePiece.TryGetId("\u2581tree", out int tree));
        Assert.Equal(" tree", Encoding.UTF8.GetString(s_sentencePiece.TokenBytes(tree)));
        Assert.Equal("\u2581tree", s_sentencePiece.TokenText(tree));
        Assert.Equal([0xE2], s_sentencePiece.TokenBytes(Byte(s_sentencePiece, 0xE2)).ToArray());
        Assert.Equal([0xE2], s_byteLevel.TokenBytes(Byte(s_byteLevel, 0xE2)).ToArray());
        Assert.True(s_byteLevel.TokenBytes(s_byteLevel.VocabularySize).IsEmpty);
        Assert.True(s_byteLevel.TokenBytes(-1).IsEmpty);
    }

    private static int Byte(Tokenizer tokenizer, byte value)
    {
        bool isFound = tokenizer.TryGetId($"<0x{value:X2}>", out int id) || tokenizer.TryGetId(ByteAlphabet.Char(value).ToString(), out id);
        return isFound ? id : throw new ArgumentException("no such byte");
    }
}
