using System.Net;
using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Decoding.Sequences;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Endpoints;

/// <summary><c>/v1/responses</c> over HTTP, with the test in the decoding thread's place.</summary>
public sealed class ResponsesTests : IAsyncLifetime
{
    private const string Weather =
        "\"tools\": [{\"type\": \"function\", \"name\": \"weather\", \"description\": \"Tells it.\", \"parameters\": {\"type\": "
            + "\"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}}]";

    private ScriptedServer _server = null!;

    public async Task InitializeAsync() =>
        _server = await ScriptedServer.StartAsync(new ServerOptions { KeepAlive = TimeSpan.FromHours(1) }, model: ScriptedServer.Thinker());

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task A_stream_tells_of_the_response_its_item_its_part_and_its_text_in_order()
    {
        List<JsonNode> events = await StreamAsync("\"input\": \"hi\", \"seed\": 5", ["Hello", " you"]);
        Assert.Equal(
            [
                "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done",
                "response.completed",
            ],
            Types(events));
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(item => (int)item["sequence_number"]!));
        Assert.Equal(["Hello", " you"], events.Where(item => item["delta"] is not null).Select(item => (string)item["delta"]!));
        Assert.Equal(("in_progress", "in_progress", "completed"), (Status(events[0]), Status(events[1]), Status(events[^1])));
        Assert.Null(events[0]["response"]!["usage"]);
        JsonNode item = events[^1]["response"]!["output"]!.AsArray().Single()!;
        Assert.Equal(events[^2]["item"]!.ToJsonString(), item.ToJsonString());
        Assert.Equal("Hello you", (string)item["content"]![0]!["text"]!);
        Assert.Single(events.Where(at => at["item_id"] is not null).Select(at => (string)at["item_id"]!).Append((string)item["id"]!)
            .Distinct());
        Assert.Equal(5, (int)events[^1]["response"]!["seed"]!);
        Assert.NotNull(events[^1]["response"]!["timings"]);
    }

    [Theory]
    [InlineData("")]
    [InlineData(", \"include\": [\"message.output_text.logprobs\"]")]
    public async Task A_whole_response_is_what_its_stream_ends_with(string fields)
    {
        string[] script = ["<think>\nhm", "m</think>\n", "See: ", "<tool_call>{\"name\": \"weather\", ",
            "\"arguments\": {\"city\": \"Bonn\"}}</tool_call>"];
        JsonNode streamed = (await StreamAsync($"\"input\": \"hi\", \"seed\": 1, {Weather}{fields}", script))[^1]["response"]!;
        JsonNode whole = await WholeAsync($"\"input\": \"hi\", \"seed\": 1, {Weather}{fields}", script);
        Assert.Equal(["reasoning", "message", "function_call"], whole["output"]!.AsArray().Select(item => (string)item!["type"]!));
        foreach (JsonNode response in (JsonNode[])[streamed, whole])
        {
            // Drawn or measured anew for each answer.
            foreach (string name in (string[])["id", "created_at", "completed_at", "timings"])
            {
                response.AsObject().Remove(name);
            }

            foreach (JsonNode? item in response["output"]!.AsArray())
            {
                item!.AsObject().Remove("id");
                item.AsObject().Remove("call_id");
            }
        }

        Assert.Equal(whole.ToJsonString(), streamed.ToJsonString());
    }

    [Fact]
    public async Task Thoughts_and_calls_are_items_of_their_own()
    {
        List<JsonNode> events = await StreamAsync(
            $"\"input\": \"hi\", {Weather}",
            ["<think>hmm</think>", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}</tool_call>"]);
        Assert.Equal(
            [
                "response.created", "response.in_progress",
                "response.output_item.added", "response.content_part.added", "response.reasoning_text.delta",
                "response.reasoning_text.done", "response.content_part.done", "response.output_item.done",
                "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
                "response.output_item.done",
                "response.completed",
            ],
            Types(events).Where((type, i) => i == 0 || type != (string)events[i - 1]["type"]!));
        JsonNode[] items = [.. events[^1]["response"]!["output"]!.AsArray().Select(item => item!)];
        Assert.Equal("hmm", (string)items[0]["content"]![0]!["text"]!);
        Assert.Equal(("weather", "{\"city\": \"Bonn\"}"), ((string)items[1]["name"]!, (string)items[1]["arguments"]!));
        Assert.Equal(
            "{\"city\": \"Bonn\"}",
            string.Concat(events.Where(at => (string)at["type"]! == "response.function_call_arguments.delta")
                .Select(at => (string)at["delta"]!)));
        Assert.NotEmpty((string)items[1]["call_id"]!);
        Assert.True((int)events[^1]["response"]!["usage"]!["output_tokens_details"]!["reasoning_tokens"]! > 0);
    }

    [Fact]
    public async Task A_response_that_is_cut_is_incomplete_and_so_is_its_item()
    {
        List<JsonNode> events = await StreamAsync("\"input\": \"hi\", \"max_output_tokens\": 1", ["He"], FinishReason.Length);
        JsonNode response = events[^1]["response"]!;
        Assert.Equal(("response.incomplete", "incomplete"), ((string)events[^1]["type"]!, (string)response["status"]!));
        Assert.Equal("max_output_tokens", (string)response["incomplete_details"]!["reason"]!);
        Assert.Equal("incomplete", (string)response["output"]![0]!["status"]!);
        Assert.Null(response["completed_at"]);
    }

    [Fact]
    public async Task A_silent_model_leaves_an_empty_message()
    {
        JsonNode response = await WholeAsync("\"input\": \"hi\"", []);
        Assert.Equal(("message", ""), ((string)response["output"]![0]!["type"]!, (string)response["output"]![0]!["content"]![0]!["text"]!));
    }

    [Fact]
    public async Task A_response_repeats_its_request_and_says_that_nothing_is_stored()
    {
        JsonNode response = await WholeAsync(
            "\"input\": [{\"role\": \"user\", \"content\": \"hi\"}], \"instructions\": \"Be brief.\", \"max_output_tokens\": 9, "
                + "\"temperature\": 0.5, \"top_p\": 0.25, "
            + "\"metadata\": {\"a\": \"b\"}, \"store\": true, \"parallel_tool_calls\": false, \"tool_choice\": \"none\", \"truncation\": "
            + "\"auto\", \"user\": \"me\", "
            + "\"reasoning\": {\"effort\": \"low\"}, \"text\": {\"format\": {\"type\": \"text\"}, \"verbosity\": \"low\"}, " + Weather,
            ["ok"]);
        Assert.Equal(("response", "scripted", "Be brief.", 9),
            ((string)response["object"]!, (string)response["model"]!, (string)response["instructions"]!,
                (int)response["max_output_tokens"]!));
        Assert.Equal((0.5f, 0.25f, "none", "auto", "me"),
            ((float)response["temperature"]!, (float)response["top_p"]!, (string)response["tool_choice"]!, (string)response["truncation"]!,
                (string)response["user"]!));
        Assert.Equal(("b", "low", "low", "weather"), (
            (string)response["metadata"]!["a"]!, (string)response["reasoning"]!["effort"]!, (string)response["text"]!["verbosity"]!,
            (string)response["tools"]![0]!["name"]!));
        Assert.False((bool)response["parallel_tool_calls"]!);
        Assert.False((bool)response["store"]!);
        JsonNode usage = response["usage"]!;
        Assert.Equal((int)usage["input_tokens"]! + (int)usage["output_tokens"]!, (int)usage["total_tokens"]!);
        Assert.Equal(0, (int)usage["input_tokens_details"]!["cached_tokens"]!);
    }

    [Fact]
    public async Task An_error_in_mid_stream_is_an_error_event_a_failed_response_and_a_broken_connection()
    {
        Task<HttpResponseMessage> streamed = _server.PostAsync("/v1/responses", "{\"input\": \"hi\", \"stream\": true}", stream: true);
        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "half");
        HttpResponseMessage response = await streamed;
        job.End(new ApiException(500, "Decoding failed."));
        var seen = new List<string>();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
            {
                seen.Add(line);
            }
        });
        JsonNode[] last = [.. seen.Where(line => line.StartsWith("data: ", StringComparison.Ordinal)).TakeLast(2)
            .Select(line => JsonNode.Parse(line["data: ".Length..])!)];
        Assert.Equal(["error", "response.failed"], last.Select(item => (string)item["type"]!));
        Assert.Equal("Decoding failed.", (string)last[0]["message"]!);
        Assert.Equal(("failed", "Decoding failed."), (Status(last[1]), (string)last[1]["response"]!["error"]!["message"]!));
        Assert.Equal((int)last[0]["sequence_number"]! + 1, (int)last[1]["sequence_number"]!);
    }

    [Fact]
    public async Task Nothing_is_stored_and_asking_for_it_says_so()
    {
        Assert.Contains("stores none", await (await _server.Client.GetAsync("/v1/responses/resp_1"))
            .ErrorAsync(404, "id", "response_not_found"));
        Assert.Contains("stores none", await (await _server.Client.DeleteAsync("/v1/responses/resp_1")).ErrorAsync(404, "id"));
        Assert.Contains("stores none", await (await _server.Client.GetAsync("/v1/responses/resp_1/input_items")).ErrorAsync(404, "id"));
    }

    [Theory]
    [InlineData("\"truncation\": \"auto\"", true)]
    [InlineData("\"truncation\": \"disabled\"", false)]
    [InlineData("\"truncation\": null", false)]
    public async Task A_conversation_that_does_not_fit_loses_its_oldest_turns_only_where_asked(string truncation, bool answered)
    {
        string long_ = string.Join(", ", Enumerable.Range(0, 40).Select(i => $"{{\"role\": \"{(i % 2 == 0 ? "user" : "assistant")}\", "
            + $"\"content\": \"{i} {string.Concat(Enumerable.Repeat("word ", 60))}\"}}"));
        string body = $"{{\"instructions\": \"Keep me.\", \"input\": [{long_}, {{\"role\": \"user\", \"content\": \"the last\"}}], "
            + $"{truncation}}}";
        if (!answered)
        {
            await (await _server.PostAsync("/v1/responses", body)).ErrorAsync(400, "input", "context_length_exceeded");
            return;
        }

        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/responses", body);
        GenerationJob job = await _server.TakeAsync();
        string prompt = ScriptedServer.Model().Tokenizer.Decode(job.Choices[0].Prompt);
        _server.Finish(job);
        Assert.Equal(HttpStatusCode.OK, (await asked).StatusCode);
        Assert.StartsWith("system: Keep me.\nuser: ", prompt);
        Assert.EndsWith("user: the last\nassistant:", prompt);
        // As much as fits: one more exchange would not.
        Assert.InRange(job.Choices[0].Prompt.Length, 1024 - 140, 1023);
    }

    [Fact]
    public async Task Input_tokens_are_counted_as_the_prompt_will_have_them()
    {
        JsonNode count = await (await _server.PostAsync("/v1/responses/input_tokens", "{\"input\": \"hi\"}")).JsonAsync();
        JsonNode response = await WholeAsync("\"input\": \"hi\"", ["x"]);
        Assert.Equal((int)response["usage"]!["input_tokens"]!, (int)count["input_tokens"]!);
        Assert.Equal("response.input_tokens", (string)count["object"]!);
    }

    private static string[] Types(IEnumerable<JsonNode> events) => [.. events.Select(item => (string)item["type"]!)];

    private static string Status(JsonNode item) => (string)item["response"]!["status"]!;

    private async Task<List<JsonNode>> StreamAsync(string fields, string[] script, FinishReason reason = FinishReason.Stop)
    {
        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/responses", $"{{{fields}, \"stream\": true}}", stream: true);
        await PlayAsync(script, reason);
        return await (await asked).NamedEventsAsync();
    }

    private async Task<JsonNode> WholeAsync(string fields, string[] script)
    {
        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/responses", $"{{{fields}}}");
        await PlayAsync(script, FinishReason.Stop);
        JsonNode body = await (await asked).JsonAsync();
        Assert.True((await asked).IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    /// <summary>Says the script as the decoding thread would, with a log-probability per piece where they are wanted.</summary>
    private async Task PlayAsync(string[] script, FinishReason reason)
    {
        GenerationJob job = await _server.TakeAsync();
        bool logProbs = job.Choices[0].TopLogProbs >= 0;
        job.Send(new PromptRead(0, 0));
        int offset = 0;
        foreach (string text in script)
        {
            TokenLogProb[] tokens = logProbs ? [new(65 + (offset % 26), -0.5f, [], offset)] : [];
            job.Send(
                new StepDone(0, text, 1, tokens, new StepReport(1, 0, 0, 0.001, 0, 0, 0.001), System.Diagnostics.Stopwatch.GetTimestamp()));
            offset += text.Length;
        }

        _server.Finish(job, reason);
    }
}
