using System.Text.Json;
using Understory.Decoding.Constraints;
using static Understory.Decoding.Tests.Constraints.Grammars;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>Texts that a schema's grammar allows and refuses.</summary>
public class SchemaTextTests
{
    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}""",
        """{"a": 1}|{"a": -20, "b": "x\n"}""", """{}|{"b": "x"}|{"a":1}|{"a": 1, "c": 2}|{"b": "x", "a": 1}|{"a": 01}|{"a": 1 }""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"null"}},"additionalProperties":"""
        + """{"type":"boolean"}}""", """{}|{"a": null}|{"a": null, "b": true}|{"ab": false}|{"": true, "aa": false}""",
        """{"a": true}|{"b": null}|{"b": true, "a": null}""")]
    [InlineData("""{"type":"array","items":{"type":"integer","minimum":3,"maximum":120},"minItems":1,"maxItems":3}""",
        "[3]|[120, 4]|[99, 100, 7]", "[]|[2]|[121]|[3, 3, 3, 3]|[-3]|[03]")]
    [InlineData("""{"type":"array","prefixItems":[{"type":"string"},{"type":"null"}],"items":false}""", """[]|["a"]|["a", null]""",
        """[null]|["a", null, 1]""")]
    [InlineData("""{"prefixItems":[{"type":"string"}],"items":{"type":"boolean"},"minItems":2}""", """["a", true]|["a", true, false]""",
        """["a"]|[]|["a", 1]""")]
    [InlineData("""{"enum":["a",1,null,{"x":[1,2]}]}""", "\"a\"|1|null|{\"x\": [1, 2]}", "\"b\"|2|{\"x\": [1]}")]
    [InlineData("""{"type":"string","enum":["a",1,"bb"],"maxLength":1}""", "\"a\"", "\"bb\"|1")]
    [InlineData("""{"const":"é\"\\"}""", "\"é\\\"\\\\\"", "\"e\"")]
    [InlineData("""{"type":["string","null"],"minLength":2,"maxLength":3}""", "null|\"ab\"|\"日本語\"|\"\\n\\n\"",
        "\"a\"|\"abcd\"|\"日本語x\"|\"\\n\"")]
    [InlineData("""{"type":"string","pattern":"^[a-c]+$","maxLength":2}""", "\"a\"|\"cb\"", "\"\"|\"abc\"|\"d\"")]
    [InlineData("""{"type":"string","pattern":"b\"c"}""", "\"b\\\"c\"|\"xxb\\\"cyy\"", "\"bc\"")]
    [InlineData("""{"type":"string","format":"date"}""", "\"2024-02-29\"|\"1999-12-31\"", "\"2023-02-29\"|\"2024-13-01\"|\"2024-1-1\"")]
    [InlineData("""{"type":"string","format":"ipv4"}""", "\"0.10.255.199\"", "\"256.1.1.1\"|\"1.2.3\"")]
    [InlineData("""{"type":"integer","exclusiveMinimum":-5,"maximum":12}""", "-4|-1|0|9|12", "-5|13|-0|1.5")]
    [InlineData("""{"type":"integer","minimum":1.5}""", "2|10|123456789", "1|0|-3")]
    [InlineData("""{"type":"number","minimum":-1.5,"exclusiveMaximum":2.25}""", "-1.5|-1.49|0|2|2.2499|2.0|-0.001|1.999",
        "-1.51|2.25|2.250|-2|3|-0|1e5")]
    [InlineData("""{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}""", "0.1|0.999|0.001", "0|1|0.0|1.0|-0.5")]
    [InlineData("""{"type":"number"}""", "0|-1.5e+10|12.25|1E9", "01|.5|1.|+1|1e999")]
    [InlineData("""{"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]}""", "5|\"a\"", "\"ab\"|true")]
    [InlineData("""{"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},{"type":"object","properties":{"k":"""
        + """{"const":"b"},"n":{"type":"null"}},"required":["k","n"]}]}""", """{"k": "a"}|{"k": "b", "n": null}""",
        """{"k": "b"}|{"k": "a", "n": null}""")]
    [InlineData("""{"allOf":[{"properties":{"a":{"minimum":3}},"required":["a"]},{"properties":{"a":{"type":"integer","maximum":4}}}]}""",
        """{"a": 3}|{"a": 4}""", """{"a": 2}|{"a": 5}|{}""")]
    [InlineData("""{"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},"l":"""
        + """{"$ref":"#/$defs/t"}},"required":["v"],"additionalProperties":false}}}""", """{"v": 1}|{"v": 1, "l": {"v": 2, "l": """
        + """{"v": 3}}}""", """{"l": {"v": 1}}|{"v": 1, "l": {}}""")]
    [InlineData("""{"type":"object","properties":{"a":{"$ref":"#"},"b":true}}""", """{}|{"a": {"a": {}}, "b": [1, {"x": null}]}""",
        """{"a": 1}""")]
    [InlineData("""{"type":"object","properties":{"a":{"$ref":"#/$defs/u"}},"$defs":{"u":"""
        + """{"anyOf":[{"type":"integer"},{"type":"null"}]}}}""", """{}|{"a": 1}|{"a": null}""", """{"a": "x"}|{"b": 1}""")]
    [InlineData("""{"$ref":"#/$defs/u","$defs":{"u":{"oneOf":[{"$ref":"#/$defs/i"},{"type":"null"}]},"i":{"allOf":[{"type":"integer"},"""
        + """{"minimum":3}]}}}""", "3|null", "2|\"x\"")]
    [InlineData("""{"type":"string","allOf":[{"anyOf":[{"maxLength":1},{"pattern":"^ab+$"}]},{"anyOf":[{"pattern":"^a"},"""
        + """{"const":"z"}]}]}""",
        "\"a\"|\"z\"|\"abb\"", "\"b\"|\"ba\"|\"zz\"")]
    [InlineData("""{"$ref":"#/$defs/e","$defs":{"e":{"anyOf":[{"type":"integer"},{"$ref":"#/$defs/e"},{"type":"array","items":"""
        + """{"$ref":"#/$defs/e"}}]}}}""", "1|[]|[1, [2, []]]", "null|[null]|[[1], true]")]
    [InlineData("""{"$defs":{"cat":{"properties":{"kind":{"const":"cat","default":"cat"},"name":{"type":"string"}},"type":"object"}"""
        + """, "dog":{"properties":{"kind":{"const":"dog","default":"dog"}},"type":"object"}},"discriminator":{"propertyName":"kind"}"""
        + """, "oneOf":[{"$ref":"#/$defs/cat"},{"$ref":"#/$defs/dog"}]}""",
        """{"kind": "cat"}|{"kind": "dog"}|{"kind": "cat", "name": "x"}""",
        """{}|{"name": "x"}|{"kind": "dog", "name": "x"}""")]
    [InlineData("""{"anyOf":[{"type":"integer"},{"minLength":2}],"oneOf":[{"type":"number","maximum":3},{"type":"string"}]}""",
        "3|-1|\"ab\"", "4|\"a\"")]
    [InlineData("""{"type":"string","format":"ipv6","maxLength":7}""", "\"::1\"|\"1::2\"|\"::\"", "\"fe80::1:2\"|\"1:2\"|\"1:::2\"")]
    [InlineData("""{"type":"integer","enum":[123456789012345678901234567890123,1.5,20.0,1e2,7]}""",
        "123456789012345678901234567890123|20.0|1e2|7", "1.5|12345678901234567890123456789012")]
    [InlineData("""{"type":"integer","enum":[123456789012345678901234567890123,5],"minimum":123456789012345678901234567890123}""",
        "123456789012345678901234567890123", "5")]
    [InlineData("""{"type":"integer","minimum":18446744073709551615,"maximum":18446744073709551620}""",
        "18446744073709551615|18446744073709551620", "18446744073709551614|18446744073709551621|1")]
    [InlineData("""{"type":"number","minimum":-1.7976931348623157e308,"exclusiveMaximum":1e-3}""", "0|0.0009|-12345", "0.001|1")]
    [InlineData("""{"type":"object","propertyNames":{"type":"string"},"additionalProperties":{"type":"integer"}}""", """{}|{"a": 1}""",
        """{"a": "x"}""")]
    [InlineData("""{"type":"string","format":"regex","maxLength":3}""", "\"(\"|\"a+\"", "\"abcd\"|1")]
    [InlineData("""{"$ref":"/$defs/S","$defs":{"S":{"const":3}}}""", "3", "4")]
    [InlineData("true", "1|{\"a\": []}|[[], [true]]", "tru|[1 ]")]
    public void A_schema_allows_what_validates_and_nothing_else(string schema, string allowed, string refused)
    {
        Constraint constraint = Compile(Schema(schema));
        Assert.All(allowed.Split('|'), text => Assert.True(constraint.Matches(text), text));
        Assert.All(refused.Split('|'), text => Assert.False(constraint.Matches(text), text));
    }

    [Theory]
    [InlineData("""{"properties":{"a":{"not":{}}}}""", "#/properties/a/not", "'not'")]
    [InlineData("""{"items":{"multipleOf":3}}""", "#/items/multipleOf", "'multipleOf'")]
    [InlineData("""{"type":"strng"}""", "#/type", "strng")]
    [InlineData("""{"$ref":"http://x/y"}""", "#/$ref", "same schema")]
    [InlineData("""{"$ref":"#/$defs/x"}""", "#/$ref", "points to nothing")]
    [InlineData("""{"type":"string","pattern":"(?=a)b"}""", "#/pattern, character 1", "look-ahead")]
    [InlineData("""{"oneOf":[{"type":"integer"},{"type":"number"}]}""", "#/oneOf", "0 and 1")]
    [InlineData("""{"minItems":-1,"type":"array"}""", "#/minItems", "whole number")]
    [InlineData("""{"type":"object","properties":[],"required":["a"]}""", "#/properties", "an object of schemas is expected, not []")]
    [InlineData("""{"properties":{"a":{"required":true}}}""", "#/properties/a/required", "array of strings")]
    [InlineData("""{"items":{"enum":"a"}}""", "#/items/enum", "an array is expected")]
    [InlineData("""{"anyOf":{"type":"null"}}""", "#/anyOf", "an array of schemas")]
    [InlineData("""{"type":{"a":1}}""", "#/type", "a type or an array of types")]
    [InlineData("""{"$ref":7}""", "#/$ref", "a string")]
    [InlineData("""{"properties":{"a/b":5}}""", "#/properties/a~1b", "schema")]
    [InlineData("""{"minLength":1000000,"type":"string"}""", "#/minLength", "2000")]
    public void What_cannot_be_honoured_is_refused_by_its_path(string schema, string path, string says)
    {
        GrammarException refusal = Assert.Throws<GrammarException>(() => Compile(Schema(schema)));
        Assert.Equal(path, refusal.Path);
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"type":"integer","minimum":5,"maximum":4}""")]
    [InlineData("""{"allOf":[{"type":"integer"},{"type":"string"}]}""")]
    [InlineData("""{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}""")]
    public void A_schema_that_nothing_satisfies_is_refused(string schema) =>
        Assert.Contains("allows no text", Assert.Throws<GrammarException>(() => Compile(Schema(schema))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"type":"integer","multipleOf":3}},"not":{"required":["b"]}}""", """{"a": 4}""")]
    [InlineData("""{"oneOf":[{"type":"integer"},{"type":"number"}]}""", "1.5")]
    [InlineData("""{"type":"string","pattern":"(?=a)b","maxLength":1}""", "\"x\"")]
    [InlineData("""{"$ref":"http://x/y"}""", "[1]")]
    public void Loosely_what_cannot_be_held_is_passed_over(string schema, string allowed)
    {
        Assert.Throws<GrammarException>(() => Compile(Schema(schema)));
        Grammar loose = Grammar.JsonSchema(JsonDocument.Parse(schema).RootElement, loosely: true);
        Assert.True(Matches(loose, allowed));
        Assert.False(Matches(loose, "{"));
    }

    [Fact]
    public void Even_loosely_a_wrong_kind_is_refused()
    {
        JsonElement schema = JsonDocument.Parse("""{"properties":[]}""").RootElement;
        Assert.Equal("#/properties", Assert.Throws<GrammarException>(() => Grammar.JsonSchema(schema, loosely: true)).Path);
    }

    [Fact]
    public void A_free_object_may_be_laid_out_in_lines()
    {
        Constraint constraint = Compile(Grammar.JsonObject());
        Assert.All(["{}", "{ }", "{\"a\":1}", "{\n  \"a\": [1, 2],\n  \"b\": {\"c\": null}\n}"], text =>
            Assert.True(constraint.Matches(text), text));
        Assert.All(["", "[]", "1", "{\"a\":  1}", "{,}", "{\"a\": 1,}", "{}\n"], text => Assert.False(constraint.Matches(text), text));
    }
}
