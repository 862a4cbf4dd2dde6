using Microsoft.AspNetCore.Http.Features;
using Understory.Models.Tokenizers;
using Understory.Server.Anthropic;
using Understory.Server.Observability;
using Understory.Server.OpenAi;

namespace Understory.Server.Endpoints;

/// <summary>
/// The outermost layer: every request gets an id, every failure the error object of its API, and every answer one line in the log and one count
/// in the metrics.
/// </summary>
public sealed class RequestPipeline(ApiRoutes routes, ServerMetrics metrics, GenerationSpans spans, ILogger<RequestPipeline> log)
{
    private const int ClientWentAway = 499;

    public async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        RequestRecord record = RequestRecord.Open(http);
        http.Response.Headers.XContentTypeOptions = "nosniff";
        try
        {
            await next(http);
            if (http.Response is { StatusCode: StatusCodes.Status405MethodNotAllowed, HasStarted: false } && HttpMethods.IsOptions(http.Request.Method))
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
        405 => new(405, $"{http.Request.Path} does not answer {http.Request.Method}; use {http.Response.Headers.Allow}."),
        var status => new(status, $"The request was refused with status {status}."),
    };

    private void Tell(HttpContext http, RequestRecord record)
    {
        string endpoint = (http.Features.Get<IEndpointFeature>()?.Endpoint as RouteEndpoint)?.RoutePattern.RawText ?? "other";
        int status = record.Outcome ?? http.Response.StatusCode;
        metrics.Answered(endpoint, status);
        spans.Emit(http, record, endpoint, status);
        if (record.Generation is { } figures)
        {
            log.LogInformation(
                "{Id} {Endpoint} {Status}: prompt {PromptTokens} ({CachedTokens} cached), {GeneratedTokens} tokens at {TokensPerSecond:F1} tok/s, {TokensPerBatch:F2} a batch, queued {QueueMs:F0} ms",
                record.Id, endpoint, status, figures.PromptTokens, figures.CachedTokens, figures.GeneratedTokens, figures.TokensPerSecond, figures.TokensPerBatch, figures.QueueMs);
        }
        else
        {
            LogLevel level = status >= 500 ? LogLevel.Warning : endpoint is "/health" or "/metrics" or "/slots" or "/props" or "/page/{file}" ? LogLevel.Debug : LogLevel.Information;
            log.Log(level, "{Id} {Endpoint} {Status}", record.Id, endpoint, status);
        }
    }
}
