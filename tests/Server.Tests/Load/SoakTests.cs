using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Xunit.Abstractions;

namespace Understory.Server.Tests.Load;

/// <summary>
/// Hours of requests in minutes against the program itself: short answers, streams, streams that are cut, chats, spoilt requests, crowds
/// that the queue refuses, connections that are reset. Not among the ordinary tests:
/// <code>UNDERSTORY_SOAK=10000 dotnet test -c Release tests/Server.Tests --filter SoakTests --logger "console;verbosity=detailed"</code>
/// runs about so many requests and prints what the process held every tenth of them.
/// </summary>
public sealed class SoakTests(ITestOutputHelper output)
{
    private static readonly string? Asked = Environment.GetEnvironmentVariable("UNDERSTORY_SOAK");

    [SoakFact]
    public async Task Memory_handles_and_threads_stay_where_they_are()
    {
        int total = int.Parse(Asked!, CultureInfo.InvariantCulture);
        using ServerProcess server = await ServerProcess.StartAsync("--max-queue", "16", "--prefix-cache-mb", "32");
        var fuzzer = new RequestFuzzer(await server.Client.GetStringAsync("/openapi/v1.json"));
        string reference = await CompleteAsync(server, 0);
        var watch = Stopwatch.StartNew();
        int done = 0;
        var held = new List<long>();
        output.WriteLine("requests | seconds | RSS MB | heap MB | handles | threads | generated tokens");
        for (int tenth = 0; tenth < 10; tenth++)
        {
            await Parallel.ForEachAsync(
                Enumerable.Range(tenth * total / 10, total / 10),
                new ParallelOptions { MaxDegreeOfParallelism = 6 },
                async (seed, _) => Interlocked.Add(ref done, await OneAsync(server, fuzzer, seed)));
            Assert.Equal(reference, await CompleteAsync(server, 0));
            string metrics = await server.Client.GetStringAsync("/metrics");
            Assert.Equal(0, Figure(metrics, "understory_queue_depth"));
            long resident = Status(server.Id, "VmRSS:");
            held.Add(resident);
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{done} | {watch.Elapsed.TotalSeconds:F0} | {resident / 1024.0:F1} | {Figure(metrics, "dotnet_gc_heap_bytes") / 1e6:F1} "
                    + $"| {Directory.GetFiles($"/proc/{server.Id}/fd").Length} | {Status(server.Id, "Threads:")} | "
                    + $"{Figure(metrics, "understory_generated_tokens_total"):F0}"));
        }

        foreach (string line in (await server.Client.GetStringAsync("/metrics")).Split('\n')
            .Where(line => line.StartsWith("understory_requests_total", StringComparison.Ordinal)))
        {
            output.WriteLine(line);
        }

        // The first tenths fill pools and the prefix cache, which is kept small here so that it is full soon.
        Assert.InRange(held[^1] - held[2], long.MinValue, 64 << 10);
        server.Signal("TERM");
        Assert.Equal(0, await server.ExitAsync());
    }

    /// <returns>Requests sent.</returns>
    private static async Task<int> OneAsync(ServerProcess server, RequestFuzzer fuzzer, int seed)
    {
        Uri address = server.Client.BaseAddress!;
        switch (seed % 10)
        {
            case 0 or 1:
                await CompleteAsync(server, seed);
                return 1;
            case 2 or 3:
                await PostAsync(server, "/v1/chat/completions",
                    $"{{\"messages\": [{{\"role\": \"user\", \"content\": \"Question {seed}\"}}], \"max_tokens\": {seed % 40}}}");
                return 1;
            case 4 or 5:
                using (HttpResponseMessage stream = await PostAsync(server, "/v1/completions",
                    $"{{\"prompt\": \"# {seed}\\n\", \"max_tokens\": {10 + (seed % 90)}, \"stream\": true}}"))
                {
                    _ = await stream.Content.ReadAsStringAsync();
                }

                return 1;
            case 6:
                using (RawConnection client = await RawConnection.OpenAsync(address))
                {
                    await client.SendAsync(
                        RawConnection.Post("/v1/completions", $"{{\"prompt\": \"{seed}\", \"max_tokens\": 800, \"ignore_eos\": true, "
                            + "\"stream\": true}", "Connection: close\r\n"));
                    await client.ReadAsync(1 + (seed % 3000));
                    client.Reset();
                }

                return 1;
            case 7:
                FuzzedRequest made = fuzzer.Make(seed);
                if (made.Body is null)
                {
                    return 0;
                }

                using (var request = new HttpRequestMessage(HttpMethod.Post, made.Path) { Content = new ByteArrayContent(made.Body) })
                {
                    request.Content.Headers.TryAddWithoutValidation("Content-Type", made.ContentType);
                    using HttpResponseMessage answer = await server.Client.SendAsync(request);
                    Assert.True((int)answer.StatusCode is < 500 or 503, $"{made}: {answer.StatusCode}");
                }

                return 1;
            case 8 when seed % 100 == 8:
                // A crowd: some are served, the others are refused.
                await Task.WhenAll(Enumerable.Range(0, 60)
                    .Select(i => PostAsync(server, "/v1/completions", $"{{\"prompt\": \"{i}\", \"max_tokens\": 4}}")));
                return 60;
            case 8:
                using (await server.Client.GetAsync(seed % 3 == 0 ? "/metrics" : "/v1/models"))
                {
                }

                return 1;
            default:
                using (await PostAsync(server, "/tokenize", $"{{\"text\": \"{new string('x', seed % 5000)} \u00E9 {seed}\"}}"))
                {
                }

                return 1;
        }
    }

    private static async Task<string> CompleteAsync(ServerProcess server, int seed)
    {
        while (true)
        {
            using HttpResponseMessage response =
                await PostAsync(server, "/v1/completions", $"{{\"prompt\": \"def f{seed % 50}(\", \"max_tokens\": 32, \"seed\": {seed}}}");
            JsonNode body = await response.JsonAsync();
            if ((int)response.StatusCode != 429)
            {
                return (string)body["choices"]![0]!["text"]!;
            }

            await Task.Delay(50);
        }
    }

    private static async Task<HttpResponseMessage> PostAsync(ServerProcess server, string path, string json)
    {
        HttpResponseMessage response = await server.Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"));
        Assert.True((int)response.StatusCode is 200 or 429, $"{path}: {response.StatusCode}");
        return response;
    }

    private static double Figure(string metrics, string name) => double.Parse(
        metrics.Split('\n').Single(line => line.StartsWith(name + " ", StringComparison.Ordinal))[(name.Length + 1)..],
        CultureInfo.InvariantCulture);

    private static long Status(int process, string field) => long.Parse(
        File.ReadLines($"/proc/{process}/status").Single(line => line.StartsWith(field, StringComparison.Ordinal))[field.Length..]
            .Replace("kB", "", StringComparison.Ordinal),
        CultureInfo.InvariantCulture);

    [AttributeUsage(AttributeTargets.Method)]
    private sealed class SoakFactAttribute : FactAttribute
    {
        public SoakFactAttribute() => Skip = Asked is { Length: > 0 } && OperatingSystem.IsLinux()
            ? null : "UNDERSTORY_SOAK does not say how many requests, or this is not Linux.";
    }
}
