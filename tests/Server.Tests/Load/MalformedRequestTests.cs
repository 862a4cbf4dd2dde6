using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Load;

/// <summary>
/// Ten thousand spoilt requests made from the server's own OpenAPI document. <c>UNDERSTORY_FUZZ=N</c> sends N times as many.
/// </summary>
[Collection(DemoCollection.Name)]
public sealed class MalformedRequestTests(DemoServer server)
{
    private const int Requests = 10_000;
    private const string Reference = "\"prompt\": \"def add(a, b):\", \"max_tokens\": 24, \"temperature\": 0.7, \"seed\": 11";

    [Fact]
    public async Task None_is_a_failure_of_the_server_and_none_leaves_anything_behind()
    {
        var fuzzer = new RequestFuzzer(await server.Client.GetStringAsync("/openapi/v1.json"));
        Assert.InRange(fuzzer.Operations, 8, 100);
        string[] before = await server.TextsAsync(Reference);
        int times = int.TryParse(Environment.GetEnvironmentVariable("UNDERSTORY_FUZZ"), CultureInfo.InvariantCulture, out int asked)
            ? asked : 1;

        // What the first requests make once (pools, compiled code, metrics) is not a leak.
        var statuses = new ConcurrentDictionary<int, int>();
        var problems = new ConcurrentBag<string>();
        await SendAsync(fuzzer, 0, Requests * times / 4, statuses, problems);
        long held = GC.GetTotalMemory(forceFullCollection: true);
        await SendAsync(fuzzer, Requests * times / 4, Requests * times, statuses, problems);
        Assert.True(problems.IsEmpty, $"{problems.Count} of {Requests * times}:\n{string.Join('\n', problems.Take(12))}");
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - held, long.MinValue, 16L << 20);

        // The mixture is one that tests something: most is refused, some is answered.
        Assert.InRange(statuses.GetValueOrDefault(400), Requests / 4, Requests * times);
        Assert.InRange(statuses.GetValueOrDefault(200), Requests / 100, Requests * times);
        Assert.Equal(before, await server.TextsAsync(Reference));
        await ScriptedServer.UntilAsync(() =>
            server.Client.GetStringAsync("/metrics").Result.Contains("understory_queue_depth 0\n", StringComparison.Ordinal));
    }

    private Task SendAsync(RequestFuzzer fuzzer, int from, int to, ConcurrentDictionary<int, int> statuses,
        ConcurrentBag<string> problems) => Parallel.ForEachAsync(
        Enumerable.Range(from, to - from),
        new ParallelOptions { MaxDegreeOfParallelism = 4 },
        async (seed, cancellation) =>
        {
            FuzzedRequest made = fuzzer.Make(seed);
            using var request = new HttpRequestMessage(new HttpMethod(made.Method),
                new Uri(server.Address.GetLeftPart(UriPartial.Authority) + made.Path,
                    new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }));
            if (made.Body is not null)
            {
                request.Content = new ByteArrayContent(made.Body);
                request.Content.Headers.TryAddWithoutValidation("Content-Type", made.ContentType);
            }

            using HttpResponseMessage response = await server.Client.SendAsync(request, cancellation);
            string answer = await response.Content.ReadAsStringAsync(cancellation);
            int status = (int)response.StatusCode;
            statuses.AddOrUpdate(status, 1, (_, count) => count + 1);
            string? problem = Problem(made, response, answer);
            if (problem is not null)
            {
                problems.Add($"seed {seed}: {problem}: {status} {response.Content.Headers.ContentType} "
                    + $"{answer[..Math.Min(answer.Length, 300)]}\n  {made}");
            }
        });

    /// <summary>What is wrong with an answer; null: nothing.</summary>
    private static string? Problem(FuzzedRequest made, HttpResponseMessage response, string answer)
    {
        int status = (int)response.StatusCode;
        if (status >= 500)
        {
            return "a failure of the server";
        }

        if (status < 400)
        {
            return answer.StartsWith("data: ", StringComparison.Ordinal) && answer.Contains("server_error", StringComparison.Ordinal)
                ? "a failure in mid-stream" : null;
        }

        // A path that is none is refused before anything of ours sees it.
        if (made.Method == "HEAD" || (answer.Length == 0 && made.Path.Contains("%00", StringComparison.Ordinal)))
        {
            return null;
        }

        if (response.Content.Headers.ContentType?.MediaType != "application/json")
        {
            return "an error that is not JSON";
        }

        return (string?)JsonNode.Parse(answer)!["error"]?["message"] is { Length: > 0 } ? null : "an error without a message";
    }
}
