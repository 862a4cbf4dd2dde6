using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Sampling;
using Understory.Models.Tokenizers;
using static Understory.Decoding.Tests.Constraints.Grammars;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>No object of an answer has a key twice.</summary>
[Collection(DemoGroup.Name)]
public class RepeatedKeyTests(DemoBundle demo)
{
    private const string Others = """{"type":"object","additionalProperties":{"type":"integer"}}""";
    private const string Beside = """{"properties":{"a":{"type":"integer"},"😀\n\u007f":{}},"additionalProperties":{"type":"integer"}}""";

    private const string Told = """{"anyOf":[{"properties":{"a":{"const":1}},"required":["a"],"additionalProperties":{"type":"integer"}},"""
        + """{"properties":{"b":{"const":1}},"required":["b"],"additionalProperties":{"type":"integer"}}]}""";

    private const string Constant = """{"additionalProperties":{"anyOf":[{"const":{"k":{"a":"x"}}},"""
        + """{"type":"object","additionalProperties":{"type":"object","additionalProperties":{"type":"integer"}}}]}}""";

    private const string Twice = """{"enum":[{"a":1,"b":{"c":2},"a":3}]}""";

    /// <summary>Whole keys, ends of keys and more than one key in a token.</summary>
    private static Tokenizer Small { get; } = Byte(["\": ", "\"a\"", "\"a\": 1", "a\": 1", ", \"a\": 1", ", \"", "{\"a\": 1, \"a\"", "ab",
        "{\"a\": 1, \"b\": 1", "1, \"b\": 2, \"a\": ", "b\": 1, \"ab\": 1", "\"\"", "{\"", "\": {\"", "}}", "\": 1, \"", "\"b\":",
        "[{\"a\"", "{\"b\": ", "1}, {\"", "\\n\"", "\"}", "}, \"a\": "]);

    [Theory]
    [InlineData(Others, """{"a": 1, "b": 2, "ab": 3, "": 4}""", true)]
    [InlineData(Others, """{"a": 1, "b": 2, "a": 3}""", false)]
    [InlineData(Others, """{"": 1, "": 2}""", false)]
    [InlineData(Others, """{"a\n": 1, "a": 2, "a\\": 3, "a\"": 4}""", true)]
    [InlineData(Others, """{"a\"": 1, "a\"": 2}""", false)]
    [InlineData(Others, """{"\u0061": 1}""", false)]
    [InlineData(Beside, """{"a": 1, "b": 2}""", true)]
    [InlineData(Beside, """{"a": 1, "b": 2, "a": 3}""", false)]
    [InlineData(Beside, """{"b": 2, "a": 3}""", false)]
    [InlineData(Beside, "{\"😀\\n\u007f\": 1, \"b\": 2, \"c\": 3}", true)]
    [InlineData(Beside, "{\"b\": 2, \"😀\\n\u007f\": 1}", false)]
    [InlineData(Beside, "{\"b\": 2, \"\\ud83d\\ude00\\n\u007f\": 1}", false)]
    [InlineData("""{"type":"array","items":{"additionalProperties":{}}}""", """[{"a": 1}, {"a": 2, "b": {"a": 1, "b": {}}}]""", true)]
    [InlineData("""{"type":"array","items":{"additionalProperties":{}}}""", """[{"a": 1}, {"a": 2, "b": {}, "a": 1}]""", false)]
    [InlineData("""{"properties":{"x":{}}}""", """{"x": {"b": {"c": 1, "d": 2}, "c": {"b": [{"b": 1}, {"b": 1}]}}}""", true)]
    [InlineData("""{"properties":{"x":{}}}""", """{"x": {"b": {"c": 1, "c": 2}}}""", false)]
    [InlineData("""{"properties":{"x":{}}}""", """{"x": {"b": {"c": 1}, "b": 2}}""", false)]
    [InlineData(Constant, """{"k": {"k": {"a": "x"}}, "l": {"k": {"a": 1}}}""", true)]
    [InlineData(Constant, """{"k": {"k": {"a": "x"}}, "k": {"k": {"a": 1}}}""", false)]
    [InlineData(Twice, """{"a": 3, "b": {"c": 2}}""", true)]
    [InlineData(Twice, """{"a": 1, "b": {"c": 2}, "a": 3}""", false)]
    [InlineData(Told, """{"a": 1, "b": 1, "c": 1}""", true)]
    [InlineData(Told, """{"a": 1, "b": 1, "b": 1}""", false)]
    public void Under_a_schema(string schema, string text, bool allowed) => Assert.Equal(allowed, Matches(Schema(schema), text));

    [Fact]
    public void In_any_object_and_between_objects_that_other_text_parts()
    {
        Assert.True(Matches(Grammar.JsonObject(), "{\"a\":1,\n \"b\": {\"a\": [1, {\"a\": 2}]}}"));
        Assert.False(Matches(Grammar.JsonObject(), "{\"a\":1,\n \"b\": {\"a\": 2}, \"a\": 1}"));
        Grammar several = Grammar.Repeat(Grammar.Sequence(Grammar.TextWithout("<"), Grammar.Literal("<"), Schema(Others)));
        Assert.True(Matches(several, "{\"a\": 1, \"a\": 2}<{\"a\": 1}<{\"a\": 1}"));
        Assert.False(Matches(several, "{\"a\": 1, \"a\": 2}<{\"a\": 1, \"a\": 2}"));
    }

    [Theory]
    [InlineData(Others)]
    [InlineData(Beside)]
    [InlineData("""{"type":"array","items":{"properties":{"a":{"type":"integer"}},"additionalProperties":{"type":["string","object"]}}}""")]
    public void A_mask_leaves_out_what_would_repeat_a_key_and_nothing_else(string schema)
    {
        Constraint constraint = Constraint.Compile(Schema(schema), Small);
        var matcher = new ConstraintMatcher(constraint, Small.VocabularySize, []);
        int repeats = 0;
        for (int seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            int state = matcher.Start;
            string text = "";
            for (int step = 0; step < 25 && !matcher.IsOver(state); step++)
            {
                var allowed = new List<int>();
                ulong[] mask = matcher.Mask(state).ToArray();
                foreach (int token in Enumerable.Range(0, Small.VocabularySize).Where(token => !Small.IsSpecial(token)))
                {
                    int next = Walk(matcher, state, Small.TokenBytes(token));
                    Assert.Equal(next != ConstraintMatcher.Dead, (mask[token >> 6] >> token & 1) != 0);
                    if (next == ConstraintMatcher.Dead)
                    {
                        repeats += Repeats(text + Small.Decode([token])) ? 1 : 0;
                    }
                    else
                    {
                        Assert.Equal(next, matcher.Advance(state, token));
                        allowed.Add(token);
                    }
                }

                // Mostly tokens of several bytes, and letters that meet again.
                int[] wanted = [.. allowed.Where(token => token >= 256 || token is 'a' or 'b' or '"')];
                int chosen = wanted.Length > 0 ? wanted[random.Next(wanted.Length)] : allowed[random.Next(allowed.Count)];
                text += Small.Decode([chosen]);
                Assert.False(Repeats(text), text);
                state = matcher.Advance(state, chosen);
            }
        }

        Assert.True(repeats > 100, $"{repeats}");
    }

    [Fact]
    public void Whatever_a_model_says_at_T_1_5_under_random_schemas_no_key_comes_twice_and_trees_do_not_change_it()
    {
        using DecodingLoop loop = demo.CreateLoop();
        int members = 0;
        for (int seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            Constraint constraint = ConstrainedRuns.Schema(demo, Open(random, 2));
            GenerationRequest request = ConstrainedRuns.Request(demo, constraint, new SamplingParams
            {
                Seed = (ulong)seed,
                Temperature = 1.5f,
                LogitBias = Short(random),
            }, 90);
            int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
            string text = demo.Target.Tokenizer.Decode(plain);
            Assert.False(Repeats(text), text);
            members += text.Split("\": ").Length - 1;
            foreach (SpeculationMode mode in LoopRuns.Speculating)
            {
                Assert.Equal(plain, loop.Decode(request with { Speculation = mode, SpeculationNodes = 16 }));
            }
        }

        Assert.True(members > 150, $"{members}");
    }

    /// <summary>Makes few letters likely, and quotation marks, so that keys would meet often.</summary>
    private Dictionary<int, float> Short(Random random)
    {
        var bias = new Dictionary<int, float>();
        for (int token = 0; token < demo.Target.Config.VocabularySize; token++)
        {
            string text = demo.Target.Tokenizer.Decode([token]);
            if (text.Length is 1 or 2 && text.All("ab\"".Contains))
            {
                bias[token] = 6 + (2 * random.NextSingle());
            }
        }

        return bias;
    }

    private static string Open(Random random, int depth)
    {
        const string Scalar = """{"type":["integer","boolean"],"maximum":9,"minimum":0}""";
        string value = depth == 0 || random.Next(3) == 0 ? Scalar : random.Next(3) switch
        {
            0 => $$"""{"type":"array","items":{{Open(random, depth - 1)}}}""",
            1 => $$"""{"anyOf":[{"type":"null"},{{Open(random, depth - 1)}}]}""",
            _ => Open(random, depth - 1),
        };
        string properties = random.Next(2) == 0 ? "" : $$$""","properties":{"a":{{{value}}},"ab":{"type":"null"}}""";
        return $$"""{"type":"object"{{properties}},"additionalProperties":{{value}}}""";
    }

    private static int Walk(ConstraintMatcher matcher, int state, ReadOnlySpan<byte> bytes)
    {
        // The first 256 ids are single bytes in the order of their values.
        for (int i = 0; i < bytes.Length && state != ConstraintMatcher.Dead; i++)
        {
            state = matcher.Advance(state, bytes[i]);
        }

        return bytes.Length == 0 ? ConstraintMatcher.Dead : state;
    }

    /// <summary>A key comes twice in some object of a text that may be cut off.</summary>
    private static bool Repeats(string text)
    {
        var reader = new Utf8JsonReader(System.Text.Encoding.UTF8.GetBytes(text), isFinalBlock: false, default);
        var open = new Stack<HashSet<string>>();
        try
        {
            while (reader.Read())
            {
                switch (reader.TokenType)
                {
                    case JsonTokenType.StartObject:
                        open.Push([]);
                        break;
                    case JsonTokenType.EndObject:
                        open.Pop();
                        break;
                    case JsonTokenType.PropertyName when !open.Peek().Add(reader.GetString()!):
                        return true;
                }
            }
        }
        catch (JsonException)
        {
            // What ends in the midst of a character.
        }

        return false;
    }
}
