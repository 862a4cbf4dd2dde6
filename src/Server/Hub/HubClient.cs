using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Understory.Server.Hub;

/// <summary>
/// Speaks the hub's HTTP API: what a repository holds, and the bytes of its files. Asks again after what may pass (429, 5xx, a cut
/// connection), never after what will not.
/// </summary>
public sealed partial class HubClient : IDisposable
{
    private const int MostTries = 6;
    private const int MostRedirects = 5;
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(2);

    private readonly HubSettings _settings;
    private readonly HttpClient _http;
    private readonly TimeSpan _firstWait;

    /// <param name="firstWait">Before the second try where the hub does not say how long; doubles from try to try.</param>
    public HubClient(HubSettings settings, TimeSpan firstWait)
    {
        _settings = settings;
        _firstWait = firstWait;
        // Redirects are followed by hand: the token must not follow them to another host.
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(20) })
        {
            Timeout = Timeout.InfiniteTimeSpan
        };
        _http.DefaultRequestHeaders.UserAgent.Add(
            new ProductInfoHeaderValue("understory", typeof(HubClient).Assembly.GetName().Version?.ToString(3)));
    }

    /// <summary>Is told why and how long a request waits.</summary>
    public Action<string>? Waiting { get; init; }

    /// <summary>What the repository holds at the revision.</summary>
    /// <exception cref="HubException">There is no such thing, or it may not be seen.</exception>
    public async Task<HubListing> ListAsync(HubReference reference, CancellationToken cancellation)
    {
        using JsonDocument revision = await JsonAsync(reference,
            $"api/models/{reference.Repository}/revision/{Uri.EscapeDataString(reference.Revision)}", cancellation);
        string commit = Text(revision.RootElement, "sha");
        if (!Commit().IsMatch(commit))
        {
            throw Nonsense($"a commit '{commit}'");
        }

        var files = new List<HubFile>();
        for (string? page = $"api/models/{reference.Repository}/tree/{commit}?recursive=true"; page is not null;)
        {
            using HttpResponseMessage response = await SendAsync(reference, page, null, cancellation);
            using JsonDocument tree = await ParseAsync(response, cancellation);
            if (tree.RootElement.ValueKind != JsonValueKind.Array)
            {
                throw Nonsense("a listing that is no array");
            }

            files.AddRange(tree.RootElement.EnumerateArray().Where(entry => Text(entry, "type") == "file").Select(Read));
            page = Next(response);
        }

        return new HubListing(commit, files);
    }

    /// <summary>Asks for a file's bytes from an offset on. The answer may begin at 0 all the same: 200 instead of 206.</summary>
    /// <exception cref="HubException">It cannot be had.</exception>
    public Task<HttpResponseMessage> OpenAsync(HubReference reference, string commit, HubFile file, long from,
        CancellationToken cancellation) => SendAsync(
        reference,
        AddressOf(reference, commit, file),
        from > 0 ? new RangeHeaderValue(from, null) : null,
        cancellation);

    /// <summary>So many of a file's bytes, from an offset on.</summary>
    /// <exception cref="HubException">They cannot be had.</exception>
    public async Task<byte[]> ReadAsync(HubReference reference, string commit, HubFile file, long from, long count,
        CancellationToken cancellation)
    {
        for (int tried = 1; ; tried++)
        {
            RangeHeaderValue? range = count > 0 && count < file.Size ? new RangeHeaderValue(from, from + count - 1) : null;
            using HttpResponseMessage response = await SendAsync(reference, AddressOf(reference, commit, file), range, cancellation);
            using var silent = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            silent.CancelAfter(LongestWait);
            try
            {
                using Stream content = await response.Content.ReadAsStreamAsync(silent.Token);
                byte[] bytes = new byte[count];
                // Who knows no ranges sends all from the beginning.
                for (long skip = response.StatusCode == HttpStatusCode.PartialContent ? 0 : from; skip > 0;)
                {
                    int some = (int)Math.Min(skip, count);
                    await content.ReadExactlyAsync(bytes.AsMemory(0, some), silent.Token);
                    skip -= some;
                }

                await content.ReadExactlyAsync(bytes, silent.Token);
                return bytes;
            }
            catch (Exception error) when (error is IOException or HttpRequestException
                || (error is OperationCanceledException && !cancellation.IsCancellationRequested))
            {
                await WaitAsync(tried, null, $"{file.Path} was cut", error, cancellation);
            }
        }
    }

    /// <summary>Waits before another try.</summary>
    /// <exception cref="HubException">There were enough tries.</exception>
    public async Task WaitAsync(int tried, TimeSpan? asked, string why, Exception? error, CancellationToken cancellation)
    {
        if (tried >= MostTries)
        {
            throw new HubException($"{_settings.Endpoint.Host}: {why}, {tried} times; try again later: what has come is kept.", error);
        }

        TimeSpan wait = asked ?? _firstWait * Math.Pow(2, tried - 1);
        wait = wait < LongestWait ? wait : LongestWait;
        Waiting?.Invoke($"{why}; trying again in {wait.TotalSeconds:F0} s");
        await Task.Delay(wait, cancellation);
    }

    public void Dispose() => _http.Dispose();

    private static string AddressOf(HubReference reference, string commit, HubFile file) =>
        $"{reference.Repository}/resolve/{commit}/{string.Join('/', file.Path.Split('/').Select(Uri.EscapeDataString))}";

    private static HubFile Read(JsonElement entry)
    {
        bool large = entry.TryGetProperty("lfs", out JsonElement lfs) && lfs.ValueKind == JsonValueKind.Object;
        var file = new HubFile(Text(entry, "path"), entry.TryGetProperty("size", out JsonElement size) && size.TryGetInt64(out long bytes)
            ? bytes : -1, Text(large ? lfs : entry, "oid"));
        // A listing decides where files are written: names that lead elsewhere are refused.
        bool safe = file.Path.Split('/').All(part => part.Length > 0 && part is not ("." or ".."))
            && file.Path.IndexOfAny(['\\', ':', '\0']) < 0;
        return safe && file.Size >= 0 && Hash().IsMatch(file.Hash)
            ? file : throw Nonsense($"a file '{file.Path}' of {file.Size} bytes with the sum '{file.Hash}'");
    }

    private async Task<JsonDocument> JsonAsync(HubReference reference, string path, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await SendAsync(reference, path, null, cancellation);
        return await ParseAsync(response, cancellation);
    }

    private static async Task<JsonDocument> ParseAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        try
        {
            return await JsonDocument.ParseAsync(await response.Content.ReadAsStreamAsync(cancellation), cancellationToken: cancellation);
        }
        catch (JsonException error)
        {
            throw new HubException($"{response.RequestMessage?.RequestUri} does not answer with JSON; is HF_ENDPOINT a hub?", error);
        }
    }

    /// <summary>A good answer, whatever it takes.</summary>
    private async Task<HttpResponseMessage> SendAsync(HubReference reference, string path, RangeHeaderValue? range,
        CancellationToken cancellation)
    {
        for (int tried = 1; ; tried++)
        {
            HttpResponseMessage response;
            try
            {
                response = await FollowAsync(new Uri(_settings.Endpoint, path), range, cancellation);
            }
            catch (HttpRequestException error)
            {
                await WaitAsync(tried, null, error.InnerException?.Message ?? error.Message, error, cancellation);
                continue;
            }

            if (response.IsSuccessStatusCode)
            {
                return response;
            }

            using (response)
            {
                if (response.StatusCode != HttpStatusCode.TooManyRequests && (int)response.StatusCode < 500)
                {
                    throw Refused(reference, response);
                }

                TimeSpan? asked = response.Headers.RetryAfter is { } after ? after.Delta ?? after.Date - DateTimeOffset.UtcNow : null;
                await WaitAsync(tried, asked > TimeSpan.Zero ? asked : null, $"the hub answers {(int)response.StatusCode}", null,
                    cancellation);
            }
        }
    }

    private async Task<HttpResponseMessage> FollowAsync(Uri address, RangeHeaderValue? range, CancellationToken cancellation)
    {
        bool trusted = true;
        for (int redirects = 0; ; redirects++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, address);
            request.Headers.Range = range;
            if (trusted && _settings.Token is { } token)
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            }

            HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
            if ((int)response.StatusCode is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location)
            {
                return response;
            }

            response.Dispose();
            var next = new Uri(address, location);
            if (redirects == MostRedirects || next.Scheme is not ("http" or "https")
                || (address.Scheme == "https" && next.Scheme == "http"))
            {
                throw new HubException($"{address} leads to {next}, which is not followed.");
            }

            trusted &= next.Authority == _settings.Endpoint.Authority && next.Scheme == _settings.Endpoint.Scheme;
            address = next;
        }
    }

    private HubException Refused(HubReference reference, HttpResponseMessage response)
    {
        string code = response.Headers.TryGetValues("X-Error-Code", out IEnumerable<string>? codes) ? codes.First() : "";
        string remedy = _settings.Token is null ? "set HF_TOKEN to a token that may read it" : "the token in HF_TOKEN may not read it";
        return (code, (int)response.StatusCode) switch
        {
            ("GatedRepo", _) => new($"{reference.Repository} is gated: accept its terms on {_settings.Endpoint.Host}, then "
                + $"{(_settings.Token is null ? "set HF_TOKEN" : "try again")}."),
            ("RevisionNotFound", _) => new($"{reference.Repository} has no revision '{reference.Revision}'."),
            // The hub answers 401 for what does not exist, too: it does not tell strangers what does.
            (_, 401) => new($"{reference.Repository} does not exist on {_settings.Endpoint.Host}, or is private: {remedy}."),
            (_, 403) => new($"{reference.Repository} is refused by {_settings.Endpoint.Host}: {remedy}."),
            (_, 404) => new($"{reference} does not exist on {_settings.Endpoint.Host}."),
            (_, var status) => new($"{response.RequestMessage?.RequestUri} answers {status}."),
        };
    }

    /// <summary>The next page of a listing, where the answer's Link header names one on the same hub.</summary>
    private string? Next(HttpResponseMessage response)
    {
        if (!response.Headers.TryGetValues("Link", out IEnumerable<string>? links)
            || NextLink().Match(string.Join(',', links)) is not { Success: true } match)
        {
            return null;
        }

        var next = new Uri(_settings.Endpoint, match.Groups[1].Value);
        return next.Authority == _settings.Endpoint.Authority ? next.PathAndQuery : throw Nonsense($"a listing that goes on at {next}");
    }

    private static string Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value)
            && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw Nonsense($"an entry without '{name}'");

    private static HubException Nonsense(string what) => new($"The hub answers with {what}; is HF_ENDPOINT a hub?");

    [GeneratedRegex("^[0-9a-f]{40}$")]
    private static partial Regex Commit();

    [GeneratedRegex("^([0-9a-f]{40}|[0-9a-f]{64})$")]
    private static partial Regex Hash();

    [GeneratedRegex("<([^>]+)>\\s*;\\s*rel=\"?next\"?")]
    private static partial Regex NextLink();
}
