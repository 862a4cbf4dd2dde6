using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Endpoints;

/// <summary><c>/v1/messages</c> over HTTP, with the test in the decoding thread's place.</summary>
public sealed class MessagesTests : IAsyncLifetime
{
    private const string Hi = "\"max_tokens\": 50, \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]";
    private const string Weather =
        "\"tools\": [{\"name\": \"weather\", \"description\": \"Tells it.\", \"input_schema\": {\"type\": \"object\", \"properties\": "
            + "{\"city\": {\"type\": \"string\"}}}}]";

    private static readonly string[] Call =
        ["<think>\nhm", "m</think>\n", "See: ", "<tool_call>{\"name\": \"weather\", ", "\"arguments\": {\"city\": \"Bonn\"}}</tool_call>"];

    private ScriptedServer _server = null!;

    public async Task InitializeAsync() =>
        _server = await ScriptedServer.StartAsync(new ServerOptions { KeepAlive = TimeSpan.FromHours(1) }, model: ScriptedServer.Thinker());

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task A_stream_begins_the_message_fills_its_blocks_and_says_how_it_ended()
    {
        List<JsonNode> events = await StreamAsync($"{Hi}, \"seed\": 5", ["Hello", " you"]);
        Assert.Equal(
            ["message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
                "message_delta", "message_stop"],
            events.Select(item => (string)item["type"]!));
        JsonNode message = events[0]["message"]!;
        Assert.Equal(("message", "assistant", "scripted"), ((string)message["type"]!, (string)message["role"]!, (string)message["model"]!));
        Assert.True((int)message["usage"]!["input_tokens"]! > 0);
        Assert.Null(message["stop_reason"]);
        Assert.Equal(["Hello", " you"], events.Where(item => (string)item["type"]! == "content_block_delta")
            .Select(item => (string)item["delta"]!["text"]!));
        Assert.Equal("end_turn", (string)events[^2]["delta"]!["stop_reason"]!);
        Assert.Equal(1, (int)events[^2]["usage"]!["output_tokens"]!);
        Assert.Equal(5, (int)events[^2]["seed"]!);
        Assert.NotNull(events[^2]["timings"]);
    }

    [Fact]
    public async Task A_stream_adds_up_to_the_whole_message()
    {
        JsonNode whole = await WholeAsync($"{Hi}, {Weather}", Call);
        Assert.Equal(["thinking", "text", "tool_use"], whole["content"]!.AsArray().Select(block => (string)block!["type"]!));
        Assert.Equal("tool_use", (string)whole["stop_reason"]!);
        Assert.Equal("Bonn", (string)whole["content"]![2]!["input"]!["city"]!);

        var blocks = new List<JsonNode>();
        string input = "";
        List<JsonNode> events = await StreamAsync($"{Hi}, {Weather}", Call);
        foreach (JsonNode item in events)
        {
            switch ((string)item["type"]!)
            {
                case "content_block_start":
                    Assert.Equal(blocks.Count, (int)item["index"]!);
                    blocks.Add(item["content_block"]!.DeepClone());
                    break;
                case "content_block_delta" when (string)item["delta"]!["type"]! == "input_json_delta":
                    input += (string)item["delta"]!["partial_json"]!;
                    break;
                case "content_block_delta":
                    string field = (string)item["delta"]!["type"]! == "text_delta" ? "text" : "thinking";
                    blocks[^1][field] = (string)blocks[^1][field]! + (string)item["delta"]![field]!;
                    break;
            }
        }

        blocks[^1]["input"] = JsonNode.Parse(input);
        blocks[^1]["id"] = whole["content"]![2]!["id"]!.DeepClone();
        Assert.Equal(whole["content"]!.ToJsonString(), new JsonArray([.. blocks]).ToJsonString());
        Assert.Equal(whole["usage"]!.ToJsonString(), events[^2]["usage"]!.ToJsonString());
        Assert.Equal("tool_use", (string)events[^2]["delta"]!["stop_reason"]!);
        Assert.True((int)whole["usage"]!["output_tokens_details"]!["thinking_tokens"]! > 0);
    }

    [Fact]
    public async Task Thoughts_can_be_left_out_but_not_that_there_were_some()
    {
        JsonNode whole = await WholeAsync($"{Hi}, \"thinking\": {{\"type\": \"adaptive\", \"display\": \"omitted\"}}",
            ["<think>secret</think>", "Hello"]);
        Assert.Equal(("thinking", ""), ((string)whole["content"]![0]!["type"]!, (string)whole["content"]![0]!["thinking"]!));
        Assert.Equal("Hello", (string)whole["content"]![1]!["text"]!);
        Assert.DoesNotContain("secret", whole.ToJsonString());
    }

    [Fact]
    public async Task Thinking_can_be_switched_off()
    {
        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/messages", $"{{{Hi}, \"thinking\": {{\"type\": \"disabled\"}}}}");
        GenerationJob job = await _server.TakeAsync();
        Assert.EndsWith("assistant:<think></think>", ScriptedServer.Model().Tokenizer.Decode(job.Choices[0].Prompt));
        _server.Finish(job);
        Assert.True((await asked).IsSuccessStatusCode);
    }

    [Theory]
    [InlineData(FinishReason.Stop, null, 50, "end_turn", null)]
    [InlineData(FinishReason.Stop, "END", 50, "stop_sequence", "END")]
    [InlineData(FinishReason.Length, null, 1, "max_tokens", null)]
    [InlineData(FinishReason.Length, null, 50, "model_context_window_exceeded", null)]
    public async Task A_message_says_why_it_ended(FinishReason reason, string? found, int maxTokens, string expected, string? sequence)
    {
        string body = $"{{\"max_tokens\": {maxTokens}, \"stop_sequences\": [\"END\", \"FIN\"], \"messages\": [{{\"role\": \"user\", "
            + "\"content\": \"hi\"}]}";
        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/messages", body);
        GenerationJob job = await _server.TakeAsync();
        Assert.Equal(["END", "FIN"], job.Choices[0].Stop);
        ScriptedServer.Say(job, "x");
        _server.Finish(job, reason, found);
        JsonNode message = await (await asked).JsonAsync();
        Assert.Equal((expected, sequence), ((string)message["stop_reason"]!, (string?)message["stop_sequence"]));
    }

    [Theory]
    [InlineData("{\"name\": \"weather\", \"arguments\": {\"city\": \"Bo")]
    [InlineData("{\"name\": \"weather\", \"arguments\": {}")]
    public async Task A_call_that_breaks_off_keeps_to_the_shape(string text)
    {
        JsonNode whole = await WholeAsync($"{Hi}, {Weather}", [$"<tool_call>{text}"]);
        JsonNode call = whole["content"]!.AsArray().Single(block => (string)block!["type"]! == "tool_use")!;
        Assert.Equal("{}", call["input"]!.ToJsonString());
    }

    [Fact]
    public async Task Pings_keep_a_quiet_stream_alive_once_it_has_begun()
    {
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(new ServerOptions { KeepAlive = TimeSpan.FromMilliseconds(50) });
        Task<HttpResponseMessage> asked = server.PostAsync("/v1/messages", $"{{{Hi}, \"stream\": true}}", stream: true);
        GenerationJob job = await server.TakeAsync();
        using var reader = new StreamReader(await (await asked).Content.ReadAsStreamAsync());
        Assert.Equal(": waiting", await reader.ReadLineAsync());
        job.Send(new PromptRead(0, 0));
        int pings = 0;
        while (pings < 3)
        {
            pings += await reader.ReadLineAsync() == "event: ping" ? 1 : 0;
        }

        server.Finish(job);
        Assert.EndsWith("data: {\"type\":\"message_stop\"}\n\n", await reader.ReadToEndAsync());
    }

    [Fact]
    public async Task An_error_in_mid_stream_is_an_event_in_Anthropics_shape_and_a_broken_connection()
    {
        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/messages", $"{{{Hi}, \"stream\": true}}", stream: true);
        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "half");
        HttpResponseMessage response = await asked;
        job.End(new ApiException(503, "The server is shutting down."));
        var seen = new List<string>();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
            {
                seen.Add(line);
            }
        });
        int at = seen.IndexOf("event: error");
        JsonNode error = JsonNode.Parse(seen[at + 1]["data: ".Length..])!;
        Assert.Equal(("overloaded_error", "The server is shutting down."),
            ((string)error["error"]!["type"]!, (string)error["error"]!["message"]!));
        Assert.Equal(response.Headers.GetValues("request-id").Single(), (string)error["request_id"]!);
    }

    [Fact]
    public async Task A_full_queue_is_a_rate_limit_with_the_time_to_come_back()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = 0 });
        Task<HttpResponseMessage> first = server.PostAsync("/v1/messages", $"{{{Hi}}}");
        GenerationJob job = await server.TakeAsync();
        HttpResponseMessage refused = await server.PostAsync("/v1/messages", $"{{{Hi}}}");
        Assert.Equal(429, (int)refused.StatusCode);
        Assert.True(refused.Headers.RetryAfter!.Delta > TimeSpan.Zero);
        Assert.Equal("rate_limit_error", (string)(await refused.JsonAsync())["error"]!["type"]!);
        server.Finish(job);
        Assert.True((await first).IsSuccessStatusCode);
    }

    [Fact]
    public async Task Tokens_are_counted_as_the_prompt_will_have_them()
    {
        JsonNode count = await (await _server.PostAsync("/v1/messages/count_tokens", $"{{{Hi}, {Weather}}}")).JsonAsync();
        JsonNode message = await WholeAsync($"{Hi}, {Weather}", ["x"]);
        Assert.Equal((int)message["usage"]!["input_tokens"]!, (int)count["input_tokens"]!);
        Assert.Equal(["input_tokens"], count.AsObject().Select(field => field.Key));
    }

    private async Task<List<JsonNode>> StreamAsync(string fields, string[] script)
    {
        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/messages", $"{{{fields}, \"stream\": true}}", stream: true);
        await PlayAsync(script);
        return await (await asked).NamedEventsAsync();
    }

    private async Task<JsonNode> WholeAsync(string fields, string[] script)
    {
        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/messages", $"{{{fields}}}");
        await PlayAsync(script);
        JsonNode body = await (await asked).JsonAsync();
        Assert.True((await asked).IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    private async Task PlayAsync(string[] script)
    {
        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        foreach (string text in script)
        {
            ScriptedServer.Say(job, text);
        }

        _server.Finish(job);
    }
}
