using Understory.Models.Architecture;
using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;

namespace Understory.Server.Endpoints;

/// <summary>What is served and what it is doing: <c>/props</c> and <c>/slots</c>.</summary>
public sealed class StateEndpoints(DecodingService decoding, RequestQueue queue, ServerOptions options)
{
    /// <summary><c>GET /props</c></summary>
    public Task PropsAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        GenerationDefaults defaults = model.Defaults;
        return Answer.JsonAsync(http, new PropsBody(
            new DefaultSettings(model.Context, new DefaultParameters(
                (defaults.DoSample is false ? 0 : defaults.Temperature) ?? 1, defaults.TopK ?? 0, defaults.TopP ?? 1, defaults.MinP
                    ?? 0, defaults.RepetitionPenalty ?? 1)),
            1,
            model.Id,
            model.Aliases,
            model.Chat.Source,
            model.Chat.Description,
            model.Parameters,
            [.. model.Abilities.Select(Name)],
            model.Demo ? new DemoProps(ModelIntroduction.Demo, [.. SuggestedModel.For(Memory).Select(Describe)]) : null,
            ApiRoutes.Version,
            model.Fingerprint,
            model.Vocabulary,
            options.Embeddings ? model.HiddenSize : null,
            FillInTheMiddle.Find(model.Tokenizer) is not null,
            model.Kernels,
            new SpeculationProps(Name(options.Speculation), [.. model.Modes.Order().Select(Name)])));
    }

    /// <summary><c>GET /slots</c></summary>
    public Task SlotsAsync(HttpContext http)
    {
        (GenerationJob? running, IReadOnlyList<GenerationJob> waiting) = queue.View();
        int context = decoding.Model.Context;
        return Answer.JsonAsync(http, new SlotsBody(
            [running is null ? new SlotBody(0, context, false) : new SlotBody(0, context, true, Describe(running))],
            [.. waiting.Select((job, i) =>
                new WaitingBody(job.Id, job.Endpoint, i + 1, Round(job.QueueTime.TotalMilliseconds), job.Progress.PromptTokens))],
            options.MaxQueue));
    }

    private static TaskBody Describe(GenerationJob job)
    {
        JobProgress progress = job.Progress;
        return new TaskBody(
            job.Id,
            job.Endpoint,
            Round(job.QueueTime.TotalMilliseconds),
            Round(job.RunningTime.TotalMilliseconds),
            job.Choices.Count,
            progress.ChoicesDone,
            progress.PromptTokens,
            progress.PromptTokensDone,
            progress.GeneratedTokens,
            progress.Passes == 0 ? 0 : Round((double)progress.GeneratedTokens / progress.Passes));
    }

    private static long Memory => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    private static SuggestionBody Describe(SuggestedModel model) =>
        new(model.Model, model.Parameters, model.Bytes, model.MemoryBytes, model.Command);

    private static string Name<T>(T choice)
        where T : struct, Enum => choice.ToString().ToLowerInvariant();

    private static double Round(double value) => Math.Round(value, 3);
}
