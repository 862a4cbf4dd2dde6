using Microsoft.Extensions.Primitives;

namespace Understory.Server.Hosting;

/// <summary>
/// What pages of other origins may do (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol): nothing, unless <c>--cors-origins</c>
/// names them. A named page may use the API like any other client; cookies are never asked for, so keys still have to be sent.
/// </summary>
public sealed class CrossOrigin
{
    private const string Methods = "GET, HEAD, POST, OPTIONS";
    private const string DefaultHeaders = "Authorization, Content-Type, X-Api-Key, X-Request-Id";

    private readonly HashSet<string> _origins = new(StringComparer.OrdinalIgnoreCase);
    private readonly bool _all;

    /// <exception cref="ArgumentException">An entry is no origin.</exception>
    public CrossOrigin(IEnumerable<string> origins)
    {
        foreach (string origin in origins)
        {
            if (origin == "*")
            {
                _all = true;
                continue;
            }

            _origins.Add(Read(origin) ?? throw new ArgumentException($"'{origin}' is no origin.", nameof(origins)));
        }
    }

    /// <summary>Whether the entry can be one of <c>--cors-origins</c>.</summary>
    public static bool IsOrigin(string entry) => entry == "*" || Read(entry) is not null;

    /// <summary>A scheme, a host and a port where it is not the scheme's own: so browsers write it.</summary>
    /// <returns>Null: it is no origin.</returns>
    private static string? Read(string origin) => Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri)
        && uri is { IsFile: false, PathAndQuery: "" or "/", Fragment: "", UserInfo: "", Host.Length: > 0 }
        ? uri.GetLeftPart(UriPartial.Authority) : null;

    public bool Allows(string origin) => _all || _origins.Contains(origin);

    /// <summary>Says to the browser what it may show to the page.</summary>
    /// <returns>True: the request was a preflight and is answered.</returns>
    public bool Answer(HttpContext http)
    {
        IHeaderDictionary headers = http.Response.Headers;
        string origin = http.Request.Headers.Origin.ToString();
        if (!_all && _origins.Count > 0)
        {
            // The answer depends on it, also where it is missing: caches must know.
            headers.Vary = StringValues.Concat(headers.Vary, "Origin");
        }

        if (origin.Length == 0 || !Allows(origin))
        {
            return false;
        }

        headers.AccessControlAllowOrigin = _all ? "*" : origin;
        headers.AccessControlExposeHeaders = "X-Request-Id, Retry-After, X-Understory-Warning";
        if (!HttpMethods.IsOptions(http.Request.Method) || http.Request.Headers.AccessControlRequestMethod.Count == 0)
        {
            return false;
        }

        string asked = http.Request.Headers.AccessControlRequestHeaders.ToString();
        http.Response.StatusCode = StatusCodes.Status204NoContent;
        headers.AccessControlAllowMethods = Methods;
        // A page may send what headers it likes: SDKs add many of their own, and none of them means anything here.
        headers.AccessControlAllowHeaders = asked.Length > 0 ? asked : DefaultHeaders;
        headers.AccessControlMaxAge = "600";
        if (http.Request.Headers["Access-Control-Request-Private-Network"] == "true")
        {
            headers["Access-Control-Allow-Private-Network"] = "true";
        }

        return true;
    }
}
