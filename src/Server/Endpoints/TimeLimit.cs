using System.Diagnostics;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>How long a request may take, from its arrival on.</summary>
public static class TimeLimit
{
    /// <summary>What is left of it; null: there is no limit.</summary>
    public static TimeSpan? Left(HttpContext http, ServerOptions options)
    {
        TimeSpan? left = options.RequestLimit - Stopwatch.GetElapsedTime(RequestRecord.Of(http).OpenedAt);
        return left < TimeSpan.Zero ? TimeSpan.Zero : left;
    }

    /// <summary>Does something that stops when the request's time is over, or its client has left.</summary>
    /// <exception cref="ApiException">504: it is.</exception>
    /// <exception cref="OperationCanceledException">The client has left.</exception>
    public static T Within<T>(HttpContext http, ServerOptions options, Func<CancellationToken, T> work)
    {
        using var over = new CancellationTokenSource(Left(http, options) ?? Timeout.InfiniteTimeSpan, options.Clock);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, over.Token);
        try
        {
            return work(stop.Token);
        }
        catch (OperationCanceledException) when (!http.RequestAborted.IsCancellationRequested)
        {
            throw Over(options);
        }
    }

    public static ApiException Over(ServerOptions options) => new(
        504, $"The request took longer than the {options.RequestLimit!.Value.TotalSeconds:F0} s that this server allows.",
        code: "request_timeout");
}
