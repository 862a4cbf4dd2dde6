using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Server.Endpoints;

namespace Understory.Server.Tests.Load;

/// <summary>Requests that are too large, or no HTTP at all.</summary>
public sealed class RequestLimitTests
{
    private static async Task<JsonNode> ErrorOfAsync(ScriptedServer server, string request, int status)
    {
        string answer = await RawConnection.ExchangeAsync(server.App.Address, request);
        Assert.StartsWith($"HTTP/1.1 {status} ", answer);
        return JsonNode.Parse(answer[(answer.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..])!["error"]!;
    }

    [Theory]
    [InlineData(1, 40_000)]
    [InlineData(150, 300)]
    public async Task Headers_that_are_too_large_are_refused_in_the_shape_of_the_API(int count, int length)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        string headers = string.Concat(Enumerable.Range(0, count).Select(i => $"X-{i}: {new string('x', length)}\r\n"));
        JsonNode error = await ErrorOfAsync(server, $"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n", 431);
        Assert.Equal("invalid_request_error", (string)error["type"]!);
        Assert.Contains("32 KiB", (string)error["message"]!);
    }

    [Fact]
    public async Task A_path_that_is_too_long_is_refused_in_the_shape_of_the_API()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        JsonNode error = await ErrorOfAsync(server,
            $"GET /health?{new string('x', 9000)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 414);
        Assert.Equal("invalid_request_error", (string)error["type"]!);
    }

    [Theory]
    [InlineData("Content-Length: 9000000")]
    [InlineData("Transfer-Encoding: chunked")]
    public async Task A_body_that_is_too_large_is_refused_in_the_shape_of_the_API(string framing)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        string body = new(' ', 9_000_000);
        string framed = framing.StartsWith('C') ? body : $"{body.Length:x}\r\n{body}\r\n0\r\n\r\n";
        JsonNode error = await ErrorOfAsync(
            server, $"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                + $"application/json\r\n{framing}\r\n\r\n{framed}", 413);
        Assert.Contains("8 MiB", (string)error["message"]!);
    }

    [Fact]
    public async Task A_body_that_is_only_announced_takes_no_memory()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        var clients = new List<RawConnection>();
        // The first requests of a process pay for much that has nothing to do with bodies.
        await server.PostAsync("/tokenize", "{\"text\": \"\"}");
        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < 50; i++)
        {
            clients.Add(await RawConnection.OpenAsync(server.App.Address));
            await clients[i]
                .SendAsync("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
                    + "8000000\r\n\r\n{");
        }

        // One after the other, so that these have been read when this one is answered.
        await server.PostAsync("/tokenize", "{\"text\": \"\"}");
        await Task.Delay(200);
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 50_000_000);
        clients.ForEach(client => client.Dispose());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Bodies_that_are_too_large_together_are_refused_until_others_are_answered(bool packed)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        const int Size = 8 << 20;
        byte[] body = Encoding.UTF8.GetBytes("{\"prompt\": [1]" + new string(' ', Size - 15) + "}");
        var waiting = new List<Task<HttpResponseMessage>>();
        for (int i = 0; i < (BodyBudget.MostAtOnce / Size) - (packed ? 1 : 0); i++)
        {
            waiting.Add(PostAsync(body));
            long least = (i + 1L) * Size;
            await ScriptedServer.UntilAsync(() => server.App.HeldBodyBytes >= least);
        }

        HttpResponseMessage refused = await PostAsync(body);
        await refused.ErrorAsync(503, code: "overloaded");
        Assert.NotNull(refused.Headers.RetryAfter);
        for (int i = 0; i < waiting.Count; i++)
        {
            server.Finish(await server.TakeAsync());
        }

        Assert.All(await Task.WhenAll(waiting), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        await ScriptedServer.UntilAsync(() => server.App.HeldBodyBytes == 0);
        Task<HttpResponseMessage> again = PostAsync(body);
        server.Finish(await server.TakeAsync());
        Assert.Equal(HttpStatusCode.OK, (await again).StatusCode);

        // What is packed counts unpacked as well, so that one less has room.
        Task<HttpResponseMessage> PostAsync(byte[] bytes)
        {
            HttpContent content = new ByteArrayContent(bytes);
            if (packed)
            {
                using var gzip = new MemoryStream();
                using (var stream = new GZipStream(gzip, CompressionLevel.Fastest, leaveOpen: true))
                {
                    stream.Write(bytes);
                }

                content = new ByteArrayContent(gzip.ToArray());
                content.Headers.ContentEncoding.Add("gzip");
            }

            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            return server.Client.PostAsync("/v1/completions", content);
        }
    }

    [Fact]
    public async Task More_answers_than_a_request_may_have_are_refused()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        string prompts = string.Join(", ", Enumerable.Repeat("\"x\"", 103));
        Assert.Contains("1024", await (await server.PostAsync("/v1/completions", $"{{\"prompt\": [{prompts}], \"n\": 10}}"))
            .ErrorAsync(400, "n"));
    }

    [Fact]
    public async Task Garbage_on_a_connection_hurts_nobody_else()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        var random = new Random(1);
        byte[] noise = new byte[3000];
        random.NextBytes(noise);
        string[] garbage =
        [
            "\0\0\0\0\r\n\r\n",
            "GET\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\n Host : x\r\n\r\n",
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\nx",
            "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
                + "AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Encoding.Latin1.GetString(noise),
            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + Encoding.Latin1.GetString(noise),
            Encoding.Latin1.GetString(noise),
            "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + Encoding.Latin1.GetString(noise),
            "GET /" + new string('a', 100_000) + " HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: localhost\r\n" + string.Concat(Enumerable.Range(0, 5000).Select(i => $"a{i}: b\r\n")) + "\r\n",
        ];
        foreach (string bytes in garbage)
        {
            using RawConnection connection = await RawConnection.OpenAsync(server.App.Address);
            await connection.SendAsync(bytes);
            await connection.SendAsync("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            string answer = await connection.ReadToEndAsync();
            Assert.False(answer.Contains("HTTP/1.1 500", StringComparison.Ordinal), $"{bytes[..Math.Min(bytes.Length, 100)]} -> {answer}");
        }

        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health")).StatusCode);
        Assert.Equal(0, server.App.Queue.Depth);
    }

    [Fact]
    public async Task Requests_in_one_piece_are_answered_one_by_one_in_their_order()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        string requests =
            string.Concat(Enumerable.Range(0, 50).Select(i => $"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-request-id: r{i}\r\n\r\n"))
            + RawConnection.Post("/tokenize", "{nonsense}", "x-request-id: bad\r\n")
            + "GET /health HTTP/1.1\r\nHost: localhost\r\nx-request-id: last\r\nConnection: close\r\n\r\n";
        string answers = await RawConnection.ExchangeAsync(server.App.Address, requests);
        string[] ids = [.. answers.Split("\r\n").Where(line => line.StartsWith("x-request-id: ", StringComparison.OrdinalIgnoreCase))
            .Select(line => line[14..])];
        Assert.Equal([.. Enumerable.Range(0, 50).Select(i => $"r{i}"), "bad", "last"], ids);
    }
}
