using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.Tests.Chat;

/// <summary>What a constrained answer may be is what the parser reads as such.</summary>
public sealed class AnswerGrammarTests
{
    private static readonly Tokenizer Demo = Tokenizer.Load(Standin.TokenizerFile);

    private static readonly Tool Weather = new(
        "get_weather", null,
        JsonDocument.Parse("{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\": \"integer\"}}, "
            + "\"required\": [\"city\", \"days\"], \"additionalProperties\": false}").RootElement);

    private static readonly Tool Now = new("now", null, Tool.NoParameters);
    private static readonly ToolCall Bern = new("1", "get_weather", "{\"city\": \"Bern\", \"days\": 2}");
    private static readonly ToolCall Clock = new("2", "now", "{}");

    private static readonly Conversation Both = new() { Turns = [new("user", "hi")], Tools = [Weather, Now] };

    private static PreparedChat Prepare(Conversation conversation, ToolSyntax? syntax = null, string? template = null) =>
        new ChatRenderer(Demo, template is null ? null : ChatTemplate.Parse(template), syntax: syntax).Prepare(conversation);

    private static Constraint Constrained(Conversation conversation, ToolSyntax? syntax = null, string? template = null)
    {
        Constraint? constraint = Prepare(conversation, syntax, template).Constraint;
        Assert.NotNull(constraint);
        return constraint;
    }

    public static TheoryData<string> Syntaxes => [.. ToolSyntax.All.Select(syntax => syntax.Name)];

    private static ToolSyntax Named(string name) => ToolSyntax.Named(name);

    /// <summary>What a form allows of written calls: of a message, not the mark that ends the turn.</summary>
    private static string Write(ToolSyntax syntax, params ToolCall[] calls) =>
        syntax.Write(calls) is var text && syntax.Channels is not null && syntax.Marker.Length == 0 ? text[..^syntax.Close!.Length] : text;

    [Fact]
    public void Nothing_is_constrained_that_was_not_asked_for()
    {
        Assert.Null(Prepare(Both).Constraint);
        Assert.Null(Prepare(Both with { ToolChoice = ToolChoice.None, Tools = [Weather with { Strict = true }] }).Constraint);
    }

    [Theory]
    [MemberData(nameof(Syntaxes))]
    public void Required_calls_are_calls_and_nothing_else(string name)
    {
        ToolSyntax syntax = Named(name);
        Constraint constraint = Constrained(Both with { ToolChoice = ToolChoice.Required }, syntax);
        Assert.True(constraint.Matches(Write(syntax, Bern)));
        Assert.True(constraint.Matches(Write(syntax, Clock)));
        Assert.Equal(!syntax.IsSingle, constraint.Matches(Write(syntax, Clock, Bern)));
        Assert.False(constraint.Matches(""));
        Assert.False(constraint.Matches("Hello"));
        Assert.False(constraint.Matches("x" + Write(syntax, Bern)));
        Assert.False(constraint.Matches(Write(syntax, Bern with { Arguments = "{\"days\": 2}" })));
        Assert.False(constraint.Matches(Write(syntax, Bern with { Name = "other" })));
    }

    [Theory]
    [MemberData(nameof(Syntaxes))]
    public void A_named_tool_is_called_once(string name)
    {
        ToolSyntax syntax = Named(name);
        Constraint constraint = Constrained(Both with { ToolChoice = ToolChoice.Named("now") }, syntax);
        Assert.True(constraint.Matches(Write(syntax, Clock)));
        Assert.False(constraint.Matches(Write(syntax, Bern)));
        Assert.False(constraint.Matches(Write(syntax, Clock, Clock)));
        constraint = Constrained(Both with { ToolChoice = ToolChoice.Required, ParallelToolCalls = false }, syntax);
        Assert.False(constraint.Matches(Write(syntax, Clock, Clock)));
    }

    [Theory]
    [MemberData(nameof(Syntaxes))]
    public void Strict_tools_bind_calls_and_leave_text_free(string name)
    {
        ToolSyntax syntax = Named(name);
        Constraint constraint = Constrained(Both with { Tools = [Weather with { Strict = true }, Now] }, syntax);
        string said = (syntax.Channels?.TextHead ?? "") + "Hello, 語.";
        Assert.True(constraint.Matches(said));
        Assert.True(constraint.Matches(Write(syntax, Bern)));
        string between = syntax.Channels is { } channels ? channels.MessageEnd + ChannelSyntax.Start : "\n";
        Assert.Equal(!syntax.BareAtStart, constraint.Matches(said + between + Write(syntax, Bern)) && !syntax.BareAtStart);
        Assert.False(constraint.Matches(Write(syntax, Bern with { Arguments = "{\"city\": \"Bern\"}" })));
    }

    [Fact]
    public void A_format_leaves_calls_possible()
    {
        Conversation conversation =
            Both with { Form = new JsonSchemaForm("response_format", JsonDocument.Parse("{\"type\": \"integer\"}").RootElement) };
        Constraint constraint = Constrained(conversation);
        Assert.True(constraint.Matches("5"));
        Assert.True(constraint.Matches(ToolSyntax.Hermes.Write([Bern])));
        Assert.False(constraint.Matches("five"));
        constraint = Constrained(conversation with { ToolChoice = ToolChoice.None });
        Assert.True(constraint.Matches("5"));
        Assert.False(constraint.Matches(ToolSyntax.Hermes.Write([Bern])));
    }

    [Fact]
    public void Thoughts_come_before_what_is_constrained()
    {
        const string Thinks = "{% for message in messages %}{{ message.content }}{% endfor %}{% if enable_thinking is defined %}<think>{% "
            + "endif %}{# </think> #}";
        Conversation conversation = new() { Turns = [new("user", "hi")], Form = new RegexForm("regex", "yes|no") };
        Constraint constraint = Constrained(conversation, template: Thinks);
        Assert.True(constraint.Matches("yes"));
        Assert.True(constraint.Matches("<think>\nHm <b>, no.\n</think>\n\nyes"));
        Assert.False(constraint.Matches("<think>\nyes"));
        constraint = Constrained(conversation with { Thinking = true }, template: Thinks);
        Assert.True(constraint.Matches("Hm.</think>yes"));
        Assert.False(constraint.Matches("yes"));
    }

    [Fact]
    public void A_schema_that_cannot_be_names_its_place()
    {
        Tool broken = Weather with
        {
            Parameters = JsonDocument.Parse("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"strng\"}}}").RootElement,
            Field = "tools[1].function.parameters",
        };
        var refusal = Assert.Throws<ChatException>(() => Prepare(Both with { Tools = [Now, broken], ToolChoice = ToolChoice.Required }));
        Assert.Equal("tools[1].function.parameters", refusal.Field);
        Assert.Contains("#/properties/a", refusal.Message);
        refusal = Assert.Throws<ChatException>(() => Prepare(Both with { Form = new RegexForm("guided_regex", "(") }));
        Assert.Equal("guided_regex", refusal.Field);
    }

    [Theory]
    [MemberData(nameof(Syntaxes))]
    public void What_a_form_allows_is_read_as_a_call(string name)
    {
        ToolSyntax syntax = Named(name);
        Tool wide = new("wide", null, JsonDocument.Parse("""
            {"type": "object", "properties": {"s": {"type": "string", "maxLength": 5}, "e": {"enum": ["a b", "c"]},
             "n": {"type": "number"}, "b": {"type": "boolean"}, "l": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
             "o": {"type": "object", "properties": {"k": {"type": "string", "maxLength": 3}}, "required": ["k"],
                   "additionalProperties": false},
             "u": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
             "t": {"$ref": "#/$defs/tree"}}, "required": ["e", "b"], "additionalProperties": false,
             "$defs": {"tree": {"type": "object", "properties": {"leaf": {"type": "boolean"}, "twigs": {"type": "array",
                 "items": {"$ref": "#/$defs/tree"}}}, "required": ["leaf"], "additionalProperties": false}}}
            """).RootElement);
        Constraint constraint = Constrained(Both with { Tools = [wide], ToolChoice = ToolChoice.Named("wide") }, syntax);
        string[] written =
        [
            """{"e": "a b", "b": true}""", """{"s": "x", "e": "c", "b": false, "u": null}""",
            """{"e": "c", "b": true, "t": {"leaf": false, "twigs": [{"leaf": true}, {"leaf": true, "twigs": []}]}}""",
            """{"e": "c", "n": -1.5, "b": true, "l": [1, 2]}""", """{"e": "c", "b": true, "l": [], "o": {"k": "v"}, "u": 7}""",
        ];
        Assert.All(written, arguments =>
        {
            string text = Write(syntax, new ToolCall("123456789", "wide", arguments));
            Assert.True(constraint.Matches(text), text);
            var parser = new AnswerParser(new AnswerSyntax(syntax, asked => asked == "wide" ? wide : null, true, () => "id")
            {
                Channels = syntax.Channels,
            });
            parser.Push(text);
            parser.Finish();
            string read = Assert.Single(parser.Answer.ToolCalls).Arguments;
            Assert.True(JsonNode.DeepEquals(JsonNode.Parse(arguments), JsonNode.Parse(read)), text);
        });
        Assert.False(constraint.Matches(Write(syntax, new ToolCall("123456789", "wide", """{"e": "d", "b": true}"""))));
        Assert.False(constraint.Matches(Write(syntax, new ToolCall("123456789", "wide", """{"b": true}"""))));
        Assert.False(constraint.Matches(Write(syntax, new ToolCall("123456789", "wide", """{"e": "c", "b": 5}"""))));
    }

    [Theory]
    [InlineData("{}", true)]
    [InlineData("{\"description\": \"any\"}", true)]
    [InlineData("true", true)]
    [InlineData("{\"type\": [\"string\", \"object\"]}", true)]
    [InlineData("{\"type\": \"string\"}", false)]
    [InlineData("{\"type\": [\"integer\", \"null\"]}", false)]
    [InlineData("false", false)]
    [InlineData("{\"enum\": [1, 2]}", false)]
    public void A_forced_call_is_a_call(string parameters, bool can)
    {
        Tool tool = Now with { Parameters = JsonDocument.Parse(parameters).RootElement };
        Conversation forced = Both with { Tools = [tool], ToolChoice = ToolChoice.Required };
        if (can)
        {
            Constraint constraint = Constrained(forced);
            Assert.True(constraint.Matches(ToolSyntax.Hermes.Write([Clock])));
            Assert.False(constraint.Matches(ToolSyntax.Hermes.Write([Clock with { Arguments = "5" }])));
            Assert.False(constraint.Matches(ToolSyntax.Hermes.Write([Clock with { Arguments = "\"x\"" }])));
        }
        else
        {
            Assert.StartsWith("tools", Assert.Throws<ChatException>(() => Prepare(forced)).Field);
        }
    }

    [Fact]
    public void The_same_request_gets_the_same_constraint()
    {
        var format = new ChatRenderer(Demo, null);
        Conversation conversation = Both with { ToolChoice = ToolChoice.Required };
        Assert.Same(format.Prepare(conversation).Constraint, format.Prepare(conversation with { Turns = [new("user", "bye")] }).Constraint);
        Assert.NotSame(format.Prepare(conversation).Constraint, format.Prepare(conversation with { Tools = [Now] }).Constraint);
    }
}
