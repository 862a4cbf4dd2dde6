using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Anthropic;

// What goes over the wire in Anthropic's names (its Messages API, version 2023-06-01). Fields that its schema requires are written even
// when null; ours (seed, system_fingerprint, timings) stand beside them and are left out where they have nothing to say.

/// <summary>A body of Anthropic's API.</summary>
public abstract record AnthropicBody : IJsonBody
{
    JsonSerializerContext IJsonBody.Json => AnthropicJson.Context;
}

/// <summary>One event of a stream; its name is its <c>type</c>.</summary>
public abstract record MessageEvent([property: JsonPropertyOrder(-1)] string Type) : AnthropicBody;

/// <summary>A piece of an answer.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(TextBlock), "text")]
[JsonDerivedType(typeof(ThinkingBlock), "thinking")]
[JsonDerivedType(typeof(ToolUseBlock), "tool_use")]
public abstract record ContentBlock;

public sealed record TextBlock(string Text) : ContentBlock;

/// <param name="Thinking">What the model thought before it spoke; empty where the request wants it left out.</param>
public sealed record ThinkingBlock(string Thinking) : ContentBlock
{
    /// <summary>Empty: nothing is encrypted, and what comes back is believed.</summary>
    public string Signature => "";
}

/// <param name="Input">The arguments: a JSON object.</param>
public sealed record ToolUseBlock(string Id, string Name, JsonElement Input) : ContentBlock
{
    public ToolCaller Caller => ToolCaller.Direct;
}

/// <summary>Who called a tool: always the model itself.</summary>
public sealed record ToolCaller(string Type)
{
    public static ToolCaller Direct { get; } = new("direct");
}

/// <param name="ThinkingTokens">Tokens of the text that the model thought.</param>
public sealed record ThoughtTokens(int ThinkingTokens);

/// <summary>
/// Tokens read and written. The prompt is <paramref name="InputTokens"/> and <paramref name="CacheReadInputTokens"/> together.
/// </summary>
/// <param name="InputTokens">Prompt tokens that were evaluated.</param>
/// <param name="CacheReadInputTokens">Prompt tokens that were found in the prefix cache.</param>
/// <param name="OutputTokensDetails">Null: the model did not think.</param>
public sealed record MessageUsage(
    int InputTokens,
    int CacheReadInputTokens,
    int OutputTokens,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] ThoughtTokens? OutputTokensDetails = null)
{
    /// <summary>Always 0: what the cache keeps costs nothing extra.</summary>
    public int CacheCreationInputTokens => 0;

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public object? CacheCreation => null;

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public object? ServerToolUse => null;

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? InferenceGeo => null;

    public string ServiceTier => "standard";
}

/// <summary>A whole answer, and in <c>message_start</c> an empty one.</summary>
/// <param name="StopReason">"end_turn", "max_tokens", "stop_sequence", "tool_use" or "model_context_window_exceeded"; null while it
/// grows.</param>
/// <param name="StopSequence">The stop sequence that ended the text.</param>
public sealed record MessageBody(
    string Id,
    string Model,
    IReadOnlyList<ContentBlock> Content,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? StopReason,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? StopSequence,
    MessageUsage Usage,
    string SystemFingerprint,
    Int128 Seed,
    Timings? Timings = null,
    AppliedEdits? ContextManagement = null) : AnthropicBody
{
    [JsonPropertyOrder(-1)]
    public string Type => "message";

    [JsonPropertyOrder(-1)]
    public string Role => "assistant";

    /// <summary>Always null: no code is run.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public object? Container => null;

    /// <summary>Always null: it tells of refusals, and no classifier refuses here.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public object? StopDetails => null;
}

public sealed record MessageStart(MessageBody Message) : MessageEvent("message_start");

public sealed record ContentBlockStart(int Index, ContentBlock ContentBlock) : MessageEvent("content_block_start");

public sealed record ContentBlockDelta(int Index, BlockDelta Delta) : MessageEvent("content_block_delta");

public sealed record ContentBlockStop(int Index) : MessageEvent("content_block_stop");

/// <summary>How the message ended, with all of its usage.</summary>
public sealed record MessageDelta(MessageEnding Delta, MessageUsage Usage, Int128 Seed, Timings? Timings,
    AppliedEdits? ContextManagement = null) : MessageEvent("message_delta");

/// <summary>What became of a request's <c>context_management</c>.</summary>
/// <param name="Edits">Always empty: no context is edited.</param>
public sealed record AppliedEdits([property: JsonPropertyName("applied_edits")] IReadOnlyList<string> Edits);

public sealed record MessageStop() : MessageEvent("message_stop");

/// <summary>Says only that the stream lives.</summary>
public sealed record Ping() : MessageEvent("ping");

/// <summary>As in <see cref="MessageBody"/>.</summary>
public sealed record MessageEnding(string StopReason, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? StopSequence)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public object? Container => null;

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public object? StopDetails => null;
}

/// <summary>More of a content block.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(TextDelta), "text_delta")]
[JsonDerivedType(typeof(ThinkingDelta), "thinking_delta")]
[JsonDerivedType(typeof(InputJsonDelta), "input_json_delta")]
public abstract record BlockDelta;

public sealed record TextDelta(string Text) : BlockDelta;

public sealed record ThinkingDelta(string Thinking) : BlockDelta;

/// <param name="PartialJson">More of the text of the arguments.</param>
public sealed record InputJsonDelta(string PartialJson) : BlockDelta;

/// <summary><c>POST /v1/messages/count_tokens</c></summary>
public sealed record TokenCount(int InputTokens) : AnthropicBody;

/// <summary>An error, as an answer and as an event.</summary>
public sealed record MessageError(ErrorDetail Error, string RequestId) : MessageEvent("error")
{
    public static MessageError Of(ApiException error, string requestId) => new(
        new(TypeOf(error.Status), error.Message, error.DetailCode is { } code ? new(code) : null), requestId);

    /// <summary>The error type that Anthropic gives with a status.</summary>
    private static string TypeOf(int status) => status switch
    {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        >= 500 => "api_error",
        _ => "invalid_request_error",
    };
}

/// <param name="Details">Null: there are none.</param>
public sealed record ErrorDetail(string Type, string Message, ErrorCode? Details = null);

/// <summary>A reason that Anthropic's libraries act upon.</summary>
public sealed record ErrorCode([property: JsonPropertyName("error_code")] string Code);

/// <summary>A model as <c>GET /v1/models</c> has it where the request speaks Anthropic's API.</summary>
public sealed record ServedModelBody(string Id, string DisplayName, string CreatedAt) : AnthropicBody
{
    [JsonPropertyOrder(-1)]
    public string Type => "model";
}

/// <summary>All models: there are no further pages.</summary>
public sealed record ServedModelsBody(IReadOnlyList<ServedModelBody> Data) : AnthropicBody
{
    public string FirstId => Data[0].Id;

    public string LastId => Data[^1].Id;

    public bool HasMore => false;
}
