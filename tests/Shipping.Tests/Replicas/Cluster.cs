namespace Understory.Shipping.Tests.Replicas;

/// <summary>Three replicas behind a real nginx with the shipped configuration, on loopback ports.</summary>
public sealed class Cluster : IAsyncLifetime
{
    private static readonly string _shipped = Path.Combine(Tools.Root, "docker", "nginx");
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;
    private readonly RunningServer[] _replicas = new RunningServer[3];
    private readonly int[] _ports = [.. Enumerable.Range(0, 3).Select(_ => Tools.FreePort())];
    private Daemon? _nginx;

    /// <summary>Talks to nginx.</summary>
    public HttpClient Client { get; private set; } = new();

    internal IReadOnlyList<RunningServer> Replicas => _replicas;

    public static bool Possible => OperatingSystem.IsLinux() && Tools.Has("nginx");

    public async Task InitializeAsync()
    {
        if (!Possible)
        {
            return;
        }

        await Task.WhenAll(Enumerable.Range(0, _replicas.Length).Select(StartAsync));
        int port = Tools.FreePort();
        // The workers of a root's nginx are nobody.
        File.SetUnixFileMode(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherRead
            | UnixFileMode.OtherExecute);
        string config = File.ReadAllText(Path.Combine(_shipped, "nginx.conf"));
        Assert.Contains("listen 8088;", config);
        File.WriteAllText(Path.Combine(_folder, "nginx.conf"), config.Replace("listen 8088;", $"listen 127.0.0.1:{port};")
            .Replace(" /tmp/", $" {_folder}/"));
        string replicas = File.ReadAllText(Path.Combine(_shipped, "replicas.conf"));
        for (int i = 0; i < _ports.Length; i++)
        {
            replicas = replicas.Replace($"replica-{i + 1}:8080", $"127.0.0.1:{_ports[i]}");
        }

        File.WriteAllText(Path.Combine(_folder, "replicas.conf"), replicas);
        string[] arguments = ["-p", _folder, "-c", Path.Combine(_folder, "nginx.conf"), "-e", "stderr"];
        await Daemon.DoAsync("nginx", [.. arguments, "-t"]);
        _nginx = Daemon.Start("nginx", [.. arguments, "-g", "daemon off;"]);
        Client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromMinutes(3) };
        await _nginx.UntilAsync(async () =>
        {
            try
            {
                return (await Client.GetAsync("/health")).IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        });
    }

    /// <summary>Starts a replica on its port, also again after it has gone.</summary>
    public async Task StartAsync(int replica)
    {
        _replicas[replica]?.Dispose();
        _replicas[replica] = await RunningServer.StartAsync(
            RunningServer.Built,
            ["--port", _ports[replica].ToString(), "--threads", "1", "--max-queue", "4", "--drain-seconds", "60", "--prefix-cache-mb",
                "128"]);
    }

    /// <summary>The replica that answered a request last; waits for nginx's log, which tells it once the answer is out.</summary>
    /// <param name="id">The x-request-id that was sent.</param>
    public async Task<int> ReplicaOfAsync(string id)
    {
        string? line = null;
        await _nginx!.UntilAsync(() => Task.FromResult((line = LineOf(id)) is not null));
        string address = LastAddress(line!);
        return Array.FindIndex(_ports, port => address == $"127.0.0.1:{port}");
    }

    /// <summary>nginx's line about a request that is over; null: it is not.</summary>
    public string? LineOf(string id) =>
        _nginx!.Output.Split('\n').FirstOrDefault(line => line.TrimEnd().EndsWith($"id={id}", StringComparison.Ordinal));

    public Task DisposeAsync()
    {
        Client.Dispose();
        _nginx?.Dispose();
        foreach (RunningServer? replica in _replicas)
        {
            replica?.Dispose();
        }

        Directory.Delete(_folder, recursive: true);
        return Task.CompletedTask;
    }

    /// <summary>
    /// "a:1, b:2 : c:3 503, 200 200": nginx lists every address that it tried, commas within a pool and colons between pools.
    /// </summary>
    private static string LastAddress(string line) =>
        line.Split("replica=")[1].Split(' ', ',').Last(part => part.StartsWith("127.0.0.1:", StringComparison.Ordinal));
}

/// <summary>Needs nginx.</summary>
public sealed class NginxFactAttribute : FactAttribute
{
    public NginxFactAttribute()
    {
        if (!Cluster.Possible)
        {
            Skip = "nginx is not installed (Debian package nginx-light).";
        }
    }
}
