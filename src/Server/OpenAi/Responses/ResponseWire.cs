using System.Text.Json;
using System.Text.Json.Serialization;

namespace Understory.Server.OpenAi.Responses;

// What goes over the wire in the names of OpenAI's Responses API. Fields that its schema requires are written even when null.

/// <summary>What a response repeats of its request.</summary>
/// <param name="ToolChoice">As it was sent: a string or an object.</param>
public sealed record ResponseEcho(
    string? Instructions,
    int? MaxOutputTokens,
    float Temperature,
    float TopP,
    int TopLogprobs,
    bool ParallelToolCalls,
    IReadOnlyList<FunctionToolBody> Tools,
    JsonElement ToolChoice,
    TextOptions Text,
    ReasoningOptions Reasoning,
    string Truncation,
    JsonElement Metadata,
    string? User,
    string? SafetyIdentifier,
    string? PromptCacheKey);

public sealed record FunctionToolBody(string Name, string? Description, JsonElement Parameters, bool Strict)
{
    [JsonPropertyOrder(-1)]
    public string Type => "function";
}

/// <param name="Format">What the text must look like.</param>
public sealed record TextOptions(TextFormatBody Format, string? Verbosity = null);

public sealed record TextFormatBody(string Type, string? Name = null, string? Description = null, JsonElement? Schema = null,
    bool? Strict = null);

public sealed record ReasoningOptions(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Effort,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Summary);

/// <summary>One piece of a response.</summary>
/// <param name="Status">"in_progress", "completed", or "incomplete" where the response was cut in it.</param>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(MessageItem), "message")]
[JsonDerivedType(typeof(ReasoningItem), "reasoning")]
[JsonDerivedType(typeof(FunctionCallItem), "function_call")]
[JsonDerivedType(typeof(CustomCallItem), "custom_tool_call")]
public abstract record OutputItem(string Id, string Status);

/// <summary>What the model says.</summary>
public sealed record MessageItem(string Id, string Status, IReadOnlyList<ItemPart> Content) : OutputItem(Id, Status)
{
    public string Role => "assistant";
}

/// <summary>What the model thought before it spoke, word for word.</summary>
public sealed record ReasoningItem(string Id, string Status, IReadOnlyList<ItemPart> Content) : OutputItem(Id, Status)
{
    /// <summary>Always empty: nothing is summarised.</summary>
    public IReadOnlyList<string> Summary => [];
}

/// <summary>A function that the model asks for.</summary>
/// <param name="CallId">What the function's output must name.</param>
/// <param name="Arguments">A JSON object as text.</param>
/// <param name="Namespace">Where the request had the function; null: among the tools themselves.</param>
public sealed record FunctionCallItem(string Id, string Status, string CallId, string Name, string Arguments, string? Namespace = null)
    : OutputItem(Id, Status);

/// <summary>A custom tool that the model asks for.</summary>
/// <param name="Input">Its text.</param>
public sealed record CustomCallItem(string Id, string Status, string CallId, string Name, string Input, string? Namespace = null)
    : OutputItem(Id, Status);

[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(OutputTextPart), "output_text")]
[JsonDerivedType(typeof(ReasoningTextPart), "reasoning_text")]
public abstract record ItemPart(string Text);

/// <param name="Logprobs">One entry per token; empty where none were asked for.</param>
public sealed record OutputTextPart(string Text, IReadOnlyList<ChosenLogProbBody> Logprobs) : ItemPart(Text)
{
    /// <summary>Always empty: there are no sources to cite.</summary>
    public IReadOnlyList<string> Annotations => [];
}

public sealed record ReasoningTextPart(string Text) : ItemPart(Text);

/// <param name="CachedTokens">Found in the prefix cache.</param>
public sealed record InputTokensDetails(int CachedTokens)
{
    /// <summary>Always 0: what the cache keeps costs nothing extra.</summary>
    public int CacheWriteTokens => 0;
}

public sealed record OutputTokensDetails(int ReasoningTokens);

public sealed record ResponseUsage(
    int InputTokens, InputTokensDetails InputTokensDetails, int OutputTokens, OutputTokensDetails OutputTokensDetails, int TotalTokens);

public sealed record IncompleteDetails(string Reason);

public sealed record ResponseFailure(string Code, string Message);

/// <summary><c>POST /v1/responses/input_tokens</c></summary>
public sealed record InputTokensBody(string Object, int InputTokens) : OpenAiBody;

/// <summary>A response: whole, or as far as it has come.</summary>
/// <param name="Status">"in_progress", "completed", "incomplete" or "failed".</param>
public sealed record ResponseBody(
    string Id,
    string Object,
    long CreatedAt,
    string Status,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long? CompletedAt,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] ResponseFailure? Error,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] IncompleteDetails? IncompleteDetails,
    string Model,
    IReadOnlyList<OutputItem> Output,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] ResponseUsage? Usage,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Instructions,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] int? MaxOutputTokens,
    float Temperature,
    float TopP,
    int TopLogprobs,
    bool ParallelToolCalls,
    IReadOnlyList<FunctionToolBody> Tools,
    JsonElement ToolChoice,
    TextOptions Text,
    ReasoningOptions Reasoning,
    string Truncation,
    JsonElement Metadata,
    string? User,
    string? SafetyIdentifier,
    string? PromptCacheKey,
    string SystemFingerprint,
    Int128 Seed,
    Timings? Timings)
    : OpenAiBody
{
    public bool Background => false;

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? PreviousResponseId => null;

    public string ServiceTier => "default";

    /// <summary>Always false, whatever was asked: this server keeps nothing.</summary>
    public bool Store => false;
}

/// <summary>One event of a stream; its name is its <c>type</c>.</summary>
/// <param name="SequenceNumber">From 0, without gaps.</param>
public abstract record ResponseEvent([property: JsonPropertyOrder(-1)] string Type, int SequenceNumber) : OpenAiBody;

/// <summary>response.created, in_progress, completed, incomplete or failed.</summary>
public sealed record ResponseStateEvent(string Type, int SequenceNumber, ResponseBody Response) : ResponseEvent(Type, SequenceNumber);

/// <summary>response.output_item.added or done.</summary>
public sealed record OutputItemEvent(string Type, int SequenceNumber, int OutputIndex, OutputItem Item)
    : ResponseEvent(Type, SequenceNumber);

/// <summary>response.content_part.added or done.</summary>
public sealed record ContentPartEvent(string Type, int SequenceNumber, string ItemId, int OutputIndex, int ContentIndex, ItemPart Part)
    : ResponseEvent(Type, SequenceNumber);

/// <summary>
/// response.output_text.delta, response.reasoning_text.delta, response.function_call_arguments.delta or
/// response.custom_tool_call_input.delta.
/// </summary>
public sealed record DeltaEvent(
    string Type, int SequenceNumber, string ItemId, int OutputIndex, int? ContentIndex, string Delta,
    IReadOnlyList<ChosenLogProbBody>? Logprobs = null)
    : ResponseEvent(Type, SequenceNumber);

/// <summary>response.output_text.done or response.reasoning_text.done.</summary>
public sealed record TextDoneEvent(
    string Type, int SequenceNumber, string ItemId, int OutputIndex, int ContentIndex, string Text,
    IReadOnlyList<ChosenLogProbBody>? Logprobs = null)
    : ResponseEvent(Type, SequenceNumber);

/// <summary>response.function_call_arguments.done.</summary>
public sealed record ArgumentsDoneEvent(string Type, int SequenceNumber, string ItemId, int OutputIndex, string Name, string Arguments)
    : ResponseEvent(Type, SequenceNumber);

/// <summary>response.custom_tool_call_input.done.</summary>
public sealed record InputDoneEvent(string Type, int SequenceNumber, string ItemId, int OutputIndex, string Input)
    : ResponseEvent(Type, SequenceNumber);

/// <summary>error.</summary>
public sealed record ErrorEvent(
    string Type,
    int SequenceNumber,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Code,
    string Message,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param) : ResponseEvent(Type, SequenceNumber);
