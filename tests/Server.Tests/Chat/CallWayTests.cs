using System.Text.Json;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using static Understory.Server.Tests.Chat.TalkTemplates;

namespace Understory.Server.Tests.Chat;

/// <summary>Calls in each model's own way: forced ones, and what templates and models do with their ways.</summary>
public sealed class CallWayTests
{
    public static TheoryData<string> Families => TalkTemplates.Families;

    [Theory]
    [MemberData(nameof(Families))]
    public void Forced_calls_are_written_in_the_models_own_way(string family)
    {
        ChatTemplate template = ChatTemplate.Parse(Source(family));
        var format = new ChatFormat(Demo, template);
        PreparedChat forced = format.Prepare(Ask with { ToolChoice = ToolChoice.Named("get_weather") });
        var call = new ToolCall("0", "get_weather", "{\"city\": \"Oslo\", \"days\": 2}");
        Assert.True(forced.Constraint!.Matches(format.Syntax.Write([call])));
        Assert.False(forced.Constraint.Matches(format.Syntax.Write([call with { Arguments = "{\"city\": \"Oslo\", \"days\": \"two\"}" }])));
        Assert.False(forced.Constraint.Matches("It is warm."));
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void No_argument_of_a_forced_call_is_named_twice(string family)
    {
        var format = new ChatFormat(Demo, ChatTemplate.Parse(Source(family)));
        PreparedChat forced = format.Prepare(Ask with
        {
            Tools = [new("f", null, JsonDocument.Parse("{\"type\": \"object\"}").RootElement)],
            ToolChoice = ToolChoice.Named("f"),
        });
        Assert.True(forced.Constraint!.Matches(format.Syntax.Write([new ToolCall("0", "f", "{\"a\": \"x\", \"b\": \"a\"}")])));
        Assert.False(forced.Constraint.Matches(format.Syntax.Write([new ToolCall("0", "f", "{\"a\": \"x\", \"a\": \"y\"}")])));
    }

    /// <summary>Where the template ends the calls behind a second one alone, a mark in its text tells of the way.</summary>
    [Fact]
    public void A_template_that_renders_half_a_call_is_known_by_its_marks()
    {
        string source = Source("deepseek").Replace("<｜tool▁calls▁end｜>", "", StringComparison.Ordinal);
        var format = new ChatFormat(Demo, ChatTemplate.Parse(source));
        Assert.Equal("deepseek", format.Syntax.Name);
        ChatTurn asked = new("assistant", "") { ToolCalls = [new ToolCall("1", "get_weather", "{\"city\": \"Oslo\"}")] };
        string prompt = Demo.Decode(format.Prepare(Ask with
        {
            Turns = [.. Ask.Turns, asked, new("tool", "warm") { ToolCallId = "1" }],
        }).Prompt);
        Assert.Contains("<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Oslo\"}\n```<｜tool▁call▁end｜>", prompt);
    }

    [Fact]
    public void Ids_of_calls_say_function_and_number_where_the_model_reads_the_name_from_them()
    {
        var format = new ChatFormat(Demo, ChatTemplate.Parse(Source("kimi") + "{% for m in messages %}{{ m.tool_call_id }}{% endfor %}"));
        ToolCall[] calls = [new("x", "get_weather", "{}"), new("y", "get_weather", "{}")];
        string prompt = Demo.Decode(format.Prepare(Ask with
        {
            Turns = [.. Ask.Turns, new("assistant", "") { ToolCalls = calls }, new("tool", "warm") { ToolCallId = "y" }],
        }).Prompt);
        Assert.Contains("<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{}<|tool_call_end|>", prompt);
        Assert.Contains("<|tool_call_begin|>functions.get_weather:1<|tool_call_argument_begin|>{}<|tool_call_end|>", prompt);
        Assert.EndsWith("functions.get_weather:1", prompt);
    }

    [Theory]
    [InlineData("deepseek", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n{\"city\": \"Oslo\"}"
        + "<｜tool▁call▁end｜><｜tool▁calls▁end｜>")]
    [InlineData("deepseek-v3.1", "<｜tool▁calls▁begin｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
        + "```json\n{\"city\": \"Oslo\"}\n```\n<｜tool▁call▁end｜>\n<｜tool▁calls▁end｜>")]
    [InlineData("kimi", "<|tool_calls_section_begin|><|tool_call_begin|>get_weather<|tool_call_argument_begin|> {\"city\": \"Oslo\"} "
        + "<|tool_call_end|><|tool_calls_section_end|>")]
    public void What_models_write_beside_their_template_is_read_as_well(string family, string written) => CheckCuts(
        new ChatFormat(Demo, ChatTemplate.Parse(Source(family))).Prepare(Ask).Answer, written, "", null, ["{\"city\": \"Oslo\"}"]);
}
