using System.ClientModel;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using OpenAI;
using OpenAI.Chat;

namespace Understory.Server.Tests.Clients;

/// <summary>
/// Tools and structured outputs with the official clients, unchanged. The demo model has never seen a tool: the constraint makes it call
/// one.
/// </summary>
[Collection(DemoCollection.Name)]
public sealed class OpenAiToolTests(DemoServer server)
{
    private const string Schema =
        "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", \"enum\": [\"Bern\", \"Zürich\"]}, \"celsius\": "
            + "{\"type\": \"boolean\"}}, \"required\": [\"city\", \"celsius\"], \"additionalProperties\": false}";

    private static readonly ChatTool Weather =
        ChatTool.CreateFunctionTool("get_weather", "Current weather", BinaryData.FromString(Schema), functionSchemaIsStrict: true);

    private ChatClient Chat() =>
        new OpenAIClient(new ApiKeyCredential("unused"), new OpenAIClientOptions { Endpoint = new Uri(server.Address, "/v1") })
            .GetChatClient("understory-demo");

    private static ChatCompletionOptions Options(bool tools)
    {
        var options = new ChatCompletionOptions { MaxOutputTokenCount = 120, Temperature = 0.9f };
#pragma warning disable OPENAI001 // Seed is marked as experimental.
        options.Seed = 3;
#pragma warning restore OPENAI001
        if (tools)
        {
            options.Tools.Add(Weather);
            options.ToolChoice = ChatToolChoice.CreateRequiredChoice();
            options.AllowParallelToolCalls = false;
        }

        return options;
    }

    private static void CheckArguments(string json)
    {
        using JsonDocument arguments = JsonDocument.Parse(json);
        Assert.Contains(arguments.RootElement.GetProperty("city").GetString(), (string[])["Bern", "Zürich"]);
        Assert.True(arguments.RootElement.GetProperty("celsius").ValueKind is JsonValueKind.True or JsonValueKind.False);
    }

    [Fact]
    public async Task A_required_call_keeps_to_its_schema_and_its_result_goes_back()
    {
        ChatClient chat = Chat();
        List<ChatMessage> messages = [new UserChatMessage("Weather in Zürich?")];
        ChatCompletion answer = await chat.CompleteChatAsync(messages, Options(tools: true));
        Assert.Equal(ChatFinishReason.ToolCalls, answer.FinishReason);
        ChatToolCall call = Assert.Single(answer.ToolCalls);
        Assert.Equal("get_weather", call.FunctionName);
        CheckArguments(call.FunctionArguments.ToString());

        messages.Add(new AssistantChatMessage(answer));
        messages.Add(new ToolChatMessage(call.Id, "21"));
        ChatCompletionOptions next = Options(tools: false);
        next.MaxOutputTokenCount = 8;
        ChatCompletion end = await chat.CompleteChatAsync(messages, next);
        Assert.True(end.FinishReason is ChatFinishReason.Length or ChatFinishReason.Stop);
    }

    [Fact]
    public async Task A_streamed_call_adds_up_to_the_plain_one()
    {
        ChatMessage[] messages = [new UserChatMessage("Weather in Bern?")];
        ChatCompletion plain = await Chat().CompleteChatAsync(messages, Options(tools: true));
        var arguments = new StringBuilder();
        string? name = null;
        ChatFinishReason? reason = null;
        await foreach (StreamingChatCompletionUpdate update in Chat().CompleteChatStreamingAsync(messages, Options(tools: true)))
        {
            reason = update.FinishReason ?? reason;
            foreach (StreamingChatToolCallUpdate call in update.ToolCallUpdates)
            {
                Assert.Equal(0, call.Index);
                name ??= call.FunctionName;
                arguments.Append(call.FunctionArgumentsUpdate);
            }
        }

        Assert.Equal((ChatFinishReason.ToolCalls, "get_weather"), (reason, name));
        Assert.Equal(plain.ToolCalls[0].FunctionArguments.ToString(), arguments.ToString());
    }

    [Fact]
    public async Task A_structured_output_validates()
    {
        ChatCompletionOptions options = Options(tools: false);
        options.ResponseFormat =
            ChatResponseFormat.CreateJsonSchemaFormat("weather", BinaryData.FromString(Schema), jsonSchemaIsStrict: true);
        ChatCompletion answer = await Chat().CompleteChatAsync([new UserChatMessage("Weather?")], options);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        CheckArguments(answer.Content[0].Text);
    }

    [Fact]
    public async Task Completions_keep_to_a_regular_expression_and_a_grammar()
    {
        Assert.Matches("^[0-9]{3}-[a-z]{2}$",
            (await server.TextsAsync("\"prompt\": \"x = \", \"seed\": 1, \"regex\": \"[0-9]{3}-[a-z]{2}\""))[0]);
        Assert.Matches("^(yes|no)!$",
            (await server.TextsAsync("\"prompt\": \"x = \", \"seed\": 1, \"grammar\": \"root ::= (\\\"yes\\\" | \\\"no\\\") \\\"!\\\"\""))[
                0]);
        HttpResponseMessage refused = await server.PostAsync("/v1/completions", "{\"prompt\": \"x\", \"grammar\": \"rot ::= 1\"}");
        await refused.ErrorAsync(400, "grammar");
    }

    [NodeFact("zod")]
    public async Task The_JavaScript_clients_helpers_work()
    {
        var start = new ProcessStartInfo("node", ["tools.mjs", new Uri(server.Address, "/v1").ToString()])
        {
            WorkingDirectory = NodeFactAttribute.Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process node = Process.Start(start)!;
        Task<string> errors = node.StandardError.ReadToEndAsync();
        string output = await node.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(2));
        Assert.True(output.Length > 0, await errors);

        JsonNode seen = JsonNode.Parse(output)!;
        Assert.Contains((string)seen["parsed"]!["city"]!, (string[])["Bern", "Zürich"]);
        Assert.InRange((int)seen["parsed"]!["days"]!, 0, 9);
        CheckArguments(Assert.Single(seen["called"]!.AsArray())!.ToJsonString());
        Assert.Equal(("tool_calls", "tool_calls"), ((string)seen["reason"]!, (string)seen["streamedReason"]!));
        CheckArguments((string)seen["plain"]!["arguments"]!);
        Assert.Equal((string)seen["plain"]!["arguments"]!, (string)seen["streamed"]!["arguments"]!);
        Assert.True((int)seen["deltas"]! > 1);
        Assert.Contains((string)seen["result"]!, (string[])["stop", "length", "tool_calls"]);
        Assert.Equal((400, "response_format.json_schema.schema"), ((int)seen["refusal"]!["status"]!, (string)seen["refusal"]!["param"]!));
        Assert.Contains("#", (string)seen["refusal"]!["message"]!);
    }
}
