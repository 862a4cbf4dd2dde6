using System.Text;
using System.Text.Json;
using Anthropic;
using Anthropic.Exceptions;
using Anthropic.Models.Messages;
using Understory.Decoding;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Clients;

/// <summary>The Messages API by Anthropic's official .NET client, unchanged, which checks every answer against its types.</summary>
[Collection(DemoCollection.Name)]
public sealed class AnthropicDotNetTests(DemoServer server)
{
    private static AnthropicClient Client(Uri address) =>
        new() { BaseUrl = address.ToString(), ApiKey = "unused", MaxRetries = 0, ResponseValidation = true };

    private static MessageCreateParams Request(string model, params MessageParam[] messages) => new()
    {
        Model = model,
        MaxTokens = 24,
        System = "You write Python.",
        Messages = messages,
    };

    [Fact]
    public async Task A_plain_message_has_text_usage_and_a_reason()
    {
        Message message = await Client(server.Address).Messages.Create(Request("understory-demo", new UserMessageParam("Say é 😀.")));
        Assert.True(message.Content[0].TryPickText(out TextBlock? text));
        Assert.NotEmpty(text.Text);
        Assert.True(message.StopReason!.Raw() is "max_tokens" or "end_turn");
        Assert.InRange(message.Usage.OutputTokens, 1, 24);
        Assert.StartsWith("msg_", message.ID);
    }

    [Fact]
    public async Task A_streamed_message_says_the_same_as_a_plain_one()
    {
        // This client has no temperature; a greedy one is one of its raw fields.
        MessageCreateParams request = MessageCreateParams.FromRawUnchecked(
            new Dictionary<string, JsonElement>(),
            new Dictionary<string, JsonElement>(),
            JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(
                "{\"model\": \"understory-demo\", \"max_tokens\": 24, \"temperature\": 0, \"messages\": [{\"role\": \"user\", "
                    + "\"content\": \"def add(a, b):\"}]}")!);
        Message plain = await Client(server.Address).Messages.Create(request);
        var text = new StringBuilder();
        var kinds = new List<string>();
        long tokens = 0;
        await foreach (RawMessageStreamEvent item in Client(server.Address).Messages.CreateStreaming(request))
        {
            kinds.Add(item.Type.Raw());
            if (item.TryPickContentBlockDelta(out RawContentBlockDeltaEvent? delta) && delta.Delta.TryPickText(out TextDelta? piece))
            {
                text.Append(piece.Text);
            }
            else if (item.TryPickDelta(out RawMessageDeltaEvent? end))
            {
                tokens = end.Usage.OutputTokens;
                Assert.Equal(plain.StopReason!.Raw(), end.Delta.StopReason!.Raw());
            }
        }

        Assert.True(plain.Content[0].TryPickText(out TextBlock? whole));
        Assert.Equal(whole.Text, text.ToString());
        Assert.Equal(plain.Usage.OutputTokens, tokens);
        Assert.Equal(["message_start", "content_block_start", "content_block_delta"], kinds.Take(3));
        Assert.Equal(["content_block_stop", "message_delta", "message_stop"], kinds.TakeLast(3));
    }

    [Fact]
    public async Task A_tool_is_called_and_its_result_goes_back()
    {
        await using ScriptedServer scripted = await ScriptedServer.StartAsync(model: ScriptedServer.Thinker());
        AnthropicClient client = Client(scripted.App.Address);
        MessageParam question = new UserMessageParam("How is it in Bonn?");
        MessageCreateParams request = Request("scripted", question) with
        {
            Tools = [new Tool { Name = "weather", InputSchema = new InputSchema { Properties = new Dictionary<string, JsonElement>() } }],
        };

        Task<Message> asking = client.Messages.Create(request);
        GenerationJob job = await scripted.TakeAsync();
        ScriptedServer.Say(job, "<think>hm</think><tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}</tool_call>");
        scripted.Finish(job);
        Message answer = await asking;
        Assert.Equal("tool_use", answer.StopReason!.Raw());
        Assert.True(answer.Content[0].TryPickThinking(out ThinkingBlock? thought));
        Assert.Equal("hm", thought.Thinking);
        Assert.True(answer.Content[1].TryPickToolUse(out ToolUseBlock? call));
        Assert.Equal(("weather", "Bonn"), (call.Name, call.Input["city"].GetString()));

        request = request with
        {
            Messages =
            [
                question,
                new AssistantMessageParam(new List<ContentBlockParam>
                {
                    new ThinkingBlockParam { Thinking = thought.Thinking, Signature = thought.Signature },
                    new ToolUseBlockParam { ID = call.ID, Name = call.Name, Input = call.Input },
                }),
                new UserMessageParam(new List<ContentBlockParam> { new ToolResultBlockParam(call.ID) { Content = "rain" } }),
            ],
        };
        asking = client.Messages.Create(request);
        job = await scripted.TakeAsync();
        Assert.Contains("rain", ScriptedServer.Model().Tokenizer.Decode(job.Choices[0].Prompt));
        ScriptedServer.Say(job, "It rains.");
        scripted.Finish(job, FinishReason.Stop);
        Assert.True((await asking).Content[0].TryPickText(out TextBlock? text));
        Assert.Equal("It rains.", text.Text);
    }

    [Fact]
    public async Task Tokens_are_counted()
    {
        MessageTokensCount count =
            await Client(server.Address).Messages.CountTokens(new() { Model = "understory-demo", Messages = [new UserMessageParam("hi")] });
        Assert.InRange(count.InputTokens, 1, 100);
    }

    [Fact]
    public async Task A_refusal_is_a_typed_exception()
    {
        var missing = await Assert.ThrowsAsync<AnthropicNotFoundException>(() =>
            Client(server.Address).Messages.Create(Request("claude-x", new UserMessageParam("hi"))));
        Assert.Contains("claude-x", missing.Message);
        await Assert.ThrowsAsync<AnthropicBadRequestException>(
            () => Client(server.Address).Messages.Create(
                Request("understory-demo", new UserMessageParam("hi"), new AssistantMessageParam(""))));
    }

    [Fact]
    public async Task An_error_in_mid_stream_does_not_look_like_an_end()
    {
        await using ScriptedServer scripted = await ScriptedServer.StartAsync();
        Task reading = Task.Run(async () =>
        {
            await foreach (
                RawMessageStreamEvent item in Client(scripted.App.Address).Messages.CreateStreaming(
                    Request("scripted", new UserMessageParam("hi"))))
            {
                Assert.NotEqual("message_stop", item.Type.Raw());
            }
        });
        GenerationJob job = await scripted.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "half");
        job.End(new ApiException(500, "Decoding failed."));
        await Assert.ThrowsAnyAsync<Exception>(() => reading);
    }
}
