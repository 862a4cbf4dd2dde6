using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Chat;

/// <summary>What a constrained answer may be is what the parser reads as such.</summary>
public sealed class AnswerGrammarTests
{
    private static readonly Tokenizer Demo = Tokenizer.Load(Path.Combine(DemoBundle.Target, "tokenizer.json"));

    private static readonly Tool Weather = new(
        "get_weather", null,
        JsonDocument.Parse("{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\": \"integer\"}}, "
            + "\"required\": [\"city\", \"days\"], \"additionalProperties\": false}").RootElement);

    private static readonly Tool Now = new("now", null, Tool.NoParameters);
    private static readonly ToolCall Bern = new("1", "get_weather", "{\"city\": \"Bern\", \"days\": 2}");
    private static readonly ToolCall Clock = new("2", "now", "{}");

    private static readonly Conversation Both = new() { Turns = [new("user", "hi")], Tools = [Weather, Now] };

    private static PreparedChat Prepare(Conversation conversation, ToolSyntax? syntax = null, string? template = null) =>
        new ChatFormat(Demo, template is null ? null : ChatTemplate.Parse(template), syntax: syntax).Prepare(conversation);

    private static Constraint Constrained(Conversation conversation, ToolSyntax? syntax = null, string? template = null)
    {
        Constraint? constraint = Prepare(conversation, syntax, template).Constraint;
        Assert.NotNull(constraint);
        return constraint;
    }

    public static TheoryData<string> Syntaxes => [.. ToolSyntax.All.Select(syntax => syntax.Name)];

    private static ToolSyntax Named(string name) => ToolSyntax.All.Single(syntax => syntax.Name == name);

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
        Assert.True(constraint.Matches(syntax.Write([Bern])));
        Assert.True(constraint.Matches(syntax.Write([Clock])));
        Assert.Equal(!syntax.BareAtStart, constraint.Matches(syntax.Write([Clock, Bern])));
        Assert.False(constraint.Matches(""));
        Assert.False(constraint.Matches("Hello"));
        Assert.False(constraint.Matches("x" + syntax.Write([Bern])));
        Assert.False(constraint.Matches(syntax.Write([Bern with { Arguments = "{\"city\": 5, \"days\": 2}" }])));
        Assert.False(constraint.Matches(syntax.Write([Bern with { Name = "other" }])));
    }

    [Theory]
    [MemberData(nameof(Syntaxes))]
    public void A_named_tool_is_called_once(string name)
    {
        ToolSyntax syntax = Named(name);
        Constraint constraint = Constrained(Both with { ToolChoice = ToolChoice.Named("now") }, syntax);
        Assert.True(constraint.Matches(syntax.Write([Clock])));
        Assert.False(constraint.Matches(syntax.Write([Bern])));
        Assert.False(constraint.Matches(syntax.Write([Clock, Clock])));
        constraint = Constrained(Both with { ToolChoice = ToolChoice.Required, ParallelToolCalls = false }, syntax);
        Assert.False(constraint.Matches(syntax.Write([Clock, Clock])));
    }

    [Theory]
    [MemberData(nameof(Syntaxes))]
    public void Strict_tools_bind_calls_and_leave_text_free(string name)
    {
        ToolSyntax syntax = Named(name);
        Constraint constraint = Constrained(Both with { Tools = [Weather with { Strict = true }, Now] }, syntax);
        Assert.True(constraint.Matches("Hello, 語."));
        Assert.True(constraint.Matches(syntax.Write([Bern])));
        Assert.Equal(!syntax.BareAtStart, constraint.Matches("I look.\n" + syntax.Write([Bern])) && !syntax.BareAtStart);
        Assert.False(constraint.Matches(syntax.Write([Bern with { Arguments = "{\"city\": \"Bern\"}" }])));
    }

    [Fact]
    public void A_format_leaves_calls_possible()
    {
        Conversation conversation =
            Both with { Format = new JsonSchemaFormat("response_format", JsonDocument.Parse("{\"type\": \"integer\"}").RootElement) };
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
        Conversation conversation = new() { Turns = [new("user", "hi")], Format = new RegexFormat("regex", "yes|no") };
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
        refusal = Assert.Throws<ChatException>(() => Prepare(Both with { Format = new RegexFormat("guided_regex", "(") }));
        Assert.Equal("guided_regex", refusal.Field);
    }

    [Fact]
    public void The_same_request_gets_the_same_constraint()
    {
        var format = new ChatFormat(Demo, null);
        Conversation conversation = Both with { ToolChoice = ToolChoice.Required };
        Assert.Same(format.Prepare(conversation).Constraint, format.Prepare(conversation with { Turns = [new("user", "bye")] }).Constraint);
        Assert.NotSame(format.Prepare(conversation).Constraint, format.Prepare(conversation with { Tools = [Now] }).Constraint);
    }
}
