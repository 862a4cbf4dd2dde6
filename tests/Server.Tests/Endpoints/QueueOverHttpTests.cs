using System.Net;
using System.Text.Json.Nodes;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

/// <summary>Waiting, giving up, being refused and shutting down, with the test in the decoding thread's place.</summary>
public sealed class QueueOverHttpTests
{
    private static string Body(int prompt, bool stream = false) => $"{{\"prompt\": [{prompt}], \"stream\": {(stream ? "true" : "false")}}}";

    [Fact]
    public async Task Requests_are_decoded_in_the_order_of_their_arrival()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        var answers = new List<Task<HttpResponseMessage>>();
        for (int i = 0; i < 6; i++)
        {
            answers.Add(server.PostAsync("/v1/completions", Body(100 + i)));
            await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == i + 1);
        }

        for (int i = 0; i < 6; i++)
        {
            GenerationJob job = await server.TakeAsync();
            Assert.Equal([100 + i], job.Choices[0].Prompt);
            ScriptedServer.Say(job, $"answer {i}");
            server.Finish(job);
            JsonNode answer = await (await answers[i]).JsonAsync();
            Assert.Equal($"answer {i}", (string)answer["choices"]![0]!["text"]!);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_step_in_which_a_client_leaves_is_counted_like_any_other(bool stream)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        using var leave = new CancellationTokenSource();
        Task<HttpResponseMessage> left = server.PostAsync("/v1/completions", Body(1, stream), stream, leave.Token);
        GenerationJob job = await server.TakeAsync();
        ScriptedServer.Say(job, "before");
        if (stream)
        {
            (await left).Dispose();
        }

        leave.Cancel();
        await ScriptedServer.UntilAsync(() => job.Ended);
        ScriptedServer.Say(job, "after");
        job.End();
        server.App.Queue.Finish(TimeSpan.FromSeconds(1));
        await ScriptedServer.UntilAsync(() =>
            server.Client.GetStringAsync("/metrics").Result.Contains("\nunderstory_generated_tokens_total 2\n"));
    }

    [Fact]
    public async Task A_full_queue_answers_429_and_when_to_come_back()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = 1 });
        Task<HttpResponseMessage> running = server.PostAsync("/v1/completions", Body(1));
        GenerationJob job = await server.TakeAsync();
        Task<HttpResponseMessage> waiting = server.PostAsync("/v1/completions", Body(2));
        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == 1);

        foreach (bool stream in (bool[])[false, true])
        {
            HttpResponseMessage refused = await server.PostAsync("/v1/completions", Body(3, stream));
            await refused.ErrorAsync(429, code: "queue_full");
            Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        }

        server.Finish(job);
        server.Finish(await server.TakeAsync());
        Assert.Equal(HttpStatusCode.OK, (await running).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await waiting).StatusCode);
    }

    [Fact]
    public async Task Several_choices_take_one_place()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = 0 });
        Task<HttpResponseMessage> answer = server.PostAsync("/v1/completions", "{\"prompt\": [\"a\", \"b\"], \"n\": 3, \"seed\": 7}");
        GenerationJob job = await server.TakeAsync();
        Assert.Equal([0u, 1, 2, 0, 1, 2], job.Choices.Select(choice => choice.Sampling.Choice));
        Assert.All(job.Choices, choice => Assert.Equal(7ul, choice.Sampling.Seed));
        for (int i = 0; i < 6; i++)
        {
            ScriptedServer.Say(job, $"{i}", i);
        }

        server.Finish(job);
        JsonNode body = await (await answer).JsonAsync();
        Assert.Equal(["0", "1", "2", "3", "4", "5"], body["choices"]!.AsArray().Select(choice => (string)choice!["text"]!));
        // Each prompt counts once, whatever n.
        Assert.Equal(2, (int)body["usage"]!["prompt_tokens"]!);
        Assert.Equal(6, (int)body["usage"]!["completion_tokens"]!);
    }

    [Fact]
    public async Task A_client_that_leaves_while_waiting_frees_its_place()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        Task<HttpResponseMessage> running = server.PostAsync("/v1/completions", Body(1));
        GenerationJob job = await server.TakeAsync();
        using var leave = new CancellationTokenSource();
        Task<HttpResponseMessage> waiting = server.PostAsync("/v1/completions", Body(2), cancellation: leave.Token);
        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == 1);
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == 0);
        server.Finish(job);
        Assert.Equal(HttpStatusCode.OK, (await running).StatusCode);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_leaves_while_its_job_runs_ends_the_job(bool stream)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        using var leave = new CancellationTokenSource();
        Task<HttpResponseMessage> running = server.PostAsync("/v1/completions", Body(1, stream), stream, leave.Token);
        GenerationJob job = await server.TakeAsync();
        ScriptedServer.Say(job, "some text");
        if (stream)
        {
            // It has begun to read, and then goes.
            (await running).Dispose();
        }

        await leave.CancelAsync();
        await server.AbandonAsync(job);

        // The thread is free for the next one.
        Task<HttpResponseMessage> next = server.PostAsync("/v1/completions", Body(2));
        server.Finish(await server.TakeAsync());
        Assert.Equal(HttpStatusCode.OK, (await next).StatusCode);
        string metrics = await server.Client.GetStringAsync("/metrics");
        Assert.Contains("understory_requests_total{endpoint=\"/v1/completions\",status=\"499\"} 1", metrics);
    }

    [Fact]
    public async Task Draining_finishes_the_running_request_and_refuses_the_others()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        Task<HttpResponseMessage> running = server.PostAsync("/v1/completions", Body(1, stream: true), stream: true);
        GenerationJob job = await server.TakeAsync();
        ScriptedServer.Say(job, "before");
        Task<HttpResponseMessage> waiting = server.PostAsync("/v1/completions", Body(2));
        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == 1);

        Task drained = server.App.DrainAsync();

        await (await waiting).ErrorAsync(503, code: "shutting_down");
        await (await server.PostAsync("/v1/completions", Body(3))).ErrorAsync(503, code: "shutting_down");
        HttpResponseMessage health = await server.Client.GetAsync("/health");
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "draining"), (health.StatusCode, (string)(await health.JsonAsync())["status"]!));
        ScriptedServer.Say(job, " after");
        server.Finish(job);
        List<JsonNode> chunks = await (await running).ChunksAsync();
        Assert.Equal("before after", string.Concat(chunks.Select(chunk => (string?)chunk["choices"]![0]!["text"])));
        await drained.WaitAsync(TimeSpan.FromMinutes(3));
    }

    [Fact]
    public async Task A_drain_that_takes_too_long_ends_the_running_request()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { Drain = TimeSpan.FromMilliseconds(50) });
        Task<HttpResponseMessage> running = server.PostAsync("/v1/completions", Body(1));
        GenerationJob job = await server.TakeAsync();
        Task drained = server.App.DrainAsync();
        await (await running).ErrorAsync(503, code: "shutting_down");
        await server.AbandonAsync(job);
        await drained.WaitAsync(TimeSpan.FromMinutes(3));
    }

    [Fact]
    public async Task A_request_over_its_time_is_ended()
    {
        var clock = new ManualClock();
        var limit = TimeSpan.FromHours(1);
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { RequestLimit = limit, Clock = clock });
        Task<HttpResponseMessage> running = server.PostAsync("/v1/completions", Body(1));
        Task<HttpResponseMessage> waiting = server.PostAsync("/v1/completions", Body(2));
        GenerationJob job = await server.TakeAsync();
        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == 1);
        clock.Ring(limit);
        await (await running).ErrorAsync(504, code: "request_timeout");
        await (await waiting).ErrorAsync(504, code: "request_timeout");
        await server.AbandonAsync(job);
        Assert.Equal(0, server.App.Queue.Depth);
    }

    /// <summary>Forms that are refused in the end: whoever is told something else did not wait for that.</summary>
    [Theory]
    [InlineData("/v1/completions", "\"prompt\": [1]")]
    [InlineData("/v1/chat/completions", "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]")]
    public async Task A_request_over_its_time_does_not_compile_its_form_on(string path, string rest)
    {
        string required = string.Join(',', Enumerable.Range(0, 100_000).Select(i => $"\"p{i}\""));
        string body = $"{{{rest}, \"guided_json\": {{\"type\": \"object\", \"required\": [{required}]}}}}";
        await using ScriptedServer free = await ScriptedServer.StartAsync();
        await (await free.PostAsync(path, body)).ErrorAsync(400, "guided_json");
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(new ServerOptions { RequestLimit = TimeSpan.FromMilliseconds(1) });
        await (await server.PostAsync(path, body)).ErrorAsync(504, code: "request_timeout");
        Assert.Equal(0, server.App.Queue.Depth);
    }

    [Fact]
    public async Task While_it_loads_the_server_says_so()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(ready: false);
        HttpResponseMessage health = await server.Client.GetAsync("/health");
        JsonNode body = await health.JsonAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.Equal("loading", (string)body["status"]!);
        Assert.NotEmpty((string)body["stage"]!);
        HttpResponseMessage refused = await server.PostAsync("/v1/completions", Body(1));
        await refused.ErrorAsync(503, code: "loading");
        Assert.NotNull(refused.Headers.RetryAfter);

        server.App.Decoding.Announce(ScriptedServer.Model());
        Assert.Equal("ok", (string)(await (await server.Client.GetAsync("/health")).JsonAsync())["status"]!);
    }
}
