using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi;

/// <summary>What a request is read against.</summary>
/// <param name="Speculation">The mode of requests that name none.</param>
public sealed record RequestContext(GenerationDefaults Defaults, int Vocabulary, SpeculationMode Speculation);

/// <summary>Makes the answer's form once the prompt is known.</summary>
/// <param name="requestId">The request's id.</param>
public delegate IAnswerWriter WriterMaker(AnswerHead head, Tokenizer tokenizer, PreparedChat chat, string requestId);

/// <summary>A request of any chat API, checked and read.</summary>
/// <param name="Model">The name that it asks for; null: none.</param>
public sealed record ChatCall(string? Model, Conversation Conversation, GenerationFields Generation)
{
    /// <summary>-1: none wanted; else how many alternatives beside the chosen token, up to 20.</summary>
    public int TopLogProbs { get; init; } = -1;

    /// <summary>The answer as the client expects it; null: it does not say.</summary>
    public string? Prediction { get; init; }

    /// <summary>Drop the oldest turns of a conversation that does not fit, instead of refusing it.</summary>
    public bool Truncate { get; init; }

    /// <summary>The request's field that holds the turns, for errors.</summary>
    public string TurnsField { get; init; } = "messages";

    /// <summary>What an answer's id begins with.</summary>
    public required string IdPrefix { get; init; }

    public required WriterMaker Writer { get; init; }

    /// <summary>What was passed over, for the header and the log.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}
