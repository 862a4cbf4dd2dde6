using System.Text.Json;
using Json.Schema;
using Understory.Decoding.Constraints;
using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Sampling;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>Answers under schemas, judged by a validator that is not ours: what ends always validates.</summary>
[Collection(DemoGroup.Name)]
public class ValidatorTests(DemoBundle demo)
{
    [Fact]
    public void Answers_of_the_demo_model_at_T_1_validate()
    {
        using DecodingLoop loop = demo.CreateLoop();
        var complaints = new List<string>();
        int ended = 0;
        foreach (string schema in ConstrainedRuns.Schemas)
        {
            Constraint constraint = ConstrainedRuns.Schema(demo, schema);
            var texts = new List<string>();
            for (ulong seed = 0; seed < 12; seed++)
            {
                (string text, FinishReason reason) =
                    loop.Text(ConstrainedRuns.Request(demo, constraint, new SamplingParams { Seed = seed, Temperature = 1 }, 160));
                if (reason == FinishReason.Stop)
                {
                    texts.Add(text);
                }
            }

            ended += texts.Count;
            complaints.AddRange(Complaints(schema, texts));
        }

        Assert.InRange(ended, 40, 1000);
        Assert.True(complaints.Count == 0, string.Join("\n", complaints));
    }

    [Fact]
    public void Whatever_a_random_model_says_under_random_schemas_validates()
    {
        var complaints = new List<string>();
        int ended = 0;
        for (int seed = 0; seed < 150; seed++)
        {
            var random = new Random(seed);
            string schema = RandomSchemas.Root(random);
            ConstraintMatcher matcher;
            try
            {
                matcher = new ConstraintMatcher(Constraint.Compile(Grammar.JsonSchema(JsonDocument.Parse(schema).RootElement),
                    Grammars.Demo), Grammars.Demo.VocabularySize, [0]);
            }
            catch (GrammarException refusal) when (refusal.Message.Contains("allows no text", StringComparison.Ordinal))
            {
                continue;
            }

            List<string> texts = [.. Enumerable.Range(0, 6).Select(_ => RandomText(matcher, random)).OfType<string>()];
            ended += texts.Count;
            complaints.AddRange(Complaints(schema, texts));
        }

        Assert.InRange(ended, 300, 10_000);
        Assert.True(complaints.Count == 0, string.Join("\n", complaints));
    }

    /// <summary>A model that knows nothing: any allowed token is as likely as any other. Null: it did not come to an end.</summary>
    internal static string? RandomText(ConstraintMatcher matcher, Random random)
    {
        var tokens = new List<int>();
        int state = matcher.Start;
        while (tokens.Count < 400 && !matcher.IsOver(state))
        {
            ulong[] mask = matcher.Mask(state).ToArray();
            int[] allowed = [.. Enumerable.Range(0, mask.Length * 64).Where(token => (mask[token >> 6] >> token & 1) != 0)];
            int token = allowed[random.Next(allowed.Length)];
            if (token == 0 || (matcher.Accepts(state) && random.Next(3) == 0))
            {
                return Grammars.Demo.Decode(tokens.ToArray());
            }

            // Mostly what brings strings to their end.
            int[] quotes = [.. allowed.Where(id => Grammars.Demo.TokenBytes(id).Contains((byte)'"'))];
            token = quotes.Length > 0 && random.Next(3) == 0 ? quotes[random.Next(quotes.Length)] : token;
            tokens.Add(token);
            state = matcher.Advance(state, token);
        }

        return matcher.IsOver(state) ? Grammars.Demo.Decode(tokens.ToArray()) : null;
    }

    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}""", """{"a":1.5}""")]
    [InlineData("""{"type":"string","format":"date"}""", "\"2024-02-30\"")]
    [InlineData("""{"type":"string","pattern":"^[a-z]{2}$"}""", "\"abc\"")]
    [InlineData("""{"$ref":"#/$defs/x","$defs":{"x":{"const":1}}}""", "2")]
    [InlineData("""{"type":"null"}""", "nul")]
    public void What_does_not_validate_is_seen(string schema, string text) => Assert.Single(Complaints(schema, [text]));

    /// <summary>Each text that is no JSON or that the schema refuses, formats included, with the reason.</summary>
    private static IEnumerable<string> Complaints(string schema, IReadOnlyList<string> texts)
    {
        var validator = JsonSchema.FromText(schema, new BuildOptions { Dialect = Dialect.Draft202012 });
        foreach (string text in texts)
        {
            string? complaint = null;
            try
            {
                using var answer = JsonDocument.Parse(text);
                EvaluationResults results = validator.Evaluate(
                    answer.RootElement, new EvaluationOptions { RequireFormatValidation = true, OutputFormat = OutputFormat.List });
                complaint = results.IsValid ? null : JsonSerializer.Serialize(results);
            }
            catch (JsonException e)
            {
                complaint = e.Message;
            }

            if (complaint is not null)
            {
                yield return $"{schema} refuses {text}: {complaint}";
            }
        }
    }
}

/// <summary>Schemas made of what the compiler knows.</summary>
internal static class RandomSchemas
{
    private static readonly string[] _patterns = ["^[a-z]{2,5}$", "ab", "^x", "[0-9]$", "^(foo|bar)+$", "\\\\d\\\\d", "^[^a]{1,4}$"];
    private static readonly string[] _formats =
        ["date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "hostname", "uri", "duration"];

    public static string Root(Random random) => Schema(random, 3);

    private static string Perhaps(Random random, string text) => random.Next(2) == 0 ? text : "";

    private static string Schema(Random random, int depth) => random.Next(depth > 0 ? 14 : 8) switch
    {
        0 => Bounded(random, "integer"),
        1 => Bounded(random, "number"),
        2 => """{"type":["boolean","null"]}""",
        3 => $$"""{"type":"string","minLength":{{random.Next(4)}},"maxLength":{{4 + random.Next(20)}}}""",
        4 => $$"""{"type":"string","pattern":"{{_patterns[random.Next(_patterns.Length)]}}"{{Perhaps(random, ",\"maxLength\":30")}}}""",
        5 => $$"""{"type":"string","format":"{{_formats[random.Next(_formats.Length)]}}"}""",
        6 => """{"enum":["a","b\"c",1,-2.5,null,true]}""",
        7 => $$"""{"const":{{random.Next(100)}}}""",
        8 => $$"""{"anyOf":[{{Schema(random, depth - 1)}},{{Schema(random, depth - 1)}}]}""",
        9 => $$"""{"type":"array","items":{{Schema(random, depth - 1)}},"minItems":{{random.Next(2)}},"maxItems":{{1 + random.Next(3)}}}""",
        10 => $$"""{"type":"array","prefixItems":[{{Schema(random, depth - 1)}},{{Schema(random, depth - 1)}}],"items":"""
            + $$"""{{(random.Next(2) == 0 ? "false" : Schema(random, depth - 1))}},"maxItems":3}""",
        11 => $$"""{"allOf":[{{Object(random, depth)}},{{Object(random, depth)}}]}""",
        _ => Object(random, depth),
    };

    private static string Object(Random random, int depth)
    {
        string[] names = [.. "abcd".Where(_ => random.Next(2) == 0).Select(letter => letter.ToString())];
        string properties = string.Join(',', names.Select(name => $"\"{name}\":{Schema(random, depth - 1)}"));
        string required = string.Join(',', names.Where(_ => random.Next(2) == 0).Select(name => $"\"{name}\""));
        string others = random.Next(3) switch
        {
            0 => ",\"additionalProperties\":false",
            1 =>
            $",\"additionalProperties\":{Schema(random, 0)}",
            _ => ""
        };
        return $$"""{"type":"object","properties":{{{properties}}},"required":[{{required}}]{{others}}}""";
    }

    private static string Bounded(Random random, string type)
    {
        int low = random.Next(-200, 100);
        string by = random.Next(2) == 0 ? "m" : "exclusiveM";
        string fraction = random.Next(2) == 0 ? "" : ".25";
        return $$"""{"type":"{{type}}","{{by}}inimum":{{low}}{{fraction}},"{{by}}aximum":{{low + 3 + random.Next(300)}}{{fraction}}}""";
    }
}
