using System.Text.Json;
using Understory.Decoding.Constraints;
using static Understory.Decoding.Tests.Constraints.Grammars;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>Hostile grammars end in an error that names the limit, before they cost much; large honest ones do not.</summary>
public class LimitTests
{
    private const long Allowed = 1L << 30;

    public static TheoryData<string, string> Hostile => new()
    {
        { "a{1,1000000}", "too large" },
        { "(a{1000}){1000}", "too large" },
        { "((((a{9}){9}){9}){9}){9}{9}{9}", "too large" },
        { "(a|b)*a(a|b){40}", "too " },
        { "(.*a.*b.*c.*){12}|(.*d.*e){9}", "" },
        { "(){1000000000}a{999999}", "too " },
        { new string('(', 9_000) + "a" + new string(')', 9_000), "" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_expression_is_refused_within_bounds(string pattern, string says)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        if (says.Length == 0)
        {
            // Deep, or ambiguous, but small: it may be taken or refused, not more.
            Exception? refusal = Record.Exception(() => Compile(Grammar.Regex(pattern)));
            Assert.True(refusal is null or GrammarException);
        }
        else
        {
            Assert.Contains(says, Assert.Throws<GrammarException>(() => Compile(Grammar.Regex(pattern))).Message, StringComparison.Ordinal);
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Allowed);
    }

    [Fact]
    public void Deep_and_wide_schemas_are_taken_or_refused_within_bounds()
    {
        string[] schemas =
        [
            string.Concat(Enumerable.Repeat("""{"type":"array","items":""", 10_000)) + "{}" + new string('}', 10_000),
            string.Concat(Enumerable.Repeat("""{"allOf":[""", 3_000)) + "{}" + string.Concat(Enumerable.Repeat("]}", 3_000)),
            $$"""{"enum":[{{string.Join(',', Enumerable.Range(0, 200_000).Select(i => $"\"{i * 7919L}\""))}}]}""",
            """{"type":"object","properties":{"""
                + string.Join(',', Enumerable.Range(0, 5_000).Select(i => $"\"p{i}\":{{\"type\":\"integer\"}}")) + "}}",
            $$"""{"allOf":[{{string.Join(',', Enumerable.Range(0, 14).Select(i =>
                $"{{\"anyOf\":[{{\"minimum\":{i}}},{{\"maximum\":{100 - i}}}]}}"))}}]}""",
            """{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}}""",
            """{"type":"array","maxItems":1000,"items":{"type":"array","maxItems":1000,"items":{"type":"array","maxItems":1000,"items":"""
                + """{"type":"string","maxLength":2000}}}}""",
        ];
        foreach (string schema in schemas)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            using JsonDocument document = JsonDocument.Parse(schema, new JsonDocumentOptions { MaxDepth = 50_000 });
            Exception? refusal = Record.Exception(() => Compile(Grammar.JsonSchema(document.RootElement)));
            Assert.True(refusal is null or GrammarException, refusal?.ToString());
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Allowed);
        }
    }

    [Fact]
    public void Large_but_honest_schemas_compile()
    {
        string names =
            string.Join(',', Enumerable.Range(0, 300).Select(i => $"\"property_{i}\":{{\"type\":[\"string\",\"null\"],\"maxLength\":20}}"));
        string cities = string.Join(',', Enumerable.Range(0, 2_000).Select(i => $"\"city {i * 31}\""));
        Constraint constraint =
            Compile(Schema("{\"type\":\"object\",\"properties\":{" + names + ",\"c\":{\"enum\":[" + cities + "]}},\"required\":[\"c\"]}"));
        Assert.True(constraint.Matches("""{"property_3": "x", "property_299": null, "c": "city 310"}"""));
        Assert.False(constraint.Matches("""{"property_3": "x", "c": "city 311"}"""));
    }

    [Fact]
    public void Alternatives_that_are_constants_are_an_enumeration_however_many()
    {
        string constants = string.Join(',', Enumerable.Range(0, 10_000).Select(i => $"{{\"const\":\"c{i}\",\"title\":\"t\"}}"));
        Constraint constraint = Compile(Schema("{\"oneOf\":[" + constants + "]}"));
        Assert.True(constraint.Matches("\"c9999\""));
        Assert.False(constraint.Matches("\"c10000\""));
        GrammarException twice = Assert.Throws<GrammarException>(() => Schema("{\"oneOf\":[" + constants + ",{\"enum\":[1,\"c7\"]}]}"));
        Assert.Equal("#/oneOf", twice.Path);
        Assert.Contains("7 and 10000", twice.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Many_alternatives_that_a_constant_tells_apart_compile()
    {
        string objects = string.Join(',', Enumerable.Range(0, 2_000).Select(i =>
            $"{{\"type\":\"object\",\"properties\":{{\"k\":{{\"const\":{i}}}}},\"required\":[\"k\"]}}"));
        Assert.True(Compile(Schema("{\"oneOf\":[" + objects + "]}")).Matches("{\"k\": 1999}"));
    }

    public static TheoryData<string, string> Wide => new()
    {
        { "#/oneOf", $$"""{"oneOf":[{{string.Join(',', Enumerable.Range(0, 4_000).Select(i =>
            $"{{\"type\":\"object\",\"required\":[\"a\",\"b\",\"p{i}\"],"
                + $"\"properties\":{{\"p{i}\":{{\"const\":1}},\"a\":{{\"minimum\":{i}}}}},"
                + $"\"additionalProperties\":false}}"))}}]}""" },
        { "", $$"""{"type":"array","prefixItems":[{{string.Join(',', Enumerable.Repeat("{\"type\":\"integer\"}", 100_000))}}]}""" },
        { "", $$"""{"type":"object","required":[{{string.Join(',', Enumerable.Range(0, 100_000).Select(i => $"\"p{i}\""))}}]}""" },
        { "#/properties/a", """{"properties":{"a":{"type":"string","pattern":"^(a|b)*a(a|b){40}$"}}}""" },
    };

    [Theory]
    [MemberData(nameof(Wide))]
    public void Work_is_counted_from_the_reading_of_a_schema_on(string path, string schema)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        GrammarException? refusal = Record.Exception(() => Compile(Schema(schema))) as GrammarException;
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Allowed);
        Assert.StartsWith(path, refusal?.Path ?? "", StringComparison.Ordinal);
        Assert.NotNull(refusal);
    }

    [Fact]
    public void Compiling_ends_when_nobody_waits_for_it()
    {
        string names = string.Join(',', Enumerable.Range(0, 3_000).Select(i => $"\"p{i}\":{{\"type\":\"string\",\"maxLength\":{i % 90}}}"));
        using JsonDocument schema = JsonDocument.Parse("{\"properties\":{" + names + "}}");
        var budget = new GrammarBudget(new CancellationToken(canceled: true));
        Assert.Throws<OperationCanceledException>(() =>
            Constraint.Compile(Grammar.JsonSchema(schema.RootElement, budget: budget), Bytes, budget));
    }

    public static TheoryData<string> Long => new(
        $$"""{"type":"object","required":[{{string.Join(',', Enumerable.Range(0, 400_000).Select(i => $"\"p{i}\""))}}]}""",
        $$"""{"oneOf":[{{string.Join(',', Enumerable.Range(0, 9_000).Select(i =>
            $"{{\"properties\":{{\"p{i}\":{{\"const\":1}},\"a\":{{\"minimum\":{i}}}}},\"required\":[\"a\",\"p{i}\"],"
                + "\"additionalProperties\":false}"))}}]}""",
        """{"type":"string","pattern":"^(a|b)*a(a|b){60}$"}""",
        $$"""{"properties":{ {{string.Join(',', Enumerable.Range(0, 200_000).Select(i =>
            $"\"p{i}\":{{\"type\":\"string\",\"maxLength\":{i % 90}}}"))}} } }""");

    [Theory]
    [MemberData(nameof(Long))]
    public void Compiling_ends_in_its_midst_when_nobody_waits_for_it_any_more(string schema)
    {
        using JsonDocument document = JsonDocument.Parse(schema);
        // A thread of its own: the pool's may all be busy with other tests, and so a timer late.
        using var left = new CancellationTokenSource();
        var leaver = new Thread(() =>
        {
            Thread.Sleep(1);
            left.Cancel();
        });
        leaver.Start();
        var budget = new GrammarBudget(left.Token) { Most = long.MaxValue };
        Assert.ThrowsAny<OperationCanceledException>(() =>
            Constraint.Compile(Grammar.JsonSchema(document.RootElement, budget: budget), Bytes, budget));
        leaver.Join();
    }

    [Fact]
    public void Ambiguity_does_not_make_a_long_text_slow()
    {
        // Each letter can be read in two ways: the ways share what they have in common.
        Constraint constraint =
            Compile(Grammar.Gbnf("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\" root | x\nx ::= \"a\" x \"d\" | \"\""));
        Assert.True(constraint.Matches(new string('a', 300) + new string('b', 100)));
        Assert.False(constraint.Matches(new string('a', 300) + new string('b', 301)));
    }
}
