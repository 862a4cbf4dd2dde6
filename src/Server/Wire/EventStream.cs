using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Http.Features;

namespace Understory.Server.Wire;

/// <summary>
/// A response of server-sent events. The status line goes out with the first event or comment, so a request that fails before it has
/// anything to say is still answered with a plain error.
/// </summary>
public sealed class EventStream(HttpResponse response)
{
    private PipeWriter? _body;
    private long _lastSent = Stopwatch.GetTimestamp();
    private long _blockedSince;

    public bool Started => _body is not null;

    /// <summary>Nothing was sent for about as long as <paramref name="span"/>.</summary>
    public bool Quiet(TimeSpan span) => Stopwatch.GetElapsedTime(_lastSent) > 0.9 * span;

    /// <summary>
    /// The client has taken nothing for longer than <paramref name="span"/>, although something waits for it. For any thread.
    /// </summary>
    public bool Blocked(TimeSpan span) => Volatile.Read(ref _blockedSince) is var since and > 0 && Stopwatch.GetElapsedTime(since) > span;

    /// <summary>Sends events, all of them in one write.</summary>
    public Task SendAsync(IEnumerable<StreamEvent> events)
    {
        PipeWriter? output = null;
        foreach (StreamEvent item in events)
        {
            Write(output ??= Open(), item);
        }

        return output is null ? Task.CompletedTask : FlushAsync(output);
    }

    /// <summary>A comment, which clients skip: it keeps proxies and timeouts calm.</summary>
    public Task SendCommentAsync()
    {
        PipeWriter output = Open();
        output.Write(": waiting\n\n"u8);
        return FlushAsync(output);
    }

    /// <summary>
    /// Ends with what tells of an error in mid-stream, and then the connection breaks, since some clients look at neither the event nor the
    /// missing end.
    /// </summary>
    public async Task FailAsync(IEnumerable<StreamEvent> events)
    {
        await SendAsync(events);
        // The event is in the transport's hands now, not yet on the wire; an abort would overtake it.
        await Task.Delay(100);
        response.HttpContext.Abort();
    }

    private static void Write(PipeWriter output, StreamEvent item)
    {
        if (item.Name is not null)
        {
            output.Write("event: "u8);
            Encoding.ASCII.GetBytes(item.Name, output);
            output.Write("\n"u8);
        }

        output.Write("data: "u8);
        if (item.Body is { } body)
        {
            Json.Write(output, body);
        }
        else
        {
            output.Write("[DONE]"u8);
        }

        output.Write("\n\n"u8);
    }

    private async Task FlushAsync(PipeWriter output)
    {
        _lastSent = Stopwatch.GetTimestamp();
        Volatile.Write(ref _blockedSince, _lastSent);
        await output.FlushAsync();
        Volatile.Write(ref _blockedSince, 0);
    }

    private PipeWriter Open()
    {
        if (_body is null)
        {
            response.StatusCode = StatusCodes.Status200OK;
            response.ContentType = "text/event-stream; charset=utf-8";
            response.Headers.CacheControl = "no-cache";
            // Reverse proxies of the nginx kind hold streams back without it.
            response.Headers["X-Accel-Buffering"] = "no";
            response.HttpContext.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
            _body = response.BodyWriter;
        }

        return _body;
    }
}
