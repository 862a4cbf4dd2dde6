using System.Text;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Anthropic;
using Understory.Server.Chat;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Anthropic;

public sealed class MessagesRequestTests
{
    private const string Hi = "\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]";
    private const string Tools = "\"tools\": [{\"name\": \"f\", \"input_schema\": {\"type\": \"object\"}, \"cache_control\": {\"type\": "
        + "\"ephemeral\"}}, {\"type\": \"custom\", \"name\": \"g\", \"input_schema\": {}, \"strict\": true}]";

    private static ChatCall Read(string fields) => Fields.Read(Encoding.UTF8.GetBytes($"{{{fields}}}"), body =>
        MessagesRequest.Read(body, new RequestContext(new GenerationDefaults(), 4096, SpeculationMode.Auto)));

    private static string Turns(string fields) => string.Join(" | ", Read($"\"max_tokens\": 5, {fields}").Conversation.Turns.Select(turn =>
        $"{turn.Role}:{turn.Content}{string.Concat(turn.ToolCalls.Select(call => $"<{call.Id} {call.Name} {call.Arguments}>"))}"
            + $"{(turn.Reasoning is { } r ? $"({r})" : "")}{(turn.ToolCallId is { } id ? $"[{id} {turn.Name}]" : "")}"));

    [Theory]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"system\": \"s\"", "system:s | user:a")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, {\"type\": \"text\", \"text\": "
        + "\"b\"}]}], \"system\": [{\"type\": \"text\", \"text\": \"s\"}, {\"type\": \"text\", \"text\": \"t\"}]", "system:s\nt | user:ab")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, {\"role\": "
        + "\"system\", \"content\": \"c\"}]", "user:a | assistant:b | system:c")]
    public void System_and_messages_become_turns(string fields, string expected) => Assert.Equal(expected, Turns(fields));

    [Fact]
    public void Thoughts_calls_and_results_stand_where_templates_look_for_them()
    {
        const string Messages =
            "{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": [{\"type\": \"thinking\", \"thinking\": "
                + "\"hm\", \"signature\": \"\"}, {\"type\": \"redacted_thinking\", \"data\": \"x\"}, "
            + "{\"type\": \"text\", \"text\": \"See.\"}, {\"type\": \"tool_use\", \"id\": \"t1\", \"name\": \"f\", \"input\": {\"a\": "
            + "1}}, {\"type\": \"tool_use\", \"id\": \"t2\", \"name\": \"g\", \"input\": {}}]}, "
            + "{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\", \"tool_use_id\": \"t1\", \"content\": \"one\"}, {\"type\": "
            + "\"tool_result\", \"tool_use_id\": \"t2\", \"content\": [{\"type\": \"text\", \"text\": \"two\"}], \"is_error\": true}, "
            + "{\"type\": \"text\", \"text\": \"go on\"}]}";
        Assert.Equal(
            "user:q | assistant:See.<t1 f {\"a\": 1}><t2 g {}>(hm) | tool:one[t1 f] | tool:Error: two[t2 g] | user:go on",
            Turns($"\"messages\": [{Messages}]"));
    }

    [Theory]
    [InlineData("{\"type\": \"auto\"}", ToolChoiceMode.Auto, null, true)]
    [InlineData("{\"type\": \"none\"}", ToolChoiceMode.None, null, true)]
    [InlineData("{\"type\": \"any\", \"disable_parallel_tool_use\": true}", ToolChoiceMode.Required, null, false)]
    [InlineData("{\"type\": \"tool\", \"name\": \"g\"}", ToolChoiceMode.Required, "g", true)]
    public void The_choice_of_tools_is_read(string choice, ToolChoiceMode mode, string? name, bool parallel)
    {
        Conversation conversation = Read($"{Hi}, {Tools}, \"tool_choice\": {choice}").Conversation;
        Assert.Equal((mode, name, parallel),
            (conversation.ToolChoice.Mode, conversation.ToolChoice.Names?.Single(), conversation.ParallelToolCalls));
        Assert.Equal([("f", false), ("g", true)], conversation.Tools.Select(tool => (tool.Name, tool.Strict)));
    }

    [Theory]
    [InlineData("{\"type\": \"enabled\", \"budget_tokens\": 1024}", true)]
    [InlineData("{\"type\": \"adaptive\", \"display\": \"omitted\"}", true)]
    [InlineData("{\"type\": \"disabled\"}", false)]
    [InlineData("null", null)]
    public void Thinking_is_asked_for_or_not(string thinking, bool? expected)
    {
        Assert.Equal(expected, Read($"{Hi}, \"thinking\": {thinking}").Conversation.Thinking);
    }

    [Fact]
    public void Sampling_stops_and_format_are_read()
    {
        ChatCall request = Read($"{Hi}, \"temperature\": 0.5, \"top_p\": 0.25, \"top_k\": 7, \"seed\": 3, \"stop_sequences\": "
            + "[\"a\", \"b\"], \"output_config\": {\"effort\": \"low\", \"format\": {\"type\": \"json_schema\", \"schema\": {\"type\": "
            + "\"object\"}}}");
        Assert.Equal((0.5f, 0.25f, 7, 3ul),
            (request.Generation.Sampling.Temperature, request.Generation.Sampling.TopP, request.Generation.Sampling.TopK,
                request.Generation.Sampling.Seed));
        Assert.Equal(["a", "b"], request.Generation.Stop);
        Assert.Equal("low", request.Conversation.Effort);
        Assert.IsType<JsonSchemaForm>(request.Conversation.Form);
        Assert.Equal(5, request.Generation.MaxTokens);
    }

    [Theory]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]", "max_tokens", "missing")]
    [InlineData("\"max_tokens\": 5", "messages", "missing")]
    [InlineData("\"max_tokens\": 5, \"messages\": []", "messages", "an array of 0")]
    [InlineData("\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"assistant\", "
        + "\"content\": [{\"type\": \"tool_use\", \"id\": \"t\", \"name\": \"f\", \"input\": {}}]}]", "messages", "send its result")]
    [InlineData("\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": []}]", "messages[0].content", "at least one")]
    [InlineData("\"max_tokens\": 5, \"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}, {\"role\": \"user\", "
        + "\"content\": []}]", "messages[1].content", "at least one")]
    [InlineData(Hi + ", \"compaction\": {\"type\": \"summarize\"}", "compaction", "compacts no contexts")]
    [InlineData("\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]", "messages[0].content[0]",
        "image")]
    [InlineData("\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"document\", \"source\": {\"type\": "
        + "\"url\"}}]}]",
        "messages[0].content[0]", "document")]
    [InlineData("\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\", \"tool_use_id\": "
        + "\"t\"}]}]", "messages[0].content[0].tool_use_id", "no tool_use")]
    [InlineData(Hi + ", \"tools\": [{\"type\": \"web_search_20250305\", \"name\": \"web_search\"}], \"tool_choice\": {\"type\": "
        + "\"tool\", \"name\": \"web_search\"}", "tool_choice", "does not run")]
    [InlineData(Hi + ", \"tools\": [{\"name\": \"f\"}]", "tools[0].input_schema", "JSON schema")]
    [InlineData(Hi + ", \"tool_choice\": {\"type\": \"any\"}", "tool_choice", "there are no tools")]
    [InlineData(Hi + ", \"tool_choice\": {\"type\": \"tool\", \"name\": \"h\"}", "tool_choice", "\"h\"")]
    [InlineData(Hi + ", \"stop_sequences\": [\"\"]", "stop_sequences[0]", "not empty")]
    [InlineData(Hi + ", \"thinking\": {\"type\": \"deep\"}", "thinking.type", "adaptive")]
    [InlineData(Hi + ", \"mcp_servers\": [{}]", "mcp_servers", "not supported")]
    [InlineData(Hi + ", \"container\": \"c\"", "container", "not supported")]
    public void What_cannot_be_names_the_field_and_the_remedy(string fields, string name, string says)
    {
        ApiException refusal = Assert.Throws<ApiException>(() => Read(fields));
        Assert.Equal((400, name), (refusal.Status, refusal.Body.Error.Param));
        Assert.Contains(says, refusal.Message);
    }
}
