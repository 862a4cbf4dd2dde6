using Microsoft.AspNetCore.Http.Features;
using Understory.Models.Tokenizers;
using Understory.Server.Anthropic;
using Understory.Server.Observability;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>
/// The outermost layer: every request gets an id, every failure the error object of its API, and every answer one line in the log and one
/// count in the metrics.
/// </summary>
public sealed class RequestPipeline(ApiRoutes routes, ServerMetrics metrics, ILogger<RequestPipeline> log)
{
    private const int ClientWentAway = 499;
    private const string Head = "{Id} {Endpoint} {Status}";
    private const string Refused = Head + " {Code} {Field}";
    private const string Figures =
        ": prompt {PromptTokens} ({CachedTokens} cached), {GeneratedTokens} tokens at {TokensPerSecond:F1} tok/s, {TokensPerBatch:F2} a "
            + "batch, queued {QueueMs:F0} ms";

    private readonly Lock _lock = new();
    private Task _told = Task.CompletedTask;

    /// <summary>Completes when every request that has been answered has its line in the log.</summary>
    public Task Told
    {
        get
        {
            lock (_lock)
            {
                return _told;
            }
        }
    }

    public async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        RequestRecord record = RequestRecord.Open(http);
        http.Response.Headers.XContentTypeOptions = "nosniff";
        try
        {
            await next(http);
            if (http.Response is { StatusCode: StatusCodes.Status405MethodNotAllowed, HasStarted: false }
                && HttpMethods.IsOptions(http.Request.Method))
            {
                // Routing has already said in Allow what the path answers to.
                http.Response.StatusCode = StatusCodes.Status204NoContent;
            }
            else if (http.Response.StatusCode >= 400 && !http.Response.HasStarted)
            {
                await WriteErrorAsync(http, Unrouted(http));
            }
        }
        catch (ApiException error) when (!http.Response.HasStarted)
        {
            await WriteErrorAsync(http, error);
        }
        catch (TokenizationException error) when (!http.Response.HasStarted)
        {
            await WriteErrorAsync(http, new ApiException(400, error.Message, code: "tokenization_failed"));
        }
        catch (BadHttpRequestException error) when (!http.Response.HasStarted)
        {
            await WriteErrorAsync(http, new ApiException(error.StatusCode, error.Message));
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            record.Outcome ??= ClientWentAway;
        }
        catch (Exception error)
        {
            log.LogError(error, "{Id} failed", record.Id);
            if (!http.Response.HasStarted)
            {
                await WriteErrorAsync(http, new ApiException(500, "The server failed on this request; its log says more."));
            }
            else
            {
                record.Outcome = 500;
                http.Abort();
            }
        }
        finally
        {
            Tell(http, record);
        }
    }

    public static Task WriteErrorAsync(HttpContext http, ApiException error)
    {
        RequestRecord.Of(http).Error = error;
        http.Response.StatusCode = error.Status;
        if (error.RetryAfter is { } seconds)
        {
            http.Response.Headers.RetryAfter = seconds.ToString();
        }

        return Answer.JsonAsync(http, RequestRecord.SpeaksAnthropic(http) ? MessageError.Of(error, RequestRecord.Of(http).Id) : error.Body);
    }

    /// <summary>The error for a status that routing has set: no such path, or not with this method.</summary>
    private ApiException Unrouted(HttpContext http) => http.Response.StatusCode switch
    {
        404 => new(404, $"There is no {http.Request.Method} {http.Request.Path}. See {string.Join(", ", routes.Paths)}."),
        // Below it one segment may be anything, an id of a response: what else is asked there is not there at all.
        405 when http.Request.Path.StartsWithSegments("/v1/responses", out PathString below) && below.HasValue =>
            new(404, $"There is no {http.Request.Method} {http.Request.Path}."),
        405 => new(405, $"{http.Request.Path} does not answer {http.Request.Method}; use {http.Response.Headers.Allow}."),
        var status => new(status, $"The request was refused with status {status}."),
    };

    private void Tell(HttpContext http, RequestRecord record)
    {
        string endpoint = (http.Features.Get<IEndpointFeature>()?.Endpoint as RouteEndpoint)?.RoutePattern.RawText ?? "other";
        int status = record.Outcome ?? http.Response.StatusCode;
        metrics.Answered(endpoint, status);
        if (record.Settled.IsCompleted)
        {
            Log(record, endpoint, status);
            return;
        }

        lock (_lock)
        {
            _told = Task.WhenAll(_told, LogSettledAsync(record, endpoint, status));
        }
    }

    /// <summary>The line of an answer that was cut off waits for the decoding thread to end the step that it is in.</summary>
    private async Task LogSettledAsync(RequestRecord record, string endpoint, int status)
    {
        await record.Settled;
        Log(record, endpoint, status);
    }

    private void Log(RequestRecord record, string endpoint, int status)
    {
        switch (record)
        {
            case { Generation: { } done, Error: { } error }:
                log.LogInformation(
                    Refused + Figures, record.Id, endpoint, status, error.Reason, error.Parameter ?? "-",
                    done.PromptTokens, done.CachedTokens, done.GeneratedTokens, done.TokensPerSecond, done.TokensPerBatch, done.QueueMs);
                break;
            case { Generation: { } done }:
                log.LogInformation(
                    Head + Figures, record.Id, endpoint, status,
                    done.PromptTokens, done.CachedTokens, done.GeneratedTokens, done.TokensPerSecond, done.TokensPerBatch, done.QueueMs);
                break;
            case { Error: { } error }:
                log.Log(Level(endpoint, status), Refused, record.Id, endpoint, status, error.Reason, error.Parameter ?? "-");
                break;
            default:
                log.Log(Level(endpoint, status), Head, record.Id, endpoint, status);
                break;
        }
    }

    private static LogLevel Level(string endpoint, int status) =>
        status >= 500 ? LogLevel.Warning
        : endpoint is "/health" or "/metrics" or "/slots" or "/props" or "/page/{file}" ? LogLevel.Debug
        : LogLevel.Information;
}
