using System.Text;
using Understory.Decoding.Sequences;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>What all answers to one request have in common.</summary>
public sealed record AnswerHead(string Id, long Created, string Model, string Fingerprint, Int128 Seed);

/// <summary>How a choice ended.</summary>
/// <param name="Reason">OpenAI's word for it: "stop" or "length".</param>
/// <param name="StopString">The stop string that ended its text; null: something else did.</param>
public sealed record ChoiceEnd(int Choice, string Reason, string? StopString);

/// <summary>What is known once everything is generated.</summary>
public sealed record AnswerTotals(Usage Usage, Timings Timings);

/// <summary>One choice as it grows.</summary>
public sealed class ChoiceText
{
    public StringBuilder Text { get; } = new();

    public List<TokenLogProb> LogProbs { get; } = [];

    /// <summary>Of the prompt's tokens from the second on, where they are wanted.</summary>
    public List<TokenLogProb> Prompt { get; } = [];

    /// <summary>Of the prompt, where nothing else is wanted.</summary>
    public float[]? Embedding { get; set; }

    /// <summary>Null while it grows.</summary>
    public ChoiceEnd? End { get; set; }
}

/// <summary>The shapes in which the same generation goes over the wire.</summary>
public interface IAnswerWriter
{
    /// <summary>What begins a choice, before any text.</summary>
    IEnumerable<StreamEvent> Opening(int choice, int cachedTokens);

    /// <summary>The prompt's own log-probabilities, from the second token on.</summary>
    IEnumerable<StreamEvent> Scored(int choice, IReadOnlyList<TokenLogProb> prompt) => [];

    IEnumerable<StreamEvent> Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs);

    /// <summary>A chunk without text, to carry what a step without text did; null: this stream has no such thing.</summary>
    StreamEvent? Blank(int choice) => null;

    /// <param name="totals">With the last choice of the stream; null before.</param>
    IEnumerable<StreamEvent> Closing(ChoiceEnd end, AnswerTotals? totals);

    /// <summary>What follows the last choice.</summary>
    IEnumerable<StreamEvent> Ending(AnswerTotals totals);

    /// <summary>What tells of an error once the stream has begun.</summary>
    IEnumerable<StreamEvent> Failed(ApiException error);

    /// <summary>What keeps a quiet stream alive; null: a comment.</summary>
    StreamEvent? KeepAlive => null;

    IJsonBody Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals);
}

internal static class LogProb
{
    /// <summary>A log-probability that JSON can hold: what cannot happen has OpenAI's -9999.</summary>
    public static float Of(float value) => float.IsFinite(value) ? value : -9999;

    /// <summary>A token as chats and responses write it. Alternatives that a form rules out are none.</summary>
    public static ChosenLogProbBody Of(TokenLogProb token, TokenTexts texts) => new(
        texts.Text(token.Token), Of(token.LogProb), texts.Bytes(token.Token),
        [.. token.Top.Where(top => float.IsFinite(top.LogProb)).Select(top => new TokenLogProbBody(texts.Text(top.Token),
            Of(top.LogProb), texts.Bytes(top.Token)))]);
}
