using System.Diagnostics;
using Understory.Decoding;
using Understory.Decoding.Sequences;
using Understory.Server.Hosting;
using Understory.Server.Observability;

namespace Understory.Server.Endpoints;

/// <summary>What a span needs to know of a generation that is over.</summary>
/// <param name="Finished">The choices that came to their end, in order.</param>
/// <param name="Tokens">Tokens generated, those of an unfinished choice included.</param>
public sealed record GenerationOutcome(GenerationJob Job, IReadOnlyList<ChoiceFinished> Finished, int Tokens);

/// <summary>
/// What a generation adds to its request's span, and beneath that its wait in the queue and for each choice prompt and decode. They are
/// made once the request is over, from times that were taken anyway, so tracing touches neither the decoding thread nor a running answer.
/// Attributes follow OpenTelemetry's conventions for generative AI (gen_ai.*) and HTTP; texts are never among them.
/// </summary>
public sealed class GenerationSpans(DecodingService decoding)
{
    /// <param name="span">The request's.</param>
    public void Complete(Activity span, RequestRecord record)
    {
        span.SetTag("understory.request.id", record.Id);
        Fail(span, record);
        if (record.Ended is not { } outcome)
        {
            return;
        }

        string operation = outcome.Job.Endpoint switch
        {
            "/v1/completions" => "text_completion",
            "/v1/embeddings" => "embeddings",
            _ => "chat",
        };
        span.DisplayName = $"{operation} {decoding.Model.Id}";
        span.SetTag("gen_ai.operation.name", operation);
        Describe(span, outcome);
        EmitPhases(outcome, span.Context, new Clock(Stopwatch.GetTimestamp(), DateTime.UtcNow));
    }

    private void Describe(Activity span, GenerationOutcome outcome)
    {
        GenerationRequest request = outcome.Job.Choices[0];
        span.SetTag("gen_ai.provider.name", "understory");
        span.SetTag("gen_ai.request.model", decoding.Model.Id);
        span.SetTag("gen_ai.response.model", decoding.Model.Id);
        span.SetTag("gen_ai.request.max_tokens", request.MaxTokens);
        span.SetTag("gen_ai.request.temperature", (double)request.Sampling.Temperature);
        span.SetTag("gen_ai.request.top_p", (double)request.Sampling.TopP);
        span.SetTag("gen_ai.request.top_k", request.Sampling.TopK);
        span.SetTag("gen_ai.request.seed", unchecked((long)request.Sampling.Seed));
        span.SetTag("gen_ai.request.choice.count", outcome.Job.Choices.Count);
        span.SetTag("gen_ai.usage.input_tokens", request.Prompt.Length);
        span.SetTag("gen_ai.usage.output_tokens", outcome.Tokens);
        if (outcome.Finished.Count > 0)
        {
            span.SetTag("gen_ai.usage.cache_read.input_tokens", outcome.Finished[0].CachedTokens);
            span.SetTag("gen_ai.response.finish_reasons",
                outcome.Finished.Select(choice => choice.Reason == FinishReason.Length ? "length" : "stop").ToArray());
        }
    }

    /// <summary>What went wrong after the answer had begun, and what a client did wrong, which is no fault of the server's.</summary>
    private static void Fail(Activity span, RequestRecord record)
    {
        if (record.Outcome is { } status)
        {
            span.SetTag("http.response.status_code", status);
            span.SetStatus(status >= 500 ? ActivityStatusCode.Error : ActivityStatusCode.Unset);
        }

        if ((record.Outcome ?? record.Error?.Status) is { } failed and >= 400)
        {
            span.SetTag("error.type", record.Error?.Reason ?? failed.ToString());
        }
    }

    private static void EmitPhases(GenerationOutcome outcome, ActivityContext request, Clock clock)
    {
        DateTime time = clock.At(outcome.Job.EnqueuedAt) + outcome.Job.QueueTime;
        Phase(request, "queue", clock.At(outcome.Job.EnqueuedAt), time)?.Dispose();
        if (!outcome.Job.Started)
        {
            return;
        }

        foreach (ChoiceFinished choice in outcome.Finished)
        {
            SequenceStatistics figures = choice.Statistics;
            DateTime read = time + TimeSpan.FromMilliseconds(figures.PromptMilliseconds);
            using (Activity? prompt = Phase(request, "prompt", time, read))
            {
                prompt?.SetTag("understory.choice", choice.Choice);
                prompt?.SetTag("gen_ai.usage.input_tokens", choice.PromptTokens);
                prompt?.SetTag("gen_ai.usage.cache_read.input_tokens", choice.CachedTokens);
            }

            time = read + TimeSpan.FromMilliseconds(figures.PredictedMilliseconds);
            using Activity? decode = Phase(request, "decode", read, time);
            decode?.SetTag("understory.choice", choice.Choice);
            decode?.SetTag("gen_ai.usage.output_tokens", choice.GeneratedTokens);
            decode?.SetTag("understory.target_passes", figures.TargetPasses);
            decode?.SetTag("understory.tokens_per_batch", figures.TokensPerBatch);
            foreach (StageStatistics stage in figures.Stages)
            {
                decode?.SetTag($"understory.{stage.Name}.proposed", stage.Proposed);
                decode?.SetTag($"understory.{stage.Name}.accepted", stage.Accepted);
            }
        }

        if (outcome.Finished.Count < outcome.Job.Choices.Count && time < clock.Now)
        {
            // Its client went away, or its time was up.
            bool decoding = outcome.Tokens > outcome.Finished.Sum(choice => choice.GeneratedTokens);
            using Activity? rest = Phase(request, decoding ? "decode" : "prompt", time, clock.Now);
            rest?.SetTag("understory.choice", outcome.Finished.Count);
            rest?.SetStatus(ActivityStatusCode.Error, "ended before it was finished");
        }
    }

    private static Activity? Phase(ActivityContext request, string name, DateTime start, DateTime end)
    {
        Activity? phase = Telemetry.Source.StartActivity(ActivityKind.Internal, request, startTime: start, name: name);
        phase?.SetEndTime(end > start ? end : start.AddTicks(1));
        return phase;
    }

    /// <summary>Turns ticks of <see cref="Stopwatch"/> into times of day.</summary>
    private readonly record struct Clock(long Ticks, DateTime Now)
    {
        public DateTime At(long ticks) => Now - Stopwatch.GetElapsedTime(ticks, Ticks);
    }
}
