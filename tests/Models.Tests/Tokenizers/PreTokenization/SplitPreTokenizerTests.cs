using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Models.Tests.Tokenizers.PreTokenization;

public class SplitPreTokenizerTests
{
    [Theory]
    [InlineData("Isolated", false, "the|-|final|-|-|countdown")]
    [InlineData("Removed", false, "the|final|countdown")]
    [InlineData("Removed", true, "-|-|-")]
    [InlineData("MergedWithPrevious", false, "the-|final-|-|countdown")]
    [InlineData("MergedWithNext", false, "the|-final|-|-countdown")]
    [InlineData("Contiguous", false, "the|-|final|--|countdown")]
    public void Matches_go_where_the_behaviour_puts_them(string behavior, bool invert, string expected)
    {
        var splitter = new SplitPreTokenizer(new LiteralMatcher("-"), Enum.Parse<SplitBehavior>(behavior), invert);
        Assert.Equal(expected, Cut(splitter, "the-final--countdown"));
    }

    [Theory]
    [InlineData(false, "Call |123| now |4")]
    [InlineData(true, "Call |1|2|3| now |4")]
    public void Digits_stand_alone_or_together(bool individual, string expected)
    {
        SplitBehavior behavior = individual ? SplitBehavior.Isolated : SplitBehavior.Contiguous;
        Assert.Equal(expected,
            Cut(new SplitPreTokenizer(new KindMatcher(CodePointKind.Number), behavior, invert: false), "Call 123 now 4"));
    }

    [Fact]
    public void Words_and_signs_come_apart()
    {
        Assert.Equal("Hey|man|!|it_s|ok",
            Cut(new SplitPreTokenizer(new WordMatcher(), SplitBehavior.Removed, invert: true), "Hey man! it_s  ok"));
    }

    [Theory]
    [InlineData(PrependScheme.Always, true, "\u2581a|\u2581b|\u2581|\u2581c")]
    [InlineData(PrependScheme.First, true, "\u2581a|\u2581b|\u2581|\u2581c")]
    [InlineData(PrependScheme.Never, true, "a|\u2581b|\u2581|\u2581c")]
    [InlineData(PrependScheme.Never, false, "a\u2581b\u2581\u2581c")]
    internal void Metaspaces_begin_words(PrependScheme scheme, bool split, string expected)
    {
        Assert.Equal(expected, Cut(new MetaspacePreTokenizer('\u2581', scheme, split), "a b  c"));
    }

    [Fact]
    public void Only_the_first_piece_of_a_text_gets_the_first_metaspace()
    {
        Assert.Equal("a", Cut(new MetaspacePreTokenizer('\u2581', PrependScheme.First, split: true), "a", isStart: false));
    }

    [Theory]
    [InlineData("[a-c\U00010400-\U0001044F]+", "xab\U00010405\U00010450\U0001F600c", "x|ab\U00010405|\U00010450\U0001F600|c")]
    [InlineData("[^\U0001F600-\U0001F64F]+", "a\U0001F600\U0001F680b\U0001F64F", "a|\U0001F600|\U0001F680b|\U0001F64F")]
    [InlineData("\\p{L}+|\U0001F600", "a\U00010400\U0001F600\U0001F601", "a\U00010400|\U0001F600|\U0001F601")]
    [InlineData("[\\p{Lu}\U0001F600]+", "A\U00010400\U0001F600\U00010428\uE123", "A\U00010400\U0001F600|\U00010428\uE123")]
    [InlineData("\\P{L}+|\U0001F600x", "a\U0001F601\U00010400", "a|\U0001F601|\U00010400")]
    [InlineData("[z-\U00010400]+", "y\u00E9\U00010400\U00010401", "y|\u00E9\U00010400|\U00010401")]
    public void A_pattern_may_name_characters_beyond_the_basic_plane(string pattern, string text, string expected) =>
        Assert.Equal(expected, Cut(new SplitPreTokenizer(new RegexMatcher(pattern), SplitBehavior.Isolated, invert: false), text));

    private static string Cut(IPreTokenizer preTokenizer, string text, bool isStart = true)
    {
        var pieces = new Pieces(text.AsMemory(), isStart);
        preTokenizer.Apply(pieces);
        return string.Join('|', pieces.All.Select(piece => pieces[piece].ToString()));
    }
}
