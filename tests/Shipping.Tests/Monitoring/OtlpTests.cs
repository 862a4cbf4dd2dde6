using System.Net;
using System.Text;

namespace Understory.Shipping.Tests.Monitoring;

/// <summary>Spans and metrics as a collector receives them.</summary>
public sealed class OtlpTests
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";
    private const string Caller = "b7ad6b7169203331";

    [ProgramFact]
    public async Task A_request_is_a_span_under_its_callers_with_queue_prompt_and_decode_beneath_it()
    {
        using var collector = new OtlpCollector();
        using RunningServer server = await RunningServer.StartAsync(
            RunningServer.Built, ["--port", "0", "--otlp-endpoint", collector.Address.ToString()],
            variables: ("OTEL_SERVICE_NAME", "here"));
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = new StringContent(
                "{\"prompt\": \"confidential words\", \"max_tokens\": 12, \"ignore_eos\": true, \"temperature\": 0.5, \"seed\": 7, \"n\": "
                    + "2, \"speculation\": \"staged\"}", Encoding.UTF8, "application/json"),
        };
        request.Headers.Add("traceparent", $"00-{Trace}-{Caller}-01");
        Assert.Equal(HttpStatusCode.OK, (await server.Client.SendAsync(request)).StatusCode);
        await server.Client.GetAsync("/health");
        await EndAsync(server);

        OtlpSpan root = Assert.Single(collector.Spans, span => span.Kind == 2);
        Assert.Equal(("text_completion understory-demo", Trace, Caller), (root.Name, root.Trace, root.Parent));
        foreach ((string name, object value) in new (string, object)[]
        {
            ("gen_ai.operation.name", "text_completion"), ("gen_ai.request.model", "understory-demo"), ("gen_ai.request.max_tokens", 12L),
            ("gen_ai.request.temperature", 0.5), ("gen_ai.request.seed", 7L), ("gen_ai.request.choice.count", 2L),
            ("gen_ai.usage.output_tokens", 24L),
            ("gen_ai.response.finish_reasons", "length,length"), ("http.request.method", "POST"), ("http.route", "/v1/completions"),
            ("http.response.status_code", 200L),
        })
        {
            Assert.Equal(value, root.Tags[name]);
        }

        OtlpSpan[] phases = [.. collector.Spans.Where(span => span.Parent == root.Id).OrderBy(span => span.Start)];
        Assert.Equal(["queue", "prompt", "decode", "prompt", "decode"], phases.Select(span => span.Name));
        Assert.Equal(6, collector.Spans.Count);
        Assert.All(phases, phase =>
            Assert.True(phase.Trace == Trace && phase.Start <= phase.End && root.Start <= phase.Start
                && phase.End <= root.End, phase.Name));
        Assert.Equal(12L, phases[2].Tags["gen_ai.usage.output_tokens"]);
        Assert.True((long)phases[2].Tags["understory.draft.proposed"] > 0);
        Assert.False(collector.Mentions("confidential"));
        Assert.All(collector.Resources, resource => Assert.Equal("here", resource["service.name"]));
    }

    [ProgramFact]
    public async Task The_variables_of_OpenTelemetry_alone_do_and_metrics_come_too()
    {
        using var collector = new OtlpCollector();
        using RunningServer server = await RunningServer.StartAsync(
            RunningServer.Built, ["--port", "0"], variables: ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Address.ToString()));
        await server.CompleteAsync("\"prompt\": \"a\", \"max_tokens\": 8, \"ignore_eos\": true, \"seed\": 1, \"speculation\": \"off\"");
        using HttpResponseMessage refused = await server.PostAsync("/v1/completions", "{\"prompt\": 1.5}");
        await EndAsync(server);

        OtlpSpan[] requests = [.. collector.Spans.Where(span => span.Kind == 2).OrderBy(span => span.Start)];
        Assert.Equal(["text_completion understory-demo", "POST /v1/completions"], requests.Select(span => span.Name));
        Assert.All(requests, request => Assert.Equal("", request.Parent));
        Assert.Equal((400L, "invalid_request_error"), (requests[1].Tags["http.response.status_code"], requests[1].Tags["error.type"]));
        Assert.Equal(8UL, collector.Metrics.Last(metric => metric.Name == "understory_generated_tokens_total").Sum);
        Assert.Equal(1UL, collector.Metrics.Last(metric => metric.Name == "understory_time_to_first_token_seconds").Histogram);
        Assert.Contains(collector.Metrics, metric => metric.Name == "process_resident_memory_bytes");
    }

    [ProgramFact]
    public async Task A_client_that_goes_away_leaves_an_unfinished_decode()
    {
        using var collector = new OtlpCollector();
        using RunningServer server = await RunningServer.StartAsync(
            RunningServer.Built, ["--port", "0", "--otlp-endpoint", collector.Address.ToString()]);
        using (var leave = new CancellationTokenSource())
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
            {
                Content = new StringContent(
                    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"stream\": true, \"ignore_eos\": true, \"n\": 100, "
                        + "\"speculation\": \"off\"}", Encoding.UTF8, "application/json"),
            };
            using HttpResponseMessage response =
                await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leave.Token);
            await using Stream body = await response.Content.ReadAsStreamAsync(leave.Token);
            Assert.True(await body.ReadAsync(new byte[4096], leave.Token) > 0);
        }

        await server.Daemon.UntilAsync(async () =>
            (await server.Client.GetStringAsync("/metrics")).Contains("status=\"499\"", StringComparison.Ordinal));
        await EndAsync(server);
        OtlpSpan root = Assert.Single(collector.Spans, span => span.Kind == 2);
        Assert.Equal(499L, root.Tags["http.response.status_code"]);
        Assert.Equal("chat understory-demo", root.Name);
        OtlpSpan last = collector.Spans.Where(span => span.Parent == root.Id).MaxBy(span => span.End)!;
        Assert.Equal(2UL, last.Status);
        Assert.True(last.Name is "decode" or "prompt", last.Name);
    }

    [ProgramFact]
    public async Task Nothing_is_sent_where_nothing_is_configured_and_a_bad_address_is_wrong_use()
    {
        using var collector = new OtlpCollector();
        using (RunningServer server = await RunningServer.StartAsync(
            RunningServer.Built, ["--port", "0", "--otlp-endpoint", collector.Address.ToString()],
            variables: ("OTEL_SDK_DISABLED", "true")))
        {
            await server.CompleteAsync("\"prompt\": \"a\"");
            await EndAsync(server);
        }

        Assert.Empty(collector.Spans);
        Assert.Empty(collector.Metrics);
        (int code, string output) = await Daemon.RunAsync(RunningServer.Built, ["--otlp-endpoint", "localhost:4318"]);
        Assert.Equal(2, code);
        Assert.Contains("--otlp-endpoint", output);
    }

    /// <summary>What was not sent yet is sent before the program ends.</summary>
    private static async Task EndAsync(RunningServer server)
    {
        server.Daemon.Signal("TERM");
        Assert.Equal(0, await server.Daemon.ExitAsync());
    }
}
