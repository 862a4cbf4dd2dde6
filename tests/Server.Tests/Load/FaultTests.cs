using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Load;

/// <summary>What happens to machines: processes are killed, disks fill, files are replaced.</summary>
public sealed class FaultTests : IDisposable
{
    private const string Long = "{\"prompt\": \"x\", \"max_tokens\": 900, \"n\": 16, \"ignore_eos\": true, \"stream\": true}";
    private const string Short = "{\"prompt\": \"def add(a, b):\", \"max_tokens\": 8, \"temperature\": 0.7, \"seed\": 4}";

    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private static async Task<string> TextAsync(HttpClient client) =>
        (string)(await (await client.PostAsync("/v1/completions", Json(Short))).JsonAsync())["choices"]![0]!["text"]!;

    private static async Task<StreamReader> BeginStreamAsync(HttpClient client)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = Json(Long) };
        HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Assert.StartsWith("data: ", await reader.ReadLineAsync());
        return reader;
    }

    [ProcessFact]
    public async Task Killed_in_mid_stream_it_serves_again_on_the_same_port_at_once()
    {
        string port;
        string text;
        using (ServerProcess first = await ServerProcess.StartAsync())
        {
            port = first.Client.BaseAddress!.Port.ToString();
            text = await TextAsync(first.Client);
            using StreamReader reader = await BeginStreamAsync(first.Client);
            first.Signal("KILL");
            Assert.Equal(128 + 9, await first.ExitAsync());
            // The client notices: the stream breaks, it does not end.
            await Assert.ThrowsAnyAsync<IOException>(reader.ReadToEndAsync);
        }

        using ServerProcess second = await ServerProcess.StartAsync("--port", port);
        Assert.Equal(port, second.Client.BaseAddress!.Port.ToString());
        Assert.Equal(text, await TextAsync(second.Client));
    }

    [ProcessFact]
    public async Task A_drain_that_takes_too_long_breaks_the_stream_and_still_exits_with_0()
    {
        using ServerProcess server = await ServerProcess.StartAsync("--drain-seconds", "0");
        using StreamReader reader = await BeginStreamAsync(server.Client);
        server.Signal("TERM");
        var rest = new StringBuilder();
        try
        {
            while (await reader.ReadLineAsync() is { } line)
            {
                rest.AppendLine(line);
            }
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
        }

        Assert.DoesNotContain("[DONE]", rest.ToString());
        Assert.Contains("shutting_down", rest.ToString());
        Assert.Equal(0, await server.ExitAsync());
    }

    [ProcessFact]
    public async Task A_full_disk_under_its_output_and_its_log_does_not_stop_it()
    {
        if (!File.Exists("/dev/full"))
        {
            return;
        }

        int port = Tools.FreePort();
        string program = Path.Combine(AppContext.BaseDirectory, "understory");
        using var process =
            Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"exec '{program}' --port {port} >/dev/full 2>/dev/full"]))!;
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
            await ScriptedServer.UntilAsync(() => !process.HasExited && IsHealthy(client) ? true : process.HasExited
                ? throw new InvalidOperationException($"It ended with {process.ExitCode}.") : false);
            string text = await TextAsync(client);
            for (int i = 0; i < 50; i++)
            {
                Assert.Equal(text, await TextAsync(client));
                Assert.Equal(HttpStatusCode.BadRequest, (await client.PostAsync("/v1/completions", Json("{"))).StatusCode);
            }

            using Process kill = Process.Start("kill", ["-TERM", process.Id.ToString()]);
            await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));
            Assert.Equal(0, process.ExitCode);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }

    [ProcessFact]
    public async Task A_full_disk_under_stderr_leaves_the_exit_code_as_it_is()
    {
        if (!File.Exists("/dev/full"))
        {
            return;
        }

        string program = Path.Combine(AppContext.BaseDirectory, "understory");
        using var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"exec '{program}' --port x 2>/dev/full"]))!;
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));
        Assert.Equal(2, process.ExitCode);
    }

    [Fact]
    public async Task Weights_that_are_replaced_or_removed_while_they_serve_change_nothing()
    {
        foreach (string file in Directory.EnumerateFiles(Standin.Target))
        {
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        }

        var options = new ServerOptions { Port = 0, Model = _folder };
        await using var app = new ServerApp(options, new ModelLoading(options).Load);
        await app.StartAsync();
        await app.Decoding.Ready.WaitAsync(TimeSpan.FromMinutes(3));
        using var client = new HttpClient { BaseAddress = app.Address };
        string text = await TextAsync(client);

        // Another file under the old name, as an update does it, then none at all.
        string weights = Path.Combine(_folder, "model.safetensors");
        string fresh = Path.Combine(_folder, "fresh");
        File.WriteAllBytes(fresh, new byte[new FileInfo(weights).Length]);
        File.Move(fresh, weights, overwrite: true);
        Assert.Equal(text, await TextAsync(client));
        foreach (string file in Directory.EnumerateFiles(_folder))
        {
            File.Delete(file);
        }

        Assert.Equal(text, await TextAsync(client));
        JsonNode models = await (await client.GetAsync("/v1/models")).JsonAsync();
        Assert.NotEmpty(models["data"]!.AsArray());
    }

    private static bool IsHealthy(HttpClient client)
    {
        try
        {
            return client.Send(new HttpRequestMessage(HttpMethod.Get, "/health")).IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
