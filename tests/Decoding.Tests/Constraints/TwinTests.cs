using System.Text.Json.Nodes;
using Understory.Decoding.Constraints;
using Understory.Decoding.Constraints.Matching;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>A schema says the same whether its parts stand where they are meant, or behind references, allOf and unions of one.</summary>
public class TwinTests
{
    private const int Pairs = 120;

    [Fact]
    public void A_schema_and_its_inlined_twin_allow_the_same_texts()
    {
        int compared = 0;
        for (int seed = 0; seed < Pairs; seed++)
        {
            var random = new Random(seed);
            string plain = RandomSchemas.Root(random);
            string wrapped = Wrapped(plain, random);
            if (Matcher(plain) is not { } inlined)
            {
                Assert.Null(Matcher(wrapped));
                continue;
            }

            ConstraintMatcher other = Assert.IsType<ConstraintMatcher>(Matcher(wrapped));
            for (int i = 0; i < 8; i++)
            {
                bool here = i % 2 == 0;
                if (ValidatorTests.RandomText(here ? inlined : other, random) is { } text)
                {
                    compared++;
                    Assert.True(Constraint(here ? wrapped : plain).Matches(text), $"{wrapped}\nand {plain}\ndiffer on {text}");
                }
            }
        }

        Assert.InRange(compared, 300, Pairs * 8);
    }

    /// <summary>Recursive unions of models, as pydantic and zod write them, and the same with the first level written out.</summary>
    [Fact]
    public void A_recursive_union_behind_a_reference_is_the_union_itself()
    {
        const string Node = """{"type":"object","properties":{"v":{"type":"integer"},"next":{"$ref":"#/$defs/any"}},"required":["v"]}""";
        const string Any = """{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"},"""
            + """{"type":"array","items":{"$ref":"#/$defs/any"},"maxItems":2}]}""";
        const string Defs = "\"$defs\":{\"node\":" + Node + ",\"any\":" + Any + "}";
        Constraint behind = Constraint("{\"$ref\":\"#/$defs/any\"," + Defs + "}");
        Constraint plain = Constraint(Any[..^1] + "," + Defs + "}");
        foreach (string text in (string[])["null", """{"v": 1}""", """{"v": 1, "next": [null, {"v": 2, "next": null}]}""", "[[[]], null]"])
        {
            Assert.True(behind.Matches(text), text);
            Assert.True(plain.Matches(text), text);
        }

        foreach (string text in (string[])["1", """{"next": null}""", "[null, null, null]", """{"v": 1, "next": 2}"""])
        {
            Assert.False(behind.Matches(text), text);
            Assert.False(plain.Matches(text), text);
        }
    }

    private static Constraint Constraint(string schema) =>
        Understory.Decoding.Constraints.Constraint.Compile(Grammars.Schema(schema), Grammars.Demo);

    private static ConstraintMatcher? Matcher(string schema)
    {
        try
        {
            return new ConstraintMatcher(Constraint(schema), Grammars.Demo.VocabularySize, [0]);
        }
        catch (GrammarException refusal) when (refusal.Message.Contains("allows no text", StringComparison.Ordinal))
        {
            return null;
        }
    }

    /// <summary>The same schema with some of its parts elsewhere.</summary>
    private static string Wrapped(string schema, Random random)
    {
        var definitions = new JsonObject();
        JsonNode wrapped = Wrap(JsonNode.Parse(schema)!, definitions, random);
        if (wrapped is JsonObject root && definitions.Count > 0)
        {
            root["$defs"] = definitions;
        }

        return wrapped.ToJsonString();
    }

    private static JsonNode Wrap(JsonNode node, JsonObject definitions, Random random)
    {
        if (node is not JsonObject schema)
        {
            return node.DeepClone();
        }

        var inner = new JsonObject();
        foreach ((string keyword, JsonNode? value) in schema)
        {
            inner[keyword] = (keyword, value) switch
            {
                ("properties", JsonObject properties) => new JsonObject(properties.Select(entry =>
                    KeyValuePair.Create(entry.Key, (JsonNode?)Wrap(entry.Value!, definitions, random)))),
                ("anyOf" or "allOf" or "prefixItems", JsonArray list) =>
                    new JsonArray([.. list.Select(item => Wrap(item!, definitions, random))]),
                ("items" or "additionalProperties", { } one) => Wrap(one, definitions, random),
                _ => value?.DeepClone(),
            };
        }

        switch (random.Next(6))
        {
            case 0:
                return new JsonObject { ["allOf"] = new JsonArray(inner) };
            case 1:
                return new JsonObject { ["anyOf"] = new JsonArray(inner) };
            case 2:
                return new JsonObject { ["oneOf"] = new JsonArray(inner), ["title"] = "one" };
            case 3:
                definitions[$"d{definitions.Count}"] = inner;
                return new JsonObject { ["$ref"] = $"#/$defs/d{definitions.Count - 1}" };
            case 4:
                definitions[$"d{definitions.Count}"] = inner;
                return new JsonObject
                {
                    ["allOf"] = new JsonArray(new JsonObject { ["$ref"] = $"#/$defs/d{definitions.Count - 1}" }),
                    ["description"] = "a reference beside a text",
                };
            default:
                return inner;
        }
    }
}
