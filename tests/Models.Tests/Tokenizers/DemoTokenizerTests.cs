using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>The tokenizer of the stand-in pair.</summary>
public class DemoTokenizerTests
{
    private static readonly Tokenizer s_tokenizer = Tokenizer.Load(Standin.TokenizerFile);

    [Fact]
    public void Text_survives_encoding_and_decoding()
    {
        const string Text = "def größe(x):\n    return '🌱' * x  # don't <|endoftext|>\r\n";
        int[] ids = s_tokenizer.Encode(Text);
        Assert.Equal(Text, s_tokenizer.Decode(ids));
        Assert.Equal(Text.Replace("<|endoftext|>", ""), s_tokenizer.Decode(ids, skipSpecial: true));
    }

    [Fact]
    public void The_config_beside_the_file_names_the_first_and_last_token()
    {
        Assert.True(s_tokenizer.TryGetId("<|endoftext|>", out int end));
        Assert.Equal(end, s_tokenizer.BosId);
        Assert.Equal(end, s_tokenizer.EosId);
        Assert.True(s_tokenizer.IsSpecial(end));
    }

    [Fact]
    public void Target_and_draft_share_their_vocabulary()
    {
        Tokenizer draft = Tokenizer.Load(Path.Combine(Standin.Draft, "tokenizer.json"));
        Assert.Equal(s_tokenizer.Fingerprint, draft.Fingerprint);
    }
}
