using System.Net;
using Understory.Server.Wire;

namespace Understory.Server.Hosting;

/// <summary>
/// Who may ask. Keys are compared in constant time. On loopback the Host and Origin headers must name this machine: a web page elsewhere
/// can make a visitor's browser talk to 127.0.0.1 (DNS rebinding), but it cannot make it lie about where the page came from.
/// </summary>
public sealed class AccessGuard
{
    private readonly ApiKeys _keys;
    private readonly HostNames _hosts;
    private readonly CrossOrigin _pages;
    private readonly HashSet<string> _open;
    private readonly bool _checkHosts;

    public AccessGuard(ServerOptions options, ApiKeys keys)
    {
        _keys = keys;
        _hosts = new HostNames(options.AllowedHosts);
        _pages = new CrossOrigin(options.CorsOrigins);
        // Whether it lives is no secret, and those who ask (orchestrators) carry no key.
        _open = new HashSet<string>(["/health", "/health/", .. options.OpenPaths], StringComparer.OrdinalIgnoreCase);
        _checkHosts = (options.IsLoopback || _hosts.Any) && !_hosts.All;
    }

    /// <summary>Lets the request through to <paramref name="next"/>, or answers a browser's question whether it would.</summary>
    /// <exception cref="ApiException">403: a foreign Host or Origin. 401: no key or a wrong one.</exception>
    public Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        CheckOrigin(http.Request);
        if (_pages.Answer(http))
        {
            return Task.CompletedTask;
        }

        if (_keys.Any && !IsOpen(http.Request.Path.Value ?? "") && !HasKey(http.Request))
        {
            throw new ApiException(401, "A valid key is needed: send the header 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
                code: "invalid_api_key");
        }

        return next(http);
    }

    /// <summary>Where <c>/</c> is open all files of the page are: it asks its visitor for the key.</summary>
    private bool IsOpen(string path) => _open.Contains(path) || (_open.Contains("/") && PageFiles.At(path) is not null);

    private void CheckOrigin(HttpRequest request)
    {
        if (!_checkHosts)
        {
            return;
        }

        // Every browser sends a Host; old probes that speak HTTP/1.0 do not.
        if (request.Host.HasValue && !IsAllowed(request.Host.Host, request.Host.Port))
        {
            throw new ApiException(403, $"The Host header names '{request.Host.Host}', which is not this machine; --allowed-hosts admits "
                + "further names.", code: "host_not_allowed");
        }

        if (request.Headers.Origin.ToString() is { Length: > 0 } origin
            && !_pages.Allows(origin)
            && !(Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri) && IsAllowed(uri.IdnHost, uri.Port)))
        {
            throw new ApiException(403, $"Pages of '{origin}' may not use this server; --cors-origins admits them.",
                code: "origin_not_allowed");
        }
    }

    /// <summary>OpenAI's clients send a bearer token, Anthropic's <c>x-api-key</c>.</summary>
    private bool HasKey(HttpRequest request)
    {
        const string Scheme = "Bearer ";
        string header = request.Headers.Authorization.ToString();
        string own = request.Headers["x-api-key"].ToString();
        bool bearer = header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) && _keys.Contains(header[Scheme.Length..].Trim());
        return bearer || (own.Length > 0 && _keys.Contains(own.Trim()));
    }

    private bool IsAllowed(string host, int? port)
    {
        string name = host.Trim('[', ']');
        bool here = name.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || name.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(name, out IPAddress? address) && IPAddress.IsLoopback(address));
        return here || _hosts.Contains(name, port);
    }
}
