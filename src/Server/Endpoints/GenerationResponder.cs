using System.Diagnostics;
using Understory.Server.Hosting;
using Understory.Server.Observability;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>
/// The second half of all generation endpoints: enqueue, follow the decoding thread, answer. Whatever way it ends, the job ends with it, so
/// the decoding thread never works for nobody.
/// </summary>
public sealed class GenerationResponder(DecodingService decoding, RequestQueue queue, ServerOptions options, ServerMetrics metrics,
    ILogger<GenerationResponder> log)
{
    /// <param name="promptOfChoice">Per choice, the index of its prompt.</param>
    public async Task RunAsync(HttpContext http, GenerationJob job, IReadOnlyList<int> promptOfChoice, IAnswerWriter wire, bool stream)
    {
        RequestRecord record = RequestRecord.Of(http);
        (job.Id, job.Endpoint) = (record.Id, http.Request.Path.Value ?? "");
        var progress = new GenerationProgress(job, promptOfChoice, metrics);
        using ITimer? limit = TimeLimit.Left(http, options) is { } left
            ? options.Clock.CreateTimer(_ => job.End(TimeLimit.Over(options)), null, left, Timeout.InfiniteTimeSpan)
            : null;
        try
        {
            if (stream)
            {
                // Log-probabilities make events an order of magnitude larger.
                job.Bound(options.Connections.MostUnread / (job.Choices[0].TopLogProbs < 0 ? 1 : 8), http.Abort);
            }

            queue.Enqueue(job);
            await (stream
                ? StreamAsync(http, job, progress, wire)
                : WholeAsync(http, job, progress, wire));
        }
        finally
        {
            job.Abandon();
            queue.Remove(job);
            record.Generation = progress.Figures;
            record.Ended = Telemetry.Source.HasListeners() ? progress.Outcome : null;
            metrics.Finished(Stopwatch.GetElapsedTime(job.EnqueuedAt));
            if (job.Started && !progress.Finished)
            {
                record.Settled = SettleAsync(job, progress, record);
            }
        }
    }

    /// <summary>
    /// What the decoding thread still tells of a job that nobody waits for: the step it was in has cost its time and is counted.
    /// </summary>
    private static async Task SettleAsync(GenerationJob job, GenerationProgress progress, RequestRecord record)
    {
        try
        {
            await foreach (GenerationEvent item in job.Events.ReadAllAsync())
            {
                progress.Follow(item);
            }
        }
        catch (Exception e) when (e is ApiException or OperationCanceledException)
        {
            // Why it ended early has been told to whom it concerns.
        }

        await job.Released;
        foreach (GenerationEvent item in job.Late)
        {
            progress.Follow(item);
        }

        record.Generation = progress.Figures;
    }

    private static async Task WholeAsync(HttpContext http, GenerationJob job, GenerationProgress progress, IAnswerWriter wire)
    {
        await foreach (GenerationEvent item in job.Events.ReadAllAsync(http.RequestAborted))
        {
            progress.Follow(item);
        }

        await Answer.JsonAsync(http, wire.Whole(progress.Choices, progress.Totals));
    }

    private async Task StreamAsync(HttpContext http, GenerationJob job, GenerationProgress progress, IAnswerWriter wire)
    {
        var stream = new EventStream(http.Response);
        var speculation = new SpeculationEvents(wire, new TokenTexts(decoding.Model.Tokenizer));
        using var silence = new Timer(
            _ =>
            {
                if (stream.Blocked(options.Connections.StallTime))
                {
                    http.Abort();
                }

                job.Send(new StillWorking());
            },
            null,
            options.KeepAlive,
            options.KeepAlive);
        try
        {
            await foreach (GenerationEvent item in job.Events.ReadAllAsync(http.RequestAborted))
            {
                progress.Follow(item);
                switch (item)
                {
                    case StillWorking when stream.Quiet(options.KeepAlive):
                        await (wire.KeepAlive is { } sign ? stream.SendAsync([sign]) : stream.SendCommentAsync());
                        break;
                    case PromptRead read:
                        await stream.SendAsync(wire.Opening(read.Choice, read.CachedTokens));
                        break;
                    case PromptScored scored:
                        await stream.SendAsync(wire.Scored(scored.Choice, scored.LogProbs));
                        break;
                    case StepDone { Speculation: { } told } step:
                        await stream.SendAsync(speculation.Join(
                            step.Choice,
                            step.Text.Length > 0 || step.LogProbs.Count > 0 ? wire.Chunk(step.Choice, step.Text, step.LogProbs) : [],
                            speculation.Describe(told.Number, told.Pieces, told.Tree, step.Report)));
                        break;
                    case StepDone step when step.Text.Length > 0 || step.LogProbs.Count > 0:
                        await stream.SendAsync(wire.Chunk(step.Choice, step.Text, step.LogProbs));
                        break;
                    case ChoiceFinished finished:
                        await stream.SendAsync(
                            wire.Closing(progress.Choices[finished.Choice].End!, progress.Finished ? progress.Totals : null));
                        break;
                }
            }

            await stream.SendAsync(wire.Ending(progress.Totals));
        }
        catch (Exception error) when (stream.Started && !http.RequestAborted.IsCancellationRequested)
        {
            ApiException told = error as ApiException ?? new ApiException(500, "The server failed on this request; its log says more.");
            if (error is not ApiException)
            {
                log.LogError(error, "{Id} failed", RequestRecord.Of(http).Id);
            }

            RequestRecord record = RequestRecord.Of(http);
            (record.Outcome, record.Error) = (told.Status, told);
            await stream.FailAsync(wire.Failed(told));
        }
    }
}
