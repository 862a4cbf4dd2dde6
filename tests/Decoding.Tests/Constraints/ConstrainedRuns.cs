using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Decoding.Sampling;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>Requests under constraints.</summary>
internal static class ConstrainedRuns
{
    /// <summary>Schemas with what schemas have; JSON texts.</summary>
    public static string[] Schemas { get; } =
    [
        """{"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer","minimum":0,"maximum":"""
            + """130},"tags":{"type":"array","items":{"enum":["red","green","blue"]},"maxItems":3},"ok":{"type":"boolean"}},"required":"""
            + """["name","age"],"additionalProperties":false}""",
        """{"type":"array","items":{"anyOf":[{"type":"integer"},{"type":"null"},{"type":"string","pattern":"^[a-z]{1,5}$"}]},"minItems":"""
            + """1,"maxItems":5}""",
        """{"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"v":{"type":"number","minimum":-1.5,"exclusiveMaximum":"""
            + """20},"kids":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":2}},"required":["v"],"additionalProperties":"""
            + """false}}}""",
        """{"type":"object","properties":{"when":{"type":"string","format":"date-time"},"who":{"type":"string","format":"email"},"id":"""
            + """{"type":"string","format":"uuid"},"ip":{"type":"string","format":"ipv4"}},"required":"""
            + """["when","who","id","ip"],"additionalProperties":false}""",
        """{"oneOf":[{"type":"object","properties":{"kind":{"const":"circle"},"r":{"type":"number","exclusiveMinimum":0,"maximum":"""
            + """9}},"required":["kind","r"],"additionalProperties":false},{"type":"object","properties":{"kind":"""
            + """{"const":"square"},"side":{"type":["integer","null"],"minimum":1,"maximum":50}},"required":"""
            + """["kind","side"],"additionalProperties":false}]}""",
        """{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"boolean"},"c":{"const":"é\"x"}},"additionalProperties":"""
            + """{"type":"integer","minimum":-3,"maximum":3}}""",
        """{"allOf":[{"type":"object","properties":{"x":{"type":"integer","minimum":-10}},"required":["x"]},{"properties":{"x":"""
            + """{"maximum":10},"y":{"type":"string","minLength":1,"maxLength":3}}}]}""",
        """{"type":"array","prefixItems":[{"type":"string","format":"date"},{"type":"boolean"}],"items":false,"minItems":2}""",
    ];

    public static Constraint Schema(DemoBundle demo, string json) =>
        Constraint.Compile(Grammar.JsonSchema(JsonDocument.Parse(json).RootElement), demo.Target.Tokenizer);

    public static GenerationRequest Request(DemoBundle demo, Constraint constraint, SamplingParams sampling, int maxTokens = 48) => new()
    {
        Prompt = demo.Target.Tokenizer.Encode("# Answer as JSON\ndata = "),
        Constraint = constraint,
        Sampling = sampling,
        MaxTokens = maxTokens,
    };
}
