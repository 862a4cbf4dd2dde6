using Microsoft.AspNetCore.Server.Kestrel.Core;
using Understory.Server.Wire;

namespace Understory.Server.Hosting;

/// <summary>
/// What one connection may cost. Where Kestrel ends a connection by itself the client sees a bare status; heads that are merely too large
/// still get an answer in the API's shape, because Kestrel takes twice of what is allowed here.
/// </summary>
public sealed record ConnectionLimits
{
    /// <summary>Connections open at once; further ones are closed unanswered.</summary>
    public int MostConnections { get; init; } = 5000;

    /// <summary>Bytes of all headers together.</summary>
    public int HeaderBytes { get; init; } = 32 << 10;

    /// <summary>Bytes of method, path and query.</summary>
    public int RequestLineBytes { get; init; } = 8 << 10;

    /// <summary>From a request's first byte to the end of its headers: who takes longer holds a connection for nothing.</summary>
    public TimeSpan HeaderTime { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>An idle connection is closed after this time.</summary>
    public TimeSpan IdleTime { get; init; } = TimeSpan.FromSeconds(130);

    /// <summary>Bytes per second that a client must send of a body, and take of an answer that waits for it.</summary>
    public double LeastRate { get; init; } = 1024;

    /// <summary>How long <see cref="LeastRate"/> may be missed.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A stream of which the client has taken nothing for this long is given up.</summary>
    public TimeSpan StallTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Events of a stream that may wait for its client before the stream is given up: about 8 MB.</summary>
    public int MostUnread { get; init; } = 1 << 15;

    public void Apply(KestrelServerLimits limits)
    {
        limits.MaxConcurrentConnections = MostConnections;
        limits.MaxRequestHeadersTotalSize = 2 * HeaderBytes;
        limits.MaxRequestLineSize = 2 * RequestLineBytes;
        limits.MaxRequestHeaderCount = 200;
        limits.RequestHeadersTimeout = HeaderTime;
        limits.KeepAliveTimeout = IdleTime;
        limits.MinRequestBodyDataRate = new MinDataRate(LeastRate, Grace);
        limits.MinResponseDataRate = new MinDataRate(LeastRate, Grace);
        // Bodies are measured where they are read, so that the client of one too large still gets its answer.
        limits.MaxRequestBodySize = null;
    }

    /// <summary>Refuses a head that is too large.</summary>
    /// <exception cref="ApiException">414: the request line. 431: the headers.</exception>
    public Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        HttpRequest request = http.Request;
        if (request.Path.ToUriComponent().Length + request.QueryString.ToUriComponent().Length > RequestLineBytes)
        {
            throw new ApiException(414, $"The path is longer than {RequestLineBytes >> 10} KiB; parameters belong into the JSON body.");
        }

        long bytes = 0;
        foreach ((string name, Microsoft.Extensions.Primitives.StringValues values) in request.Headers)
        {
            foreach (string? value in values)
            {
                // ": " and the line's end.
                bytes += name.Length + (value?.Length ?? 0) + 4;
            }
        }

        return bytes <= HeaderBytes
            ? next(http)
            : throw new ApiException(431, $"The headers are longer than {HeaderBytes >> 10} KiB together; send fewer or shorter ones.");
    }
}
