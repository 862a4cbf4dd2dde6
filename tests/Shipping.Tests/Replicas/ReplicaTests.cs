using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit.Abstractions;

namespace Understory.Shipping.Tests.Replicas;

public sealed class ReplicaTests(Cluster cluster, ITestOutputHelper output) : IClassFixture<Cluster>
{
    private const int Conversations = 9;
    private const int Turns = 4;

    [NginxFact]
    public async Task A_conversation_stays_with_one_replica_whose_prefix_cache_knows_it()
    {
        double[] hits = new double[2];
        foreach (bool random in (bool[])[false, true])
        {
            var draw = new Random(17);
            var used = new HashSet<int>();
            (long cached, long prompt) = (0, 0);
            for (int talk = 0; talk < Conversations; talk++)
            {
                var messages = new JsonArray(
                    Message("system", "Answer with code and with nothing else, please."),
                    Message("user",
                        $"{(random ? "Write" : "Make")} function number {talk} that adds {talk} to its argument and returns it."));
                var replicas = new HashSet<int>();
                for (int turn = 0; turn < Turns; turn++)
                {
                    HttpClient client = random ? cluster.Replicas[draw.Next(3)].Client : cluster.Client;
                    (JsonNode answer, string id) = await ChatAsync(client, messages);
                    if (turn > 0)
                    {
                        cached += (int)answer["usage"]!["prompt_tokens_details"]!["cached_tokens"]!;
                        prompt += (int)answer["usage"]!["prompt_tokens"]!;
                    }

                    messages.Add(Message("assistant", (string?)answer["choices"]![0]!["message"]!["content"] ?? ""));
                    messages.Add(Message("user", $"Now add {turn} more to it."));
                    if (!random)
                    {
                        replicas.Add(await cluster.ReplicaOfAsync(id));
                    }
                }

                Assert.True(random || replicas.Count == 1, $"conversation {talk} went to {string.Join(", ", replicas)}");
                used.UnionWith(replicas);
            }

            hits[random ? 1 : 0] = (double)cached / prompt;
            Assert.True(random || used.Count > 1, "all conversations went to one replica");
        }

        output.WriteLine($"prompt tokens found in the prefix cache from the second turn on: {hits[0]:P0} with affinity, {hits[1]:P0} with "
            + "random routing");
        Assert.True(hits[0] > hits[1], $"{hits[0]:P0} with affinity, {hits[1]:P0} without");
    }

    [NginxFact]
    public async Task Keys_tie_requests_together_whatever_they_say_and_texts_cannot_pose_as_keys()
    {
        async Task<int> Of(string body, string? header = null)
        {
            (HttpResponseMessage response, string id) = await SendAsync(cluster.Client, "/v1/completions", body, header: header);
            Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
            return await cluster.ReplicaOfAsync(id);
        }

        foreach ((string fields, string? header) in new[] { ("\"user\": \"ann\"", null), ("\"prompt_cache_key\":\"k\"", null),
            ("\"max_tokens\": 1", "a") })
        {
            var replicas = new HashSet<int>();
            for (int i = 0; i < 6; i++)
            {
                replicas.Add(await Of($"{{\"prompt\": \"{i}\", \"max_tokens\": 1, {fields}}}", header));
            }

            Assert.Single(replicas);
        }

        // Short and without a key: by connections, which takes turns while all idle.
        var spread = new HashSet<int>();
        for (int i = 0; i < 9; i++)
        {
            spread.Add(await Of("{\"prompt\": \"say \\\"user\\\": \\\"ann\\\"\", \"max_tokens\": 1}"));
        }

        Assert.Equal(3, spread.Count);
    }

    [NginxFact]
    public async Task Tokens_come_through_as_they_are_generated()
    {
        (HttpResponseMessage response, string id) = await StreamAsync(cluster.Client, "stream");
        using (response)
        {
            await using Stream body = await response.Content.ReadAsStreamAsync();
            Assert.True(await body.ReadAsync(new byte[100]) > 0);
            // The line is written when the answer is complete.
            Assert.Null(cluster.LineOf(id));
        }

        Assert.Equal("404", ((int)(await cluster.Client.GetAsync("/metrics")).StatusCode).ToString());
    }

    [NginxFact]
    public async Task What_a_full_queue_turns_away_is_taken_by_other_replicas()
    {
        const string Body = "{\"prompt\": \"x\", \"max_tokens\": 100, \"n\": 16, \"ignore_eos\": true, \"speculation\": \"off\", "
            + "\"user\": \"crowd\"}";
        // One runs and four wait on each of three.
        var sent = Enumerable.Range(0, 15).Select(_ => SendAsync(cluster.Client, "/v1/completions", Body)).ToList();
        int[] statuses = [.. (await Task.WhenAll(sent)).Select(answer => (int)answer.Response.StatusCode)];
        int[] replicas = await Task.WhenAll(sent.Select(task => cluster.ReplicaOfAsync(task.Result.Id)));
        Assert.Equal(3, replicas.Distinct().Count());
        Assert.All(statuses, status => Assert.True(status is 200 or 429, status.ToString()));
        output.WriteLine($"15 requests with one key: {statuses.Count(status => status == 200)} answered, by replicas "
            + $"{string.Join(' ', replicas.CountBy(replica => replica))}");
        Assert.True(statuses.Count(status => status == 200) > 5, string.Join(' ', statuses));
    }

    [NginxFact]
    public async Task A_drained_replica_finishes_its_stream_and_new_requests_go_elsewhere()
    {
        (int replica, string user) = await UserAsync();
        RunningServer drained = cluster.Replicas[replica];
        (HttpResponseMessage response, string id) = await StreamAsync(cluster.Client, user);
        using (response)
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
            Assert.StartsWith("data: ", await reader.ReadLineAsync());
            drained.Daemon.Signal("TERM");
            await drained.Daemon.UntilAsync(async () =>
                (await drained.Client.GetAsync("/health")).StatusCode == HttpStatusCode.ServiceUnavailable);
            for (int i = 0; i < 6; i++)
            {
                (HttpResponseMessage next, string nextId) =
                    await SendAsync(cluster.Client, "/v1/completions", $"{{\"prompt\": \"a\", \"max_tokens\": 2, \"user\": \"{user}\"}}");
                Assert.Equal(HttpStatusCode.OK, next.StatusCode);
                Assert.NotEqual(replica, await cluster.ReplicaOfAsync(nextId));
            }

            Assert.Contains("data: [DONE]", await reader.ReadToEndAsync());
        }

        Assert.Equal(replica, await cluster.ReplicaOfAsync(id));
        Assert.Equal(0, await drained.Daemon.ExitAsync());
        await RecoverAsync(replica, user);
    }

    [NginxFact]
    public async Task When_a_replica_is_killed_only_the_stream_that_had_begun_is_lost()
    {
        (int replica, string user) = await UserAsync();
        (HttpResponseMessage stream, _) = await StreamAsync(cluster.Client, user);
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        Assert.StartsWith("data: ", await reader.ReadLineAsync());
        // These wait behind the stream; nothing of their answers is out.
        var waiting = Enumerable.Range(0, 3)
            .Select(_ => SendAsync(cluster.Client, "/v1/completions", $"{{\"prompt\": \"a\", \"max_tokens\": 2, \"user\": \"{user}\"}}"))
            .ToList();
        await cluster.Replicas[replica].Daemon.UntilAsync(async () =>
            (await cluster.Replicas[replica].Client.GetStringAsync("/metrics"))
                .Contains("understory_queue_depth 3\n", StringComparison.Ordinal));
        cluster.Replicas[replica].Daemon.Signal("KILL");

        foreach ((HttpResponseMessage answer, string id) in await Task.WhenAll(waiting))
        {
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.NotEqual(replica, await cluster.ReplicaOfAsync(id));
        }

        for (int i = 0; i < 12; i++)
        {
            (HttpResponseMessage later, _) = await SendAsync(cluster.Client, "/v1/completions",
                $"{{\"prompt\": \"b\", \"max_tokens\": 2, \"user\": \"{(i % 2 == 0 ? user : "other" + i)}\"}}");
            Assert.Equal(HttpStatusCode.OK, later.StatusCode);
        }

        string rest = "";
        Exception? broken = await Record.ExceptionAsync(async () => rest = await reader.ReadToEndAsync());
        Assert.True(broken is not null || !rest.Contains("[DONE]", StringComparison.Ordinal));
        await RecoverAsync(replica, user);
    }

    private static JsonNode Message(string role, string content) => new JsonObject { ["role"] = role, ["content"] = content };

    private static async Task<(HttpResponseMessage Response, string Id)> SendAsync(HttpClient client, string path, string body,
        bool stream = false, string? header = null)
    {
        string id = $"test-{Guid.NewGuid():N}";
        var request =
            new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Add("x-request-id", id);
        if (header is not null)
        {
            request.Headers.Add("X-Affinity", header);
        }

        return (await client.SendAsync(request, stream
            ? HttpCompletionOption.ResponseHeadersRead : HttpCompletionOption.ResponseContentRead), id);
    }

    private static async Task<(JsonNode Answer, string Id)> ChatAsync(HttpClient client, JsonArray messages)
    {
        var body = new JsonObject { ["messages"] = messages.DeepClone(), ["max_tokens"] = 12, ["temperature"] = 0, ["ignore_eos"] = true };
        string text = body.ToJsonString(new JsonSerializerOptions { WriteIndented = false });
        (HttpResponseMessage response, string id) = await SendAsync(client, "/v1/chat/completions", text);
        JsonNode answer = await response.JsonAsync();
        Assert.True(response.IsSuccessStatusCode, answer.ToJsonString());
        return (answer, id);
    }

    /// <summary>A stream long enough to outlast what a test does meanwhile.</summary>
    private static Task<(HttpResponseMessage Response, string Id)> StreamAsync(HttpClient client, string user) => SendAsync(
        client, "/v1/completions", $"{{\"prompt\": \"x\", \"max_tokens\": 700, \"n\": 30, \"ignore_eos\": true, \"stream\": true, "
            + $"\"speculation\": \"off\", \"user\": \"{user}\"}}", stream: true);

    /// <summary>Starts a replica again, and waits until nginx trusts it again in both of its pools.</summary>
    private async Task RecoverAsync(int replica, string user)
    {
        await cluster.StartAsync(replica);
        foreach (string key in new[] { $", \"user\": \"{user}\"", "" })
        {
            await cluster.Replicas[replica].Daemon.UntilAsync(async () =>
            {
                (_, string id) = await SendAsync(cluster.Client, "/v1/completions", $"{{\"prompt\": \"a\", \"max_tokens\": 1{key}}}");
                return await cluster.ReplicaOfAsync(id) == replica;
            });
        }
    }

    /// <summary>A user whom no other test has, and the replica that serves them.</summary>
    private async Task<(int Replica, string User)> UserAsync()
    {
        string user = Guid.NewGuid().ToString("N");
        (HttpResponseMessage response, string id) =
            await SendAsync(cluster.Client, "/v1/completions", $"{{\"prompt\": \"a\", \"max_tokens\": 1, \"user\": \"{user}\"}}");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return (await cluster.ReplicaOfAsync(id), user);
    }
}
