using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Endpoints;

/// <summary>The shape of a stream, chunk by chunk, with the test in the decoding thread's place.</summary>
public sealed class StreamingTests : IAsyncLifetime
{
    private ScriptedServer _server = null!;

    public async Task InitializeAsync() =>
        _server = await ScriptedServer.StartAsync(new ServerOptions { KeepAlive = TimeSpan.FromMilliseconds(50) });

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task A_stream_ends_with_its_reason_its_figures_and_DONE()
    {
        Task<HttpResponseMessage> streamed =
            _server.PostAsync("/v1/completions", "{\"prompt\": [1], \"stream\": true, \"seed\": 5}", stream: true);
        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "one");
        ScriptedServer.Say(job, " two");
        _server.Finish(job, FinishReason.Length);
        List<JsonNode> chunks = await (await streamed).ChunksAsync();

        Assert.Equal(["one", " two", ""], chunks.Select(chunk => (string)chunk["choices"]![0]!["text"]!));
        Assert.Equal([null, null, "length"], chunks.Select(chunk => (string?)chunk["choices"]![0]!["finish_reason"]));
        Assert.All(chunks, chunk => Assert.Equal("text_completion", (string)chunk["object"]!));
        Assert.Single(chunks.Select(chunk => (string)chunk["id"]!).Distinct());
        Assert.All(chunks.SkipLast(1), chunk => Assert.Null(chunk["timings"]));
        Assert.Equal(5, (int)chunks[^1]["seed"]!);
        Assert.Equal(
            ["queue_ms", "prompt_n", "cache_n", "prompt_ms", "predicted_n", "predicted_ms", "predicted_per_second", "target_passes",
                "tokens_per_batch", "draft_n", "draft_n_accepted", "stages"],
            chunks[^1]["timings"]!.AsObject().Select(field => field.Key));
        Assert.Equal(1, (int)chunks[^1]["usage"]!["completion_tokens"]!);
    }

    [Fact]
    public async Task Usage_on_request_comes_in_a_last_chunk_without_choices()
    {
        const string Body = "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"stream\": true, \"stream_options\": "
            + "{\"include_usage\": true}}";
        Task<HttpResponseMessage> streamed = _server.PostAsync("/v1/chat/completions", Body, stream: true);
        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "yes");
        _server.Finish(job);
        List<JsonNode> chunks = await (await streamed).ChunksAsync();

        Assert.Equal(4, chunks.Count);
        Assert.All(chunks, chunk => Assert.Equal("chat.completion.chunk", (string)chunk["object"]!));
        Assert.Equal("assistant", (string)chunks[0]["choices"]![0]!["delta"]!["role"]!);
        Assert.Equal("yes", (string)chunks[1]["choices"]![0]!["delta"]!["content"]!);
        Assert.Equal("stop", (string)chunks[2]["choices"]![0]!["finish_reason"]!);
        Assert.Empty(chunks[3]["choices"]!.AsArray());
        Assert.All(chunks.Take(3), chunk => Assert.Null(chunk["usage"]));
        Assert.NotNull(chunks[3]["usage"]);
        Assert.NotNull(chunks[3]["timings"]);
    }

    [Fact]
    public async Task Echo_comes_first_in_every_choice()
    {
        Task<HttpResponseMessage> streamed =
            _server.PostAsync("/v1/completions", "{\"prompt\": \"ab\", \"echo\": true, \"n\": 2, \"stream\": true}", stream: true);
        GenerationJob job = await _server.TakeAsync();
        for (int choice = 0; choice < 2; choice++)
        {
            job.Send(new PromptRead(choice, 0));
            ScriptedServer.Say(job, "cd", choice);
        }

        _server.Finish(job);
        List<JsonNode> chunks = await (await streamed).ChunksAsync();
        foreach (int index in (int[])[0, 1])
        {
            Assert.Equal("abcd", string.Concat(chunks.Select(chunk => chunk["choices"]![0]!).Where(choice => (int)choice["index"]! == index)
                .Select(choice => (string)choice["text"]!)));
        }
    }

    [Fact]
    public async Task Comments_keep_a_waiting_stream_alive()
    {
        Task<HttpResponseMessage> streamed = _server.PostAsync("/v1/completions", "{\"prompt\": [1], \"stream\": true}", stream: true);
        // The answer begins although nobody has taken the job.
        HttpResponseMessage response = await streamed.WaitAsync(TimeSpan.FromMinutes(3));
        await using IAsyncEnumerator<string> events = response.EventsAsync().GetAsyncEnumerator();
        Assert.True(await events.MoveNextAsync());
        Assert.StartsWith(":", events.Current);
        GenerationJob job = await _server.TakeAsync();
        ScriptedServer.Say(job, "text");
        while (events.Current[0] == ':')
        {
            Assert.True(await events.MoveNextAsync());
        }

        Assert.Contains("\"text\":\"text\"", events.Current);
        _server.Finish(job);
    }

    [Fact]
    public async Task An_error_in_mid_stream_is_an_event_and_a_broken_connection()
    {
        Task<HttpResponseMessage> streamed = _server.PostAsync("/v1/chat/completions",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"stream\": true}", stream: true);
        GenerationJob job = await _server.TakeAsync();
        ScriptedServer.Say(job, "half");
        HttpResponseMessage response = await streamed;
        job.End(new ApiException(500, "Decoding failed."));
        var seen = new List<string>();
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            await foreach (string line in response.EventsAsync())
            {
                seen.Add(line);
            }
        });
        JsonNode error = JsonNode.Parse(seen[^1])!["error"]!;
        Assert.Equal("server_error", (string)error["type"]!);
        Assert.Equal("Decoding failed.", (string)error["message"]!);
        Assert.DoesNotContain("[DONE]", seen);
    }

    [Fact]
    public async Task An_error_before_the_first_word_is_a_plain_one()
    {
        await using ScriptedServer quiet = await ScriptedServer.StartAsync(new ServerOptions { KeepAlive = TimeSpan.FromHours(1) });
        Task<HttpResponseMessage> streamed = quiet.PostAsync("/v1/completions", "{\"prompt\": [1], \"stream\": true}", stream: true);
        (await quiet.TakeAsync()).End(new ApiException(500, "Decoding failed."));
        await (await streamed).ErrorAsync(500);
    }

    [Fact]
    public async Task Text_beyond_ASCII_is_readable_on_the_wire()
    {
        const string Text = "é ≠ 語 😀 \u2028 \"\\\n\t";
        Task<HttpResponseMessage> streamed = _server.PostAsync("/v1/completions", "{\"prompt\": [1], \"stream\": true}", stream: true);
        GenerationJob job = await _server.TakeAsync();
        ScriptedServer.Say(job, Text);
        _server.Finish(job);
        string raw = await (await streamed).Content.ReadAsStringAsync();
        Assert.Contains("é ≠ 語 😀", raw);
        Assert.DoesNotContain("\\u00e9", raw, StringComparison.OrdinalIgnoreCase);
        string first = raw.Split("\n\n").First(part => part.StartsWith("data: ", StringComparison.Ordinal))["data: ".Length..];
        Assert.Equal(Text, (string)JsonNode.Parse(first)!["choices"]![0]!["text"]!);
    }

    [Fact]
    public async Task Every_answer_carries_the_requests_id()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        request.Headers.Add("x-request-id", "mine-1");
        Assert.Equal("mine-1", (await _server.Client.SendAsync(request)).Headers.GetValues("x-request-id").Single());
        using var strange = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        strange.Headers.TryAddWithoutValidation("x-request-id", "not an id;");
        Assert.StartsWith("req_", (await _server.Client.SendAsync(strange)).Headers.GetValues("x-request-id").Single());
        Assert.Equal(new MediaTypeHeaderValue("application/json", "utf-8"),
            (await _server.Client.GetAsync("/v1/models")).Content.Headers.ContentType);
    }
}
