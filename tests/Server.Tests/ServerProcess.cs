using System.Diagnostics;
using System.Text;

namespace Understory.Server.Tests;

/// <summary>The built program as a process of its own.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();
    private readonly TaskCompletionSource<Uri> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ServerProcess(string[] arguments, string? input, string? folder, (string, string)[] variables)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "understory"), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            WorkingDirectory = folder ?? "",
        };
        start.Environment["XDG_CACHE_HOME"] = Cache;
        foreach ((string name, string value) in variables)
        {
            start.Environment[name] = value;
        }

        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => Take(_output, line.Data);
        _process.ErrorDataReceived += (_, line) => Take(_errors, line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        if (input is not null)
        {
            _process.StandardInput.Write(input);
        }

        _process.StandardInput.Close();
    }

    /// <summary>What servers of the tests keep between starts is not the user's.</summary>
    public static string Cache { get; } = Path.Combine(Path.GetTempPath(), $"understory-tests-{Environment.ProcessId}");

    public int Id => _process.Id;

    public string Output => Read(_output);

    public string Errors => Read(_errors);

    public HttpClient Client { get; } = new();

    /// <summary>Runs the program to its end.</summary>
    public static async Task<(int Code, string Output, string Errors)> RunAsync(
        string[] arguments, string? input = null, string? folder = null, params (string, string)[] variables)
    {
        using var process = new ServerProcess(arguments, input, folder, variables);
        return (await process.ExitAsync(), process.Output, process.Errors);
    }

    /// <summary>Starts a server on a free port and waits for its ready line.</summary>
    public static async Task<ServerProcess> StartAsync(params string[] arguments)
    {
        var server = new ServerProcess(["--port", "0", .. arguments], null, null, []);
        Task exit = server._process.WaitForExitAsync();
        if (await Task.WhenAny(server._ready.Task, exit).WaitAsync(TimeSpan.FromMinutes(3)) == exit)
        {
            string errors = server.Errors;
            server.Dispose();
            Assert.Fail(errors);
        }

        server.Client.BaseAddress = await server._ready.Task;
        return server;
    }

    public void Signal(string name)
    {
        using Process kill = Process.Start("kill", [$"-{name}", _process.Id.ToString()]);
        kill.WaitForExit();
    }

    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
        Client.Dispose();
    }

    private static string Read(StringBuilder text)
    {
        lock (text)
        {
            return text.ToString();
        }
    }

    private void Take(StringBuilder text, string? line)
    {
        const string Ready = "Listening on ";
        // How far a load is, which only a slow machine tells.
        const string Progress = "reading the ";
        if (line is null || line.StartsWith(Progress, StringComparison.Ordinal))
        {
            return;
        }

        lock (text)
        {
            text.AppendLine(line);
        }

        if (line.StartsWith(Ready, StringComparison.Ordinal))
        {
            _ready.TrySetResult(new Uri(line[Ready.Length..]));
        }
    }
}

/// <summary>Needs signals and the program's own executable: Linux or macOS.</summary>
public sealed class ProcessFactAttribute : FactAttribute
{
    public ProcessFactAttribute()
    {
        if (OperatingSystem.IsWindows())
        {
            Skip = "Signals are sent with kill.";
        }
    }
}
