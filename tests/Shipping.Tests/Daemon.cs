using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace Understory.Shipping.Tests;

/// <summary>A program of its own that runs until the test is over: our server, or one that ships with it.</summary>
internal sealed class Daemon : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();

    /// <param name="variables">Environment variables to set; a null value takes one away.</param>
    private Daemon(string program, IEnumerable<string> arguments, string? folder, IEnumerable<(string Name, string? Value)> variables)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder ?? "",
        };
        foreach ((string name, string? value) in variables)
        {
            start.Environment[name] = value;
        }

        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += Take;
        _process.ErrorDataReceived += Take;
        _process.Start();
        _process.StandardInput.Close();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>What it has said, on stdout and stderr.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    public bool Running => !_process.HasExited;

    public static Daemon Start(string program, IEnumerable<string> arguments, string? folder = null,
        params (string Name, string? Value)[] variables) =>
        new(program, arguments, folder, variables);

    /// <summary>Runs a program to its end.</summary>
    public static async Task<(int Code, string Output)> RunAsync(
        string program, IEnumerable<string> arguments, string? folder = null, params (string Name, string? Value)[] variables)
    {
        using var run = new Daemon(program, arguments, folder, variables);
        return (await run.ExitAsync(), run.Output);
    }

    /// <summary>Runs a program that must succeed, and gives what it said.</summary>
    public static async Task<string> DoAsync(
        string program, IEnumerable<string> arguments, string? folder = null, params (string Name, string? Value)[] variables)
    {
        (int code, string output) = await RunAsync(program, arguments, folder, variables);
        Assert.True(code == 0, $"{program} {string.Join(' ', arguments)} ended with {code}:\n{output}");
        return output;
    }

    /// <summary>Waits until a condition holds; a program that ends before, or three minutes gone, is a failure.</summary>
    public async Task UntilAsync(Func<Task<bool>> happened)
    {
        long start = Stopwatch.GetTimestamp();
        while (!await happened())
        {
            Assert.True(Running, $"It ended with {(_process.HasExited ? _process.ExitCode : 0)}:\n{Output}");
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromMinutes(3), $"It did not happen within three minutes:\n{Output}");
            await Task.Delay(50);
        }
    }

    /// <summary>Sends a signal: "TERM", "KILL", "HUP".</summary>
    public void Signal(string name)
    {
        using Process kill = Process.Start("kill", [$"-{name}", _process.Id.ToString()]);
        kill.WaitForExit();
    }

    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(4));
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit(10_000);
        }

        _process.Dispose();
    }

    private void Take(object sender, DataReceivedEventArgs line)
    {
        if (line.Data is not null)
        {
            lock (_output)
            {
                _output.AppendLine(line.Data);
            }
        }
    }
}

/// <summary>A server that is ready: the built program, or a shipped form of it.</summary>
internal sealed class RunningServer : IDisposable
{
    private const string Ready = "Listening on ";

    private RunningServer(Daemon daemon, Uri address, string? key)
    {
        Daemon = daemon;
        Client = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromMinutes(3) };
        if (key is not null)
        {
            Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        }
    }

    /// <summary>The program that was built with these tests.</summary>
    public static string Built { get; } = Path.Combine(AppContext.BaseDirectory, "understory");

    public Daemon Daemon { get; }

    public HttpClient Client { get; }

    public Uri Address => Client.BaseAddress!;

    /// <param name="key">The key to send with every request.</param>
    public static async Task<RunningServer> StartAsync(
        string program, IEnumerable<string> arguments, string? folder = null, string? key =
            null, params (string Name, string? Value)[] variables)
    {
        Daemon daemon = Daemon.Start(program, arguments, folder, variables);
        try
        {
            await daemon.UntilAsync(() => Task.FromResult(daemon.Output.Contains(Ready, StringComparison.Ordinal)));
            string line = daemon.Output.Split('\n').First(line => line.StartsWith(Ready, StringComparison.Ordinal));
            var listens = new UriBuilder(line[Ready.Length..].Trim());
            listens.Host = listens.Host is "0.0.0.0" or "[::]" ? "127.0.0.1" : listens.Host;
            return new RunningServer(daemon, listens.Uri, key);
        }
        catch
        {
            daemon.Dispose();
            throw;
        }
    }

    public Task<HttpResponseMessage> PostAsync(string path, string json) =>
        Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"));

    /// <summary>The answer to a completion request of these fields.</summary>
    public async Task<JsonNode> CompleteAsync(string fields)
    {
        using HttpResponseMessage response = await PostAsync("/v1/completions", $"{{{fields}}}");
        JsonNode body = await response.JsonAsync();
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    public void Dispose()
    {
        Client.Dispose();
        Daemon.Dispose();
    }
}

/// <summary>Needs programs that a machine may lack.</summary>
public sealed class ProgramFactAttribute : FactAttribute
{
    /// <param name="programs">Names to be found on PATH.</param>
    public ProgramFactAttribute(params string[] programs)
    {
        string[] missing = [.. programs.Where(program => !Tools.Has(program))];
        if (!OperatingSystem.IsLinux())
        {
            Skip = "Ships for Linux.";
        }
        else if (missing.Length > 0)
        {
            Skip = $"Not installed: {string.Join(", ", missing)}.";
        }
    }
}
