using FsCheck;
using FsCheck.Fluent;
using Understory.Decoding.Constraints;
using Understory.Decoding.Constraints.Matching;
using Understory.Models.Tokenizers;
using static Understory.Decoding.Tests.Constraints.Grammars;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>The mask of a state is what walking each token byte by byte says.</summary>
public class MaskTests
{
    public static TheoryData<string> Names => [.. Some.Keys];

    private static Dictionary<string, Func<Grammar>> Some { get; } = new()
    {
        ["object"] = Grammar.JsonObject,
        ["schema"] = () => Schema("""{"type":"object","properties":{"name":{"type":"string","maxLength":6},"age":"""
            + """{"type":"integer","minimum":0,"maximum":130},"tags":{"type":"array","items":{"enum":["red","green"]}}},"required":"""
            + """["name","tags"],"additionalProperties":{"type":"number"}}"""),
        ["regex"] = () => Grammar.Regex("(ab|a)*c{2,3}|[^a-z]+x"),
        ["ambiguous"] = () => Grammar.Gbnf("root ::= x y | y x | \"a\" root \"a\"\nx ::= \"a\" x \"b\" | \"a\" | \"aa\"\ny ::= \"a\"? "
            + "y2*\ny2 ::= \"b\" root? \"c\" | \"ab\""),
        ["calls"] = () => Grammar.Sequence(Grammar.TextWithout("<call>"),
            Grammar.Repeat(
                Grammar.Sequence(Grammar.Literal("<call>"), Schema("""{"type":"object","properties":{"x":{"type":"boolean"}}}"""),
                    Grammar.Token(Special)))),
    };

    private static string[] More { get; } =
        ["\": ", "\", \"", "{\"", "\"}", "\"name", "name", "\"name\": \"", "ab", "abc", "aab", "cc", "red", "\"red\"", "], \"", "12", "130",
            "true", "}}", "{\"x\": true}", "<ca", "ll>{", "日本", "\u00e9\"", "aa", "bc", "  ", "\n  \""];

    private static Tokenizer Small { get; } = Byte(More);

    private static int Special => Small.TryGetId("<|end|>", out int id) ? id : -1;

    [Theory]
    [MemberData(nameof(Names))]
    public void The_mask_of_every_state_on_random_ways_is_what_its_bytes_say(string name)
    {
        Constraint constraint = Constraint.Compile(Some[name](), Small);
        var matcher = new ConstraintMatcher(constraint, Small.VocabularySize + 3, [Special + 1]);
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new System.Random(seed);
            int state = matcher.Start;
            for (int step = 0; step < 25 && !matcher.IsOver(state); step++)
            {
                int[] allowed = [.. Enumerable.Range(0, Small.VocabularySize).Where(token => Walks(constraint, matcher, state, token))];
                Assert.Equal(allowed, Allowed(matcher, state));
                int[] texts = [.. allowed.Where(token => token != Special + 1)];
                state = matcher.Advance(state, texts[random.Next(texts.Length)]);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(25));
    }

    [SharedDataTheory("tokenizers/qwen3.tokenizer.json.gz")]
    [InlineData("object")]
    [InlineData("schema")]
    public void So_it_is_with_a_vocabulary_of_150_000_tokens(string name)
    {
        Constraint constraint = Constraint.Compile(Some[name](), Qwen);
        var matcher = new ConstraintMatcher(constraint, 151_936, []);
        var random = new System.Random(5);
        for (int run = 0; run < 4; run++)
        {
            int state = matcher.Start;
            for (int step = 0; step < 12 && !matcher.IsOver(state); step++)
            {
                int[] allowed = [.. Enumerable.Range(0, Qwen.VocabularySize)
                    .Where(token => !Qwen.IsSpecial(token) && matcher.Advance(state, token) != ConstraintMatcher.Dead)];
                Assert.Equal(allowed, Allowed(matcher, state));
                state = matcher.Advance(state, allowed[random.Next(allowed.Length)]);
            }
        }
    }

    [Fact]
    public void Special_tokens_match_no_text_and_added_text_matches_by_its_letters()
    {
        _ = Small.TryGetId("<call>", out int call);
        var text = new ConstraintMatcher(Constraint.Compile(Grammar.Literal("<call>x"), Small), Small.VocabularySize, []);
        Assert.True(text.Allows(text.Start, call));
        Assert.False(text.Allows(text.Start, Special));
        var anything = new ConstraintMatcher(Constraint.Compile(Grammar.AnyText, Small), Small.VocabularySize, []);
        Assert.False(anything.Allows(anything.Start, Special));
        var special = new ConstraintMatcher(Constraint.Compile(Grammar.Token(Special), Small), Small.VocabularySize, []);
        Assert.Equal([Special], Allowed(special, special.Start));
        Assert.Equal(Special, special.Forced(special.Start, out bool sure));
        Assert.True(sure && special.IsOver(special.Advance(special.Start, Special)));
    }

    [Fact]
    public void What_is_forced_is_proposed_as_the_tokenizer_writes_it()
    {
        Constraint constraint =
            Constraint.Compile(Schema("""{"type":"object","properties":{"filename":{"type":"integer"}},"required":["filename"]}"""), Demo);
        var matcher = new ConstraintMatcher(constraint, Demo.VocabularySize, [0]);
        int[] expected = Demo.Encode("{\"filename\": ");
        int state = matcher.Start;
        foreach (int token in expected)
        {
            Assert.Equal(token, matcher.Forced(state, out bool sure));
            Assert.Equal(token != expected[^1], sure);
            state = matcher.Advance(state, token);
        }

        Assert.Equal(-1, matcher.Forced(state, out _));
    }

    private static int[] Allowed(ConstraintMatcher matcher, int state)
    {
        ulong[] mask = matcher.Mask(state).ToArray();
        return [.. Enumerable.Range(0, mask.Length * 64).Where(token => (mask[token >> 6] >> token & 1) != 0)];
    }

    /// <summary>Whether the token's text may follow: by a matcher of single bytes that shares nothing with the trie.</summary>
    private static bool Walks(Constraint constraint, ConstraintMatcher matcher, int state, int token)
    {
        if (token == Special + 1)
        {
            return matcher.Accepts(state);
        }

        if (token == Special)
        {
            return matcher.Advance(state, token) != ConstraintMatcher.Dead;
        }

        // The first 256 ids are single bytes in the order of their values.
        foreach (byte value in Small.TokenBytes(token))
        {
            state = state == ConstraintMatcher.Dead ? state : matcher.Advance(state, value);
        }

        return state != ConstraintMatcher.Dead;
    }
}
