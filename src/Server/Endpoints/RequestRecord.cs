using System.Diagnostics;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>What is told of one HTTP request in the log and the metrics: figures, never text of prompts or answers.</summary>
public sealed class RequestRecord(string id)
{
    public string Id { get; } = id;

    /// <summary>By <see cref="Stopwatch.GetTimestamp"/>.</summary>
    public long OpenedAt { get; } = Stopwatch.GetTimestamp();

    /// <summary>Set where it differs from the response's status: an error in mid-stream, a client that went away (499).</summary>
    public int? Outcome { get; set; }

    /// <summary>Why the request was refused or ended early; null: neither, or the client went away.</summary>
    public ApiException? Error { get; set; }

    public GenerationFigures? Generation { get; set; }

    /// <summary>Until it completes, <see cref="Generation"/> lacks what the decoding thread still does.</summary>
    public Task Settled { get; set; } = Task.CompletedTask;

    /// <summary>Set where spans are wanted.</summary>
    public GenerationOutcome? Ended { get; set; }

    public static RequestRecord Of(HttpContext http) => (RequestRecord)http.Items[typeof(RequestRecord)]!;

    /// <summary>
    /// Gives the request its id, the client's own where it sent a usable one, and says it in the answer.
    /// </summary>
    public static RequestRecord Open(HttpContext http)
    {
        string? sent = http.Request.Headers["x-request-id"];
        bool usable = sent is { Length: > 0 and <= 128 } && sent.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or ':');
        var record = new RequestRecord(usable ? sent! : $"req_{Guid.NewGuid():N}");
        http.Items[typeof(RequestRecord)] = record;
        http.Response.Headers["x-request-id"] = record.Id;
        if (SpeaksAnthropic(http))
        {
            http.Response.Headers["request-id"] = record.Id;
        }

        return record;
    }

    /// <summary>The path belongs to Anthropic's API; all others are OpenAI's or our own, unless the client says otherwise.</summary>
    public static bool SpeaksAnthropic(HttpContext http) => http.Request.Path.StartsWithSegments("/v1/messages")
        || (http.Request.Path.StartsWithSegments("/v1/models") && WantsAnthropic(http));

    /// <summary>Anthropic's clients say which version of its API they speak, on paths too that both APIs have.</summary>
    public static bool WantsAnthropic(HttpContext http) => http.Request.Headers.ContainsKey("anthropic-version");
}

/// <param name="QueueMs">Waiting for earlier requests.</param>
public sealed record GenerationFigures(
    int PromptTokens, int CachedTokens, int GeneratedTokens, double TokensPerSecond, double TokensPerBatch, double QueueMs);
