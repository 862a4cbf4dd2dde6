using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Understory.Server.Tests.Hub;

/// <summary>
/// A hub on loopback, and behind it, on a port of its own, the store that large files are redirected to. Faults are put in line per file
/// and happen once each.
/// </summary>
internal sealed class FakeHub : IAsyncDisposable
{
    private readonly WebApplication _hub;
    private readonly WebApplication _store;
    private readonly ConcurrentDictionary<string, ConcurrentQueue<Func<HttpContext, byte[], Task>>> _faults = new();
    private readonly Dictionary<string, Dictionary<string, (byte[] Content, bool Large)>> _repositories = [];

    private FakeHub()
    {
        _hub = Build();
        _store = Build();
        _hub.MapGet("/api/models/{owner}/{name}/revision/{revision}", Revision);
        _hub.MapGet("/api/models/{owner}/{name}/tree/{commit}", Tree);
        _hub.MapMethods("/{owner}/{name}/resolve/{revision}/{**path}", ["GET", "HEAD"], Resolve);
        _store.MapGet("/store/{hash}", Store);
    }

    public const string Repository = "someone/tiny";

    public string Commit { get; set; } = new('a', 40);

    /// <summary>Needed where it is set.</summary>
    public string? Token { get; set; }

    /// <summary>Entries of a listing's page.</summary>
    public int Page { get; set; } = 1000;

    /// <summary>"GET path", with "+token" where the request carried one and the range where it asked for one.</summary>
    public ConcurrentQueue<string> Requests { get; } = [];

    public Uri Address => AddressOf(_hub);

    public static async Task<FakeHub> StartAsync()
    {
        var hub = new FakeHub();
        await hub._hub.StartAsync();
        await hub._store.StartAsync();
        return hub;
    }

    public void Add(string path, byte[] content, bool large = false, string repository = Repository)
    {
        _repositories.TryAdd(repository, []);
        _repositories[repository][path] = (content, large);
    }

    /// <summary>Answers the next request for the file's bytes with so many of them, and then cuts the connection.</summary>
    /// <param name="read">
    /// The cut waits for it: the reset throws away what the client has not read yet. Null: the client may have read nothing.
    /// </param>
    public void Cut(string path, int after, Task? read = null) => Fault(path, async (http, content) =>
    {
        http.Response.ContentLength = content.Length;
        await http.Response.Body.WriteAsync(content.AsMemory(0, after));
        await http.Response.Body.FlushAsync();
        await (read ?? Task.CompletedTask).WaitAsync(TimeSpan.FromMinutes(3));
        http.Abort();
    });

    public void Spoil(string path) => Fault(path, (http, content) =>
    {
        byte[] wrong = [.. content];
        wrong[^1] ^= 1;
        return http.Response.Body.WriteAsync(wrong).AsTask();
    });

    public void Answer(string path, int status, int? retryAfter = null) => Fault(path, (http, _) =>
    {
        http.Response.StatusCode = status;
        if (retryAfter is { } seconds)
        {
            http.Response.Headers.RetryAfter = seconds.ToString();
        }

        return Task.CompletedTask;
    });

    public async ValueTask DisposeAsync()
    {
        await _hub.DisposeAsync();
        await _store.DisposeAsync();
    }

    /// <summary>The id that git gives a file of this content.</summary>
    public static string GitHash(byte[] content)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {content.Length}\0"));
        hash.AppendData(content);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static Uri AddressOf(WebApplication app) =>
        new(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    private static WebApplication Build()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Services.AddRoutingCore();
        return builder.Build();
    }

    private void Fault(string path, Func<HttpContext, byte[], Task> fault) => _faults.GetOrAdd(path, _ => []).Enqueue(fault);

    private static string HashOf((byte[] Content, bool Large) file) =>
        file.Large ? Convert.ToHexStringLower(SHA256.HashData(file.Content)) : GitHash(file.Content);

    private static string Asked(HttpContext http) => $"{http.Request.RouteValues["owner"]}/{http.Request.RouteValues["name"]}";

    private bool Refused(HttpContext http)
    {
        string? sent = http.Request.Headers.Authorization;
        string range = http.Request.Headers.Range.ToString() is { Length: > 0 } asked ? " " + asked : "";
        Requests.Enqueue($"{http.Request.Method} {http.Request.Path}{(sent is null ? "" : "+token")}{range}");
        bool known = _repositories.ContainsKey(Asked(http));
        if (known && (Token is null || sent == "Bearer " + Token))
        {
            return false;
        }

        http.Response.StatusCode = Token is null || known ? (known ? 401 : 404) : 401;
        return true;
    }

    private Task Revision(HttpContext http)
    {
        if (Refused(http))
        {
            return Task.CompletedTask;
        }

        if ((string)http.Request.RouteValues["revision"]! is not "main" and not "v1"
            && (string)http.Request.RouteValues["revision"]! != Commit)
        {
            http.Response.StatusCode = 404;
            http.Response.Headers["X-Error-Code"] = "RevisionNotFound";
            return Task.CompletedTask;
        }

        IEnumerable<JsonNode> siblings =
            _repositories[Asked(http)].Keys.Select(path => (JsonNode)new JsonObject { ["rfilename"] = path });
        return http.Response.WriteAsJsonAsync(
            new JsonObject { ["id"] = Asked(http), ["sha"] = Commit, ["siblings"] = new JsonArray([.. siblings]) });
    }

    private Task Tree(HttpContext http)
    {
        if (Refused(http))
        {
            return Task.CompletedTask;
        }

        int from = int.Parse(http.Request.Query["cursor"].FirstOrDefault() ?? "0");
        var files = _repositories[Asked(http)];
        var entries = new JsonArray([.. files.Skip(from).Take(Page).Select(pair => (JsonNode)Entry(pair.Key, pair.Value))]);
        entries.Add(new JsonObject { ["type"] = "directory", ["oid"] = new string('d', 40), ["size"] = 0, ["path"] = "folder" });
        if (from + Page < files.Count)
        {
            http.Response.Headers.Link =
                $"<{Address}api/models/{Asked(http)}/tree/{Commit}?recursive=true&cursor={from + Page}>; rel=\"next\"";
        }

        return http.Response.WriteAsJsonAsync(entries);
    }

    private static JsonObject Entry(string path, (byte[] Content, bool Large) file)
    {
        var entry = new JsonObject { ["type"] = "file", ["oid"] = GitHash(file.Content), ["size"] = file.Content.Length, ["path"] = path };
        if (file.Large)
        {
            entry["lfs"] = new JsonObject { ["oid"] = HashOf(file), ["size"] = file.Content.Length, ["pointerSize"] = 134 };
        }

        return entry;
    }

    private async Task Resolve(HttpContext http)
    {
        string path = (string)http.Request.RouteValues["path"]!;
        if (Refused(http))
        {
            return;
        }

        if (!_repositories[Asked(http)].TryGetValue(path, out var file))
        {
            http.Response.StatusCode = 404;
            return;
        }

        http.Response.Headers["X-Repo-Commit"] = Commit;
        http.Response.Headers.ETag = $"\"{HashOf(file)}\"";
        if (file.Large)
        {
            http.Response.Headers["X-Linked-ETag"] = $"\"{HashOf(file)}\"";
            http.Response.Headers["X-Linked-Size"] = file.Content.Length.ToString();
            http.Response.StatusCode = 302;
            http.Response.Headers.Location = $"{AddressOf(_store)}store/{HashOf(file)}";
            return;
        }

        await SendAsync(http, path, file.Content);
    }

    private Task Store(HttpContext http)
    {
        string sent = http.Request.Headers.Authorization.Count > 0 ? "+token" : "";
        string range = http.Request.Headers.Range.ToString() is { Length: > 0 } asked ? " " + asked : "";
        string hash = (string)http.Request.RouteValues["hash"]!;
        var (path, file) = _repositories.Values.SelectMany(files => files).First(pair => pair.Value.Large && HashOf(pair.Value) == hash);
        Requests.Enqueue($"GET store/{path}{sent}{range}");
        return SendAsync(http, path, file.Content);
    }

    private async Task SendAsync(HttpContext http, string path, byte[] content)
    {
        if (http.Request.Method == "GET" && _faults.TryGetValue(path, out var faults) && faults.TryDequeue(out var fault))
        {
            await fault(http, content);
            return;
        }

        // Open-ended or closed ranges, as clients ask for them.
        int from = 0;
        int to = content.Length - 1;
        if (http.Request.GetTypedHeaders().Range?.Ranges.FirstOrDefault() is { } range)
        {
            from = (int)(range.From ?? 0);
            to = (int)Math.Min(range.To ?? to, to);
            http.Response.StatusCode = 206;
            http.Response.Headers.ContentRange = $"bytes {from}-{to}/{content.Length}";
        }

        http.Response.ContentLength = to - from + 1;
        if (http.Request.Method == "GET")
        {
            await http.Response.Body.WriteAsync(content.AsMemory(from, to - from + 1));
        }
    }
}
