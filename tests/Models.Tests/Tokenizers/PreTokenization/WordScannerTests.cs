using FsCheck;
using FsCheck.Fluent;
using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Models.Tests.Tokenizers.PreTokenization;

public class WordScannerTests
{
    [Fact]
    public void The_scanners_cut_exactly_where_their_patterns_match()
    {
        foreach (string pattern in (string[])[WordScanner.Gpt2Pattern, WordScanner.Llama3Pattern, WordScanner.Qwen2Pattern])
        {
            WordScanner scanner = WordScanner.ForPattern(pattern)!;

            // .NET's engine does not fold the long s to s, as Oniguruma does.
            var regex = new RegexMatcher(pattern.Replace("(?i:'s", "(?i:'s|'\u017F"));
            Prop.ForAll(Texts.Any(), text =>
            {
                var matches = new List<Range>();
                regex.Find(text, matches);
                Assert.Equal(matches.Select(match => text[match]), Cut(scanner, text));
            }).QuickCheckThrowOnFailure();
        }
    }

    [Fact]
    public void Patterns_of_the_same_meaning_have_the_same_scanner()
    {
        Assert.Same(WordScanner.Llama3, WordScanner.ForPattern(WordScanner.Llama3Pattern));
        Assert.Same(
            WordScanner.Llama3,
            WordScanner.ForPattern(
                @"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"));
        Assert.Null(WordScanner.ForPattern(@"\p{L}+"));
    }

    [Theory]
    [InlineData("x?+y", "(?>x?)y")]
    [InlineData(@"[^\]a]++\p{L}*+", @"(?>[^\]a]+)(?>\p{L}*)")]
    [InlineData("(?:ab|c)++d", "(?>(?:ab|c)+)d")]
    [InlineData(@"(?!\S)|a+?|b*", @"(?!\S)|a+?|b*")]
    public void Possessive_quantifiers_become_atomic_groups(string pattern, string expected)
    {
        Assert.Equal(expected, RegexMatcher.WithoutPossessiveQuantifiers(pattern));
    }

    [Fact]
    public void Patterns_see_astral_letters_as_letters()
    {
        const string Text = "a\U00010400\U0001F600b";
        var matches = new List<Range>();
        new RegexMatcher(@"\p{L}+").Find(Text, matches);
        Assert.Equal(["a\U00010400", "b"], matches.Select(match => Text[match]));
    }

    private static IEnumerable<string> Cut(WordScanner scanner, string text)
    {
        var pieces = new Pieces(text.AsMemory(), isStart: true);
        pieces.Cut(scanner.Cut);
        return pieces.All.Select(piece => pieces[piece].ToString()).ToList();
    }
}
