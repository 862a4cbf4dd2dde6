using System.Text;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Chat;
using Understory.Server.OpenAi;
using Understory.Server.OpenAi.Responses;
using Understory.Server.Wire;

namespace Understory.Server.Tests.OpenAi.Responses;

public sealed class ResponsesRequestTests
{
    private const string Tools = "\"tools\": [{\"type\": \"function\", \"name\": \"f\", \"parameters\": {\"type\": \"object\"}}, "
        + "{\"type\": \"function\", \"name\": \"g\", \"strict\": true}]";

    private static ChatCall Read(string fields) => Fields.Read(Encoding.UTF8.GetBytes($"{{{fields}}}"), body =>
        ResponsesRequest.Read(body, new RequestContext(new GenerationDefaults(), 4096, SpeculationMode.Auto)));

    private static string Turns(string fields) => string.Join(" | ", Read(fields).Conversation.Turns.Select(turn =>
        $"{turn.Role}:{turn.Content}{string.Concat(turn.ToolCalls.Select(call => $"<{call.Id} {call.Name} {call.Arguments}>"))}"
            + $"{(turn.Reasoning is { } r ? $"({r})" : "")}{(turn.ToolCallId is { } id ? $"[{id} {turn.Name}]" : "")}"));

    [Theory]
    [InlineData("\"input\": \"hi\"", "user:hi")]
    [InlineData("\"input\": \"hi\", \"instructions\": \"Be brief.\"", "system:Be brief. | user:hi")]
    [InlineData("\"input\": [{\"role\": \"developer\", \"content\": \"a\"}, {\"type\": \"message\", \"role\": \"user\", \"content\": "
        + "[{\"type\": \"input_text\", \"text\": \"b\"}, {\"type\": \"input_text\", \"text\": \"c\"}]}]", "system:a | user:bc")]
    [InlineData("\"input\": [{\"role\": \"assistant\", \"content\": [{\"type\": \"output_text\", \"text\": \"b\", \"annotations\": []}, "
        + "{\"type\": \"refusal\", \"refusal\": \"no\"}]}, {\"role\": \"user\", \"content\": \"c\"}]", "assistant:bno | user:c")]
    public void Input_and_instructions_become_turns(string fields, string expected) => Assert.Equal(expected, Turns(fields));

    [Fact]
    public void What_an_assistant_thought_said_and_called_is_one_turn()
    {
        const string Items =
            "{\"role\": \"user\", \"content\": \"q\"}, {\"type\": \"reasoning\", \"id\": \"rs\", \"summary\": [], \"content\": "
                + "[{\"type\": \"reasoning_text\", \"text\": \"hm\"}]}, "
            + "{\"type\": \"message\", \"role\": \"assistant\", \"content\": [{\"type\": \"output_text\", \"text\": \"See.\"}]}, "
            + "{\"type\": \"function_call\", \"call_id\": \"c1\", \"name\": \"f\", \"arguments\": \"{}\"}, {\"type\": \"function_call\", "
            + "\"call_id\": \"c2\", \"name\": \"g\", \"arguments\": \"{}\"}, "
            + "{\"type\": \"function_call_output\", \"call_id\": \"c2\", \"output\": \"two\"}, {\"type\": \"function_call_output\", "
            + "\"call_id\": \"c1\", \"output\": [{\"type\": \"input_text\", \"text\": \"one\"}]}";
        Assert.Equal("user:q | assistant:See.<c1 f {}><c2 g {}>(hm) | tool:two[c2 g] | tool:one[c1 f]", Turns($"\"input\": [{Items}]"));
    }

    [Fact]
    public void Reasoning_that_cannot_be_read_is_passed_over() => Assert.Equal(
        "user:q | assistant:a | user:b",
        Turns("\"input\": [{\"role\": \"user\", \"content\": \"q\"}, {\"type\": \"reasoning\", \"id\": \"rs\", \"summary\": [], "
            + "\"encrypted_content\": \"x\"}, {\"role\": \"assistant\", \"content\": \"a\"}, {\"role\": \"user\", \"content\": \"b\"}]"));

    [Theory]
    [InlineData("\"auto\"", ToolChoiceMode.Auto, null)]
    [InlineData("\"none\"", ToolChoiceMode.None, null)]
    [InlineData("\"required\"", ToolChoiceMode.Required, null)]
    [InlineData("{\"type\": \"function\", \"name\": \"g\"}", ToolChoiceMode.Required, "g")]
    [InlineData("{\"type\": \"allowed_tools\", \"mode\": \"auto\", \"tools\": [{\"type\": \"function\", \"name\": \"f\"}]}",
        ToolChoiceMode.Auto, "f")]
    public void The_choice_of_tools_is_read(string choice, ToolChoiceMode mode, string? name)
    {
        Conversation conversation = Read($"\"input\": \"x\", {Tools}, \"tool_choice\": {choice}").Conversation;
        Assert.Equal(mode, conversation.ToolChoice.Mode);
        Assert.Equal(name, conversation.ToolChoice.Names?.Single());
        Assert.Equal([("f", false), ("g", true)], conversation.Tools.Select(tool => (tool.Name, tool.Strict)));
    }

    [Fact]
    public void Effort_format_and_lengths_reach_the_conversation()
    {
        ChatCall request = Read("\"input\": \"x\", \"reasoning\": {\"effort\": \"none\"}, \"text\": {\"format\": {\"type\": "
            + "\"json_schema\", \"name\": \"n\", \"schema\": {\"type\": \"object\"}}}, \"max_output_tokens\": 7, \"top_logprobs\": 3");
        Assert.False(request.Conversation.Thinking);
        Assert.Equal("object", Assert.IsType<JsonSchemaForm>(request.Conversation.Form).Schema.GetProperty("type").GetString());
        Assert.Equal((7, 3, 1), (request.Generation.MaxTokens, request.TopLogProbs, request.Generation.Choices));
        Assert.IsType<JsonObjectForm>(Read("\"input\": \"x\", \"text\": {\"format\": {\"type\": \"json_object\"}}").Conversation.Form);
        Assert.Equal("minimal", Read("\"input\": \"x\", \"reasoning\": {\"effort\": \"minimal\"}").Conversation.Effort);
        Assert.Equal(-1, Read("\"input\": \"x\"").TopLogProbs);
    }

    [Theory]
    [InlineData("\"model\": \"m\"", "input", "missing")]
    [InlineData("\"input\": []", "input", "an array of 0")]
    [InlineData("\"input\": [5]", "input[0]", "5")]
    [InlineData("\"input\": [{\"role\": \"robot\", \"content\": \"x\"}]", "input[0].role", "robot")]
    [InlineData("\"input\": [{\"role\": \"user\", \"content\": [{\"type\": \"input_image\", \"image_url\": \"x\"}]}]",
        "input[0].content[0]",
        "input_image")]
    [InlineData("\"input\": [{\"type\": \"item_reference\", \"id\": \"x\"}]", "input[0].id", "send the item itself")]
    [InlineData("\"input\": [{\"type\": \"telepathy_call\"}]", "input[0].type", "telepathy_call")]
    [InlineData("\"input\": [{\"type\": \"function_call_output\", \"call_id\": \"c\", \"output\": \"x\"}]", "input[0].call_id",
        "no function_call")]
    [InlineData("\"input\": \"x\", \"tools\": [{\"type\": \"web_search\"}], \"tool_choice\": \"required\"", "tool_choice",
        "there are no tools")]
    [InlineData("\"input\": \"x\", \"tools\": [{\"type\": \"web_search\"}], \"tool_choice\": {\"type\": \"web_search\"}", "tool_choice",
        "does not run")]
    [InlineData("\"input\": \"x\", \"tools\": [{\"type\": \"function\"}]", "tools[0].name", "missing")]
    [InlineData("\"input\": \"x\", \"tool_choice\": \"required\"", "tool_choice", "there are no tools")]
    [InlineData("\"input\": \"x\", \"tool_choice\": {\"type\": \"function\", \"name\": \"h\"}", "tool_choice", "h")]
    [InlineData("\"input\": \"x\", \"tool_choice\": {\"type\": \"mcp\"}", "tool_choice", "mcp")]
    [InlineData("\"input\": \"x\", \"include\": [\"everything\"]", "include[0]", "everything")]
    [InlineData("\"input\": \"x\", \"text\": {\"format\": {\"type\": \"xml\"}}", "text.format.type", "json_schema")]
    [InlineData("\"input\": \"x\", \"reasoning\": {\"effort\": \"huge\"}", "reasoning.effort", "huge")]
    [InlineData("\"input\": \"x\", \"metadata\": {\"a\": 1}", "metadata.a", "a string")]
    [InlineData("\"input\": \"x\", \"background\": true", "background", "not supported")]
    [InlineData("\"input\": \"x\", \"previous_response_id\": \"resp_1\"", "previous_response_id", "send the earlier items")]
    [InlineData("\"input\": \"x\", \"conversation\": \"conv_1\"", "conversation", "send the earlier items")]
    public void What_cannot_be_names_the_field_and_the_remedy(string fields, string name, string says)
    {
        ApiException refusal = Assert.Throws<ApiException>(() => Read(fields));
        Assert.Equal((400, name), (refusal.Status, refusal.Body.Error.Param));
        Assert.Contains(says, refusal.Message);
    }
}
