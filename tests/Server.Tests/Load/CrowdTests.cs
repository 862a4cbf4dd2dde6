using System.Net;
using System.Text.Json.Nodes;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Load;

/// <summary>A thousand clients, one decoding thread.</summary>
public sealed class CrowdTests
{
    private const int Clients = 1000;
    private const int Places = 64;

    private static string Body(int token) => $"{{\"prompt\": [{token}]}}";

    [Fact]
    public async Task Of_a_thousand_at_once_as_many_are_served_as_there_are_places_and_the_rest_is_told_when_to_come_back()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = Places });
        Task<HttpResponseMessage> first = server.PostAsync("/v1/completions", Body(0));
        GenerationJob running = await server.TakeAsync();
        Task<HttpResponseMessage>[] crowd = [.. Enumerable.Range(1, Clients - 1).Select(i => server.PostAsync("/v1/completions", Body(i)))];

        // Nobody is served while the first one runs, so all who are not refused wait.
        await ScriptedServer.UntilAsync(() => crowd.Count(answer => answer.IsCompleted) == Clients - 1 - Places);
        Assert.Equal(Places, server.App.Queue.Depth);
        foreach (Task<HttpResponseMessage> refused in crowd.Where(answer => answer.IsCompleted))
        {
            await (await refused).ErrorAsync(429, code: "queue_full");
            Assert.InRange((await refused).Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        }

        server.Finish(running);
        var served = new List<int>();
        for (int i = 0; i < Places; i++)
        {
            GenerationJob job = await server.TakeAsync();
            served.Add(job.Choices[0].Prompt[0]);
            ScriptedServer.Say(job, $"answer {job.Choices[0].Prompt[0]}");
            server.Finish(job);
        }

        Assert.Equal(HttpStatusCode.OK, (await first).StatusCode);
        HttpResponseMessage[] answers = await Task.WhenAll(crowd);
        Assert.Equal(Places, answers.Count(answer => answer.IsSuccessStatusCode));
        Assert.Equal(Places, served.Distinct().Count());
        foreach (int i in served)
        {
            // Everybody gets the answer to the own question.
            JsonNode body = await answers[i - 1].JsonAsync();
            Assert.Equal($"answer {i}", (string)body["choices"]![0]!["text"]!);
        }

        Assert.Equal(0, server.App.Queue.Depth);
        string metrics = await server.Client.GetStringAsync("/metrics");
        Assert.Contains($"understory_requests_total{{endpoint=\"/v1/completions\",status=\"429\"}} {Clients - 1 - Places}", metrics);
        Assert.Contains($"understory_requests_total{{endpoint=\"/v1/completions\",status=\"200\"}} {Places + 1}", metrics);
    }

    [Fact]
    public async Task Those_who_wait_keep_their_order_while_a_crowd_is_refused_and_some_of_them_leave()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = Places });
        _ = server.PostAsync("/v1/completions", Body(0));
        GenerationJob running = await server.TakeAsync();
        var waiting = new List<(Task<HttpResponseMessage> Answer, CancellationTokenSource Leave)>();
        for (int i = 1; i <= Places; i++)
        {
            var leave = new CancellationTokenSource();
            waiting.Add((server.PostAsync("/v1/completions", Body(i), cancellation: leave.Token), leave));
            await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == i);
        }

        HttpResponseMessage[] refused =
            await Task.WhenAll(Enumerable.Range(1000, 500).Select(i => server.PostAsync("/v1/completions", Body(i))));
        Assert.All(refused, answer => Assert.Equal(HttpStatusCode.TooManyRequests, answer.StatusCode));

        // Every third one goes; whoever comes now stands behind all others.
        int[] left = [.. Enumerable.Range(1, Places).Where(i => i % 3 == 0)];
        foreach (int i in left)
        {
            await waiting[i - 1].Leave.CancelAsync();
        }

        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == Places - left.Length);
        Task<HttpResponseMessage> late = server.PostAsync("/v1/completions", Body(2000));
        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == Places - left.Length + 1);
        server.Finish(running);
        int[] expected = [.. Enumerable.Range(1, Places).Except(left), 2000];
        foreach (int i in expected)
        {
            GenerationJob job = await server.TakeAsync();
            Assert.Equal(i, job.Choices[0].Prompt[0]);
            server.Finish(job);
        }

        Assert.Equal(HttpStatusCode.OK, (await late).StatusCode);
        Assert.Equal(0, server.App.Queue.Depth);
        waiting.ForEach(one => one.Leave.Dispose());
    }

    [Fact]
    public async Task A_thousand_idle_connections_keep_nobody_out()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        var idle = new List<RawConnection>();
        try
        {
            for (int i = 0; i < Clients; i++)
            {
                idle.Add(await RawConnection.OpenAsync(server.App.Address));
                if (i % 2 == 0)
                {
                    await idle[i].SendAsync("POST /v1/comple");
                }
            }

            Task<HttpResponseMessage> answer = server.PostAsync("/v1/completions", Body(1));
            server.Finish(await server.TakeAsync());
            Assert.Equal(HttpStatusCode.OK, (await answer).StatusCode);
        }
        finally
        {
            idle.ForEach(connection => connection.Dispose());
        }
    }
}
