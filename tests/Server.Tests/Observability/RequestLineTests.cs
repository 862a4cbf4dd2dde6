using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Understory.Decoding;
using Understory.Decoding.Sequences;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Observability;

/// <summary>The one line that each request has in the log.</summary>
public sealed class RequestLineTests : IDisposable
{
    private readonly LogLines _lines = new();
    private readonly Logger _log;

    public RequestLineTests() => _log = new LoggerConfiguration()
        .MinimumLevel.Override("Microsoft", LogEventLevel.Warning).WriteTo.Sink(_lines).CreateLogger();

    public void Dispose() => _log.Dispose();

    [Fact]
    public async Task A_refusal_s_code_and_field_are_in_its_line()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(logger: _log);
        foreach (string body in (string[])["{\"prompt\": 1.5}", "{\"prompt\": [1], \"model\": \"other\"}", "{"])
        {
            await server.PostAsync("/v1/completions", body);
        }

        await ScriptedServer.UntilAsync(() => _lines.Texts.Length == 3);
        Assert.Equal(
            ["/v1/completions 400 invalid_request_error prompt", "/v1/completions 404 model_not_found model",
                "/v1/completions 400 invalid_request_error -"],
            _lines.Texts.Select(line => line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..]));
    }

    [Fact]
    public async Task A_full_queue_s_refusal_says_so()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = 0 }, logger: _log);
        Task<HttpResponseMessage> first = server.PostAsync("/v1/completions", "{\"prompt\": [1]}");
        GenerationJob job = await server.TakeAsync();
        await server.PostAsync("/v1/completions", "{\"prompt\": [2]}");
        await ScriptedServer.UntilAsync(() => _lines.Texts.Length == 1);
        Assert.EndsWith(" /v1/completions 429 queue_full -", _lines.Texts[0]);
        server.Finish(job);
        await first;
    }

    [Fact]
    public async Task A_request_that_took_too_long_has_the_tokens_of_the_step_that_it_was_ended_in()
    {
        var clock = new ManualClock();
        var limit = TimeSpan.FromHours(1);
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(new ServerOptions { RequestLimit = limit, Clock = clock }, logger: _log);
        Task<HttpResponseMessage> answer = server.PostAsync("/v1/completions", "{\"prompt\": [1, 2, 3]}");
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 1));
        ScriptedServer.Say(job, "in time");
        clock.Ring(limit);
        await (await answer).ErrorAsync(504, code: "request_timeout");
        Assert.Empty(_lines.Texts);

        ScriptedServer.Say(job, "late");
        job.Send(new ChoiceFinished(0, FinishReason.None, 3, 1, 2, new SequenceStatistics()));
        server.App.Queue.Finish(TimeSpan.FromSeconds(1));
        await ScriptedServer.UntilAsync(() => _lines.Texts.Length == 1);
        Assert.Contains(" /v1/completions 504 request_timeout -: prompt 3 (1 cached), 2 tokens", _lines.Texts[0]);
        string metrics = await server.Client.GetStringAsync("/metrics");
        Assert.Contains("\nunderstory_prompt_tokens_total 3\n", metrics);
        Assert.Contains("\nunderstory_generated_tokens_total 2\n", metrics);
    }

    [Fact]
    public async Task A_client_that_leaves_while_tokens_are_decoded_has_its_true_tokens_in_line_and_metrics()
    {
        var options = new ServerOptions { Port = 0, Draft = "none", Ngram = "none" };
        await using var app = new ServerApp(options, new ModelLoading(options).Load, _log);
        await app.StartAsync();
        await app.Decoding.Ready.WaitAsync(TimeSpan.FromMinutes(3));
        using var client = new HttpClient { BaseAddress = app.Address };
        int prompt = app.Decoding.Model.Tokenizer.Encode("def add(a, b):").Length;
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = new StringContent(
                "{\"prompt\": \"def add(a, b):\", \"max_tokens\": 900, \"n\": 50, \"ignore_eos\": true, \"stream\": true}", Encoding.UTF8,
                "application/json"),
        };
        using (HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead))
        {
            await using Stream body = await response.Content.ReadAsStreamAsync();
            Assert.True(await body.ReadAsync(new byte[4096]) > 0);
        }

        await ScriptedServer.UntilAsync(() => _lines.Texts.Any(line => line.Contains(" 499: ", StringComparison.Ordinal)));
        string metrics = await client.GetStringAsync("/metrics");
        Assert.Equal(prompt, _lines.Value("PromptTokens"));
        Assert.True((int)_lines.Value("GeneratedTokens")! > 0);
        Assert.Equal(Total("understory_generated_tokens_total", metrics), _lines.Value("GeneratedTokens"));
        // One prompt for every choice that was begun.
        Assert.Equal(0, Total("understory_prompt_tokens_total", metrics) % prompt);
        Assert.True(Total("understory_prompt_tokens_total", metrics) > 0);
        Assert.True((double)_lines.Value("TokensPerSecond")! > 0);
    }

    private static int Total(string metric, string metrics) =>
        int.Parse(Regex.Match(metrics, $@"^{metric} (\d+)$", RegexOptions.Multiline).Groups[1].Value, CultureInfo.InvariantCulture);
}
