using System.Text.Json.Serialization;
using Understory.Server.Contract;

namespace Understory.Server.OpenAi;

/// <summary>
/// <c>logprobs</c> of a completion: parallel arrays, one entry per token. An echoed prompt's first token has neither probability nor
/// alternatives.
/// </summary>
public sealed record CompletionLogProbs(
    IReadOnlyList<string> Tokens,
    IReadOnlyList<float?> TokenLogprobs,
    [property: JsonConverter(typeof(ReadableNames)),
        WrittenAs(ReadableNames.Schema)] IReadOnlyList<IReadOnlyDictionary<string, float>?> TopLogprobs,
    IReadOnlyList<int> TextOffset);

public sealed record CompletionChoice(
    int Index,
    string Text,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] CompletionLogProbs? Logprobs,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? FinishReason);

/// <summary>A whole completion, or one chunk of its stream.</summary>
public sealed record CompletionBody(
    string Id,
    string Object,
    long Created,
    string Model,
    string SystemFingerprint,
    IReadOnlyList<CompletionChoice> Choices,
    Usage? Usage = null,
    Int128? Seed = null,
    Timings? Timings = null)
    : OpenAiBody
{
    public SpeculationBody? Speculation { get; init; }
}
