using Understory.Server.Anthropic;
using Understory.Server.Contract;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>What can be asked of this server: one entry per endpoint. See <see cref="ApiRoutes"/>.</summary>
public static class Operations
{
    public static ApiOperation Completions { get; } = new("POST", "/v1/completions", "createCompletion", "Completes a text.")
    {
        Body = RequestParameters.Completions,
        Answer = typeof(CompletionBody),
        Events = [typeof(CompletionBody), typeof(ApiErrorBody)],
        Errors = ApiOperation.QueueErrors,
    };

    public static ApiOperation Chat { get; } = new("POST", "/v1/chat/completions", "createChatCompletion", "Answers a conversation.")
    {
        Body = RequestParameters.Chat,
        Answer = typeof(ChatBody),
        Events = [typeof(ChatChunk), typeof(ApiErrorBody)],
        Errors = ApiOperation.QueueErrors,
    };

    public static ApiOperation Embeddings { get; } =
        new("POST", "/v1/embeddings", "createEmbedding", "The mean of the final hidden states of each input, of length 1.")
        {
            Body = RequestParameters.Embeddings,
            Answer = typeof(EmbeddingsBody),
            Errors = ApiOperation.QueueErrors,
        };

    public static ApiOperation Props { get; } = new("GET", "/props", "props", "What is served, and how.")
    {
        Answer = typeof(PropsBody),
        Errors = [503],
    };

    public static ApiOperation Slots { get; } = new("GET", "/slots", "slots", "What runs and what waits, in figures.")
    {
        Answer = typeof(SlotsBody),
        Errors = [503],
    };

    public static ApiOperation ListModels { get; } = new("GET", "/v1/models", "listModels", "The model under its id and under each alias.")
    {
        Answer = typeof(ModelsBody),
        AnswersAnthropic = typeof(ServedModelsBody),
        Errors = [503],
    };

    public static ApiOperation ShowModel { get; } = new("GET", "/v1/models/{**name}", "retrieveModel", "The model, if it is called so.")
    {
        Answer = typeof(ModelBody),
        AnswersAnthropic = typeof(ServedModelBody),
        Errors = [404, 503],
    };

    public static ApiOperation Tokenize { get; } = new("POST", "/tokenize", "tokenize", "Text to token ids.")
    {
        Body = RequestParameters.Tokenize,
        Answer = typeof(TokenizeBody),
        Errors = ApiOperation.BodyErrors,
    };

    public static ApiOperation Detokenize { get; } = new("POST", "/detokenize", "detokenize", "Token ids to text.")
    {
        Body = RequestParameters.Detokenize,
        Answer = typeof(DetokenizeBody),
        Errors = ApiOperation.BodyErrors,
    };

    public static ApiOperation Health { get; } = new("GET", "/health", "health", "Are requests taken?")
    {
        Answer = typeof(HealthBody),
        AlsoAnswers = new Dictionary<int, string> { [503] = "Loading, or shutting down." },
        Open = true,
    };

    public static ApiOperation Metrics { get; } =
        new("GET", "/metrics", "metrics", "Counters and histograms in Prometheus' text format, or in OpenMetrics where Accept prefers it.")
        {
            MediaType = "text/plain",
        };

    public static ApiOperation OpenApi { get; } = new("GET", "/openapi/v1.json", "openapi", "This document.");
}
