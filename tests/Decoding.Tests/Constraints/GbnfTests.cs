using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Decoding.Sampling;
using static Understory.Decoding.Tests.Constraints.Grammars;

namespace Understory.Decoding.Tests.Constraints;

[Collection(DemoGroup.Name)]
public class GbnfTests(DemoBundle demo)
{
    /// <summary>JSON in GBNF, bounded so that answers end.</summary>
    private const string Json = """
        # any object
        root   ::= object
        value  ::= object | array | string | number | ("true" | "false" | "null")
        object ::= "{" ws ( string ":" ws value
            ("," ws string ":" ws value){0,2} )? ws "}"
        array  ::= "[" ws ( value ("," ws value)? )? ws "]"   # at most two
        string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) ){0,6} "\""
        number ::= ("-"? ([0-9] | [1-9] [0-9]{0,5})) ("." [0-9]{1,3})?
        ws     ::= | " " | "\n" [ \t]{0,4}
        """;

    private const string Arithmetic = """
        root  ::= expr "=" [0-9]{1,3} "\n"
        expr  ::= term ([-+*/] term){0,3}
        term  ::= ident | num | "(" expr ")"
        ident ::= [a-z] [a-z0-9_]{0,3}
        num   ::= [0-9]{1,3}
        """;

    private const string Chess = """
        root ::= "1. " move " " move "\n" ([1-9] ". " move " " move "\n"){1,2}
        move ::= (pawn | nonpawn | castle) [+#]?
        nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
        pawn ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
        castle ::= "O-O" "-O"?
        """;

    [Fact]
    public void Answers_under_a_JSON_grammar_are_read_by_a_JSON_parser()
    {
        Assert.InRange(Ended(Json, text => JsonDocument.Parse(text).RootElement.ValueKind == JsonValueKind.Object), 8, 20);
    }

    [Fact]
    public void Answers_under_an_arithmetic_grammar_are_read_by_an_evaluator()
    {
        Assert.InRange(Ended(Arithmetic, text => Expression(text[..text.IndexOf('=', StringComparison.Ordinal)])), 5, 20);
    }

    [Fact]
    public void Answers_under_a_chess_grammar_are_moves() =>
        Assert.InRange(
            Ended(Chess, text =>
                System.Text.RegularExpressions.Regex.IsMatch(text, "^1\\. (\\S{2,8} \\S{2,8}\\n)([1-9]\\. \\S{2,8} \\S{2,8}\\n){1,2}$")), 5,
                20);

    [Theory]
    [InlineData("root ::= a\na ::= \"x\" | \"y\"", "x|y", "xy|")]
    [InlineData("root ::= \"a\"+ [^a-z]? .\n", "aaZz|ab|a\n", "a|b")]
    [InlineData("root ::= (\n  \"a\" |\n  \"b\"\n)* \"\\x41\\u00e9\\\"\"", "A\u00e9\"|abbaA\u00e9\"", "c")]
    [InlineData("root ::= \"a\" | # comment\n  \"b\"\n", "a|b", "ab")]
    [InlineData("x ::= [-a\\]^]{2,}\nroot ::= x{1,2}", "--|a]^-", "-|b")]
    [InlineData("root ::= \"\" | \"(\" root \")\"", "|()|((()))", "(()|())")]
    public void Its_notation_is_read(string grammar, string allowed, string refused)
    {
        Constraint constraint = Compile(Grammar.Gbnf(grammar));
        Assert.All(allowed.Split('|'), text => Assert.True(constraint.Matches(text), text));
        Assert.All(refused.Split('|').Where(text => text.Length > 0), text => Assert.False(constraint.Matches(text), text));
    }

    [Fact]
    public void Tokens_are_named_by_id_or_as_the_vocabulary_writes_them()
    {
        Assert.True(Bytes.TryGetId("<|end|>", out int special));
        Constraint constraint = Compile(Grammar.Gbnf($"root ::= <[65]> <call> \"x\" <[{special}]> <|end|>", Bytes));
        var matcher = new Understory.Decoding.Constraints.Matching.ConstraintMatcher(constraint, Bytes.VocabularySize, []);
        int state = matcher.Start;
        foreach (int token in (int[])[65, .. Bytes.Encode("<call>x"), special, special])
        {
            Assert.True(matcher.Allows(state, token));
            state = matcher.Advance(state, token);
        }

        Assert.True(matcher.IsOver(state));
        Assert.Contains("no token <nothing>", Assert.Throws<GrammarException>(() => Grammar.Gbnf("root ::= <nothing>", Bytes)).Message);
        Assert.Contains("not supported", Assert.Throws<GrammarException>(() => Grammar.Gbnf("root ::= !<[6]>", Bytes)).Message);
    }

    [Theory]
    [InlineData("root ::= \"a", "line 1", "does not end")]
    [InlineData("root ::= a\n\nb ::= \"x\"", "line 1", "'a' is used but not defined")]
    [InlineData("a ::= \"x\"", "", "no rule 'root'")]
    [InlineData("root ::= \"a\"\nroot ::= \"b\"", "line 2", "defined twice")]
    [InlineData("root ::= \"a\"\n= x", "line 2", "is expected")]
    [InlineData("root ::= (\"a\"", "line 1", "lacks its ')'")]
    [InlineData("root ::= \"a\"{3,1}", "line 1", "{2,3}")]
    [InlineData("root ::= root \"a\" | \"b\"", "", "'root' is left-recursive")]
    [InlineData("root ::= x y\nx ::= \"\" | \"q\"\ny ::= z \"a\" | \"b\"\nz ::= x y", "", "left-recursive")]
    [InlineData("root ::= \"a\" root", "", "allows no text")]
    public void What_is_broken_is_refused_by_its_line(string grammar, string path, string says)
    {
        GrammarException refusal = Assert.Throws<GrammarException>(() => Compile(Grammar.Gbnf(grammar)));
        Assert.StartsWith(path, refusal.Path, StringComparison.Ordinal);
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>Answers that ended by themselves; each must be valid.</summary>
    private int Ended(string grammar, Func<string, bool> valid)
    {
        using DecodingLoop loop = demo.CreateLoop();
        Constraint constraint = Constraint.Compile(Grammar.Gbnf(grammar), demo.Target.Tokenizer);
        int ended = 0;
        for (ulong seed = 0; seed < 20; seed++)
        {
            (string text, FinishReason reason) =
                loop.Text(ConstrainedRuns.Request(demo, constraint, new SamplingParams { Seed = seed }, 120));
            if (reason == FinishReason.Stop)
            {
                ended++;
                Assert.True(valid(text), text);
            }
        }

        return ended;
    }

    /// <summary>A recursive descent over operators, names, numbers and parentheses; knows nothing of the grammar above.</summary>
    private static bool Expression(string text)
    {
        int at = 0;
        return Sum() && at == text.Length;

        bool Sum()
        {
            bool good = Operand();
            while (good && at < text.Length && "+-*/".Contains(text[at], StringComparison.Ordinal))
            {
                at++;
                good = Operand();
            }

            return good;
        }

        bool Operand()
        {
            if (at < text.Length && text[at] == '(')
            {
                at++;
                return Sum() && at < text.Length && text[at++] == ')';
            }

            int begin = at;
            while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '_'))
            {
                at++;
            }

            return at > begin;
        }
    }
}
