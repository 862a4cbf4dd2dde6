using System.Text.Json.Serialization;

namespace Understory.Server.OpenAi;

// What goes over the wire, in OpenAI's names (snake_case by policy). Fields that OpenAI's schema requires are written even when null;
// extensions that have nothing to say are left out.

public sealed record PromptTokensDetails(int CachedTokens);

/// <summary>What became of a predicted answer's tokens that the target looked at, and how many tokens were thoughts.</summary>
/// <param name="ReasoningTokens">Null where answers are not parted into thoughts and text.</param>
public sealed record CompletionTokensDetails(int AcceptedPredictionTokens, int RejectedPredictionTokens, int? ReasoningTokens = null);

/// <summary>Tokens of the prompts (each counted once, whatever <c>n</c>) and of all choices.</summary>
public sealed record Usage(
    int PromptTokens, int CompletionTokens, int TotalTokens, PromptTokensDetails PromptTokensDetails,
    CompletionTokensDetails CompletionTokensDetails);

/// <param name="Name">The stage that proposed: "ngram", "draft", …</param>
/// <param name="Ms">Time spent proposing.</param>
public sealed record StageTimings(string Name, long Proposed, long Accepted, long Passes, double Ms);

/// <summary>Where the time went and what speculation gave, summed over the choices.</summary>
/// <param name="QueueMs">Waiting for the requests before.</param>
/// <param name="PromptN">Prompt tokens evaluated.</param>
/// <param name="CacheN">Prompt tokens found in the prefix cache.</param>
/// <param name="PredictedN">Tokens generated.</param>
/// <param name="TargetPasses">Forward passes of the target while decoding.</param>
/// <param name="TokensPerBatch">Tokens generated per target pass.</param>
/// <param name="DraftN">Tokens proposed by all stages.</param>
public sealed record Timings(
    double QueueMs,
    int PromptN,
    int CacheN,
    double PromptMs,
    int PredictedN,
    double PredictedMs,
    double PredictedPerSecond,
    long TargetPasses,
    double TokensPerBatch,
    long DraftN,
    long DraftNAccepted,
    IReadOnlyList<StageTimings> Stages);

public sealed record TokenLogProbBody(string Token, float Logprob, IReadOnlyList<int> Bytes);

public sealed record ChosenLogProbBody(string Token, float Logprob, IReadOnlyList<int> Bytes, IReadOnlyList<TokenLogProbBody> TopLogprobs);

/// <summary><c>logprobs</c> of a chat completion.</summary>
public sealed record ChatLogProbs(
    IReadOnlyList<ChosenLogProbBody> Content,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Refusal = null);

public sealed record FunctionBody(string? Name, string Arguments);

/// <summary>A custom tool and what it is called with.</summary>
public sealed record CustomBody(string? Name, string Input);

/// <param name="Type">"function" or "custom": which of the two members it has.</param>
public sealed record ToolCallBody(string Id, string Type, FunctionBody? Function = null, CustomBody? Custom = null);

/// <param name="Content">Null: nothing but calls of tools.</param>
public sealed record ChatAnswer(
    string Role,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Content,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Refusal = null)
{
    /// <summary>What the model thought before it answered, as other local servers have it.</summary>
    public string? ReasoningContent { get; init; }

    public IReadOnlyList<ToolCallBody>? ToolCalls { get; init; }

    /// <summary>The one call, where the request had <c>functions</c>.</summary>
    public FunctionBody? FunctionCall { get; init; }
}

public sealed record ChatChoice(
    int Index,
    ChatAnswer Message,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] ChatLogProbs? Logprobs,
    string FinishReason);

/// <param name="Id">In the first delta of a call.</param>
public sealed record ToolCallDelta(
    int Index, FunctionBody? Function = null, string? Id = null, string? Type = null, CustomBody? Custom = null);

public sealed record ChatDelta(
    string? Role = null, string? Content = null, string? ReasoningContent = null, IReadOnlyList<ToolCallDelta>? ToolCalls = null,
    FunctionBody? FunctionCall = null);

public sealed record ChatChunkChoice(
    int Index,
    ChatDelta Delta,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] ChatLogProbs? Logprobs,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? FinishReason);

/// <summary>A whole chat completion.</summary>
public sealed record ChatBody(
    string Id,
    string Object,
    long Created,
    string Model,
    string SystemFingerprint,
    IReadOnlyList<ChatChoice> Choices,
    Usage Usage,
    Int128 Seed,
    Timings Timings) : OpenAiBody;

/// <summary>One chunk of a chat completion's stream.</summary>
public sealed record ChatChunk(
    string Id,
    string Object,
    long Created,
    string Model,
    string SystemFingerprint,
    IReadOnlyList<ChatChunkChoice> Choices,
    Usage? Usage = null,
    Int128? Seed = null,
    Timings? Timings = null)
    : OpenAiBody
{
    public SpeculationBody? Speculation { get; init; }
}

public sealed record ModelBody(string Id, string Object, long Created, string OwnedBy, int ContextLength) : OpenAiBody;

public sealed record ModelsBody(string Object, IReadOnlyList<ModelBody> Data) : OpenAiBody;

/// <param name="Pieces">The bytes of each token as text, on request.</param>
public sealed record TokenizeBody(IReadOnlyList<int> Tokens, int Count, int MaxModelLen, IReadOnlyList<string>? Pieces = null) : OpenAiBody;

public sealed record DetokenizeBody(string Text) : OpenAiBody;

/// <param name="Status">"ok", "loading" or "draining".</param>
/// <param name="Stage">What is being loaded.</param>
public sealed record HealthBody(string Status, string? Stage = null) : OpenAiBody;
