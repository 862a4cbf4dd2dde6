using System.Net;
using Understory.Decoding;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Load;

/// <summary>Clients that send or read too slowly cost neither memory without bound nor the decoding thread.</summary>
public sealed class SlowClientTests
{
    private static readonly ConnectionLimits Impatient = new()
    {
        HeaderTime = TimeSpan.FromSeconds(1),
        IdleTime = TimeSpan.FromSeconds(1),
        Grace = TimeSpan.FromSeconds(1.5),
        LeastRate = 100_000,
    };

    private static Task<ScriptedServer> StartAsync(ConnectionLimits limits) =>
        ScriptedServer.StartAsync(new ServerOptions { Connections = limits });

    [Fact]
    public async Task A_stream_whose_client_does_not_read_ends_before_its_backlog_grows_beyond_bounds()
    {
        // So patient that only the backlog can end it.
        await using ScriptedServer server = await StartAsync(new ConnectionLimits { Grace = TimeSpan.FromHours(1), MostUnread = 5000 });
        using RawConnection client = await RawConnection.OpenAsync(server.App.Address, receiveBuffer: 4096);
        await client.SendAsync(RawConnection.Post("/v1/completions", """{"prompt": [1], "stream": true}"""));
        GenerationJob job = await server.TakeAsync();
        string text = new('x', 1000);
        int said = 0;
        while (!job.Ended)
        {
            ScriptedServer.Say(job, text);
            Assert.True(++said < 100_000, "100 MB wait for a client that does not read.");
            if (said % 1000 == 0)
            {
                await Task.Delay(1);
            }
        }

        Assert.True(job.Events.Count <= 5001);
        server.App.Queue.Finish(TimeSpan.FromSeconds(1));
        await ScriptedServer.UntilAsync(() =>
            server.Client.GetStringAsync("/metrics").Result.Contains("status=\"499\"} 1", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_client_that_reads_slowly_but_steadily_gets_all_of_it()
    {
        await using ScriptedServer server = await StartAsync(new ConnectionLimits { MostUnread = 5000 });
        using RawConnection client = await RawConnection.OpenAsync(server.App.Address, receiveBuffer: 4096);
        await client.SendAsync(RawConnection.Post("/v1/completions", """{"prompt": [1], "stream": true}""", "Connection: close\r\n"));
        GenerationJob job = await server.TakeAsync();
        for (int i = 0; i < 3000; i++)
        {
            ScriptedServer.Say(job, $"piece {i}.");
        }

        server.Finish(job);
        string read = "";
        for (int i = 0; i < 20; i++)
        {
            read += await client.ReadAsync(10_000);
            await Task.Delay(5);
        }

        read += await client.ReadToEndAsync();
        Assert.Contains("piece 2999.", read);
        Assert.Contains("[DONE]", read);
    }

    [Fact]
    public async Task A_client_that_does_not_read_for_long_is_hung_up_on()
    {
        // Kestrel alone would wait for as long as a slow client could take to read all that lies in the machine's buffers.
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions
        {
            KeepAlive = TimeSpan.FromMilliseconds(200),
            Connections = new ConnectionLimits { StallTime = TimeSpan.FromSeconds(1) },
        });
        using RawConnection client = await RawConnection.OpenAsync(server.App.Address, receiveBuffer: 4096);
        await client.SendAsync(RawConnection.Post("/v1/completions", """{"prompt": [1], "stream": true}"""));
        GenerationJob job = await server.TakeAsync();
        // More than all buffers on the way hold, less than the backlog may be.
        for (int i = 0; i < 10_000 && !job.Ended; i++)
        {
            ScriptedServer.Say(job, new string('x', 2000));
        }

        await server.AbandonAsync(job);
    }

    [Theory]
    [InlineData("")]
    [InlineData("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n")]
    [InlineData("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")]
    public async Task A_client_that_stops_sending_is_hung_up_on(string sent)
    {
        await using ScriptedServer server = await StartAsync(Impatient);
        using RawConnection client = await RawConnection.OpenAsync(server.App.Address);
        await client.SendAsync(sent);
        string answer = await client.ReadToEndAsync();
        Assert.True(answer.Length == 0 || answer.StartsWith("HTTP/1.1 408", StringComparison.Ordinal), answer);
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health")).StatusCode);
    }

    [Fact]
    public async Task A_body_that_comes_too_slowly_is_refused_in_the_shape_of_the_API()
    {
        await using ScriptedServer server = await StartAsync(Impatient);
        using RawConnection client = await RawConnection.OpenAsync(server.App.Address);
        await client.SendAsync("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
            + "100000\r\n\r\n{");
        string answer = await client.ReadToEndAsync();
        Assert.StartsWith("HTTP/1.1 408", answer);
        Assert.Contains("\"type\":\"invalid_request_error\"", answer);
    }

    [Fact]
    public void A_job_without_a_bound_keeps_all_its_events()
    {
        var job = new GenerationJob([new GenerationRequest { Prompt = [1] }]);
        for (int i = 0; i < 100_000; i++)
        {
            job.Send(new PromptRead(0, 0));
        }

        Assert.False(job.Ended);
        Assert.Equal(100_000, job.Events.Count);
    }
}
