using System.Text;
using Understory.Decoding.Sequences;

namespace Understory.Server.OpenAi;

/// <summary>What all answers to one request have in common.</summary>
public sealed record AnswerHead(string Id, long Created, string Model, string Fingerprint, ulong Seed);

/// <summary>What is known once everything is generated.</summary>
public sealed record AnswerTotals(Usage Usage, Timings Timings);

/// <summary>One choice as it grows.</summary>
public sealed class ChoiceText
{
    public StringBuilder Text { get; } = new();

    public List<TokenLogProb> LogProbs { get; } = [];

    /// <summary>"stop" or "length"; null while it grows.</summary>
    public string? FinishReason { get; set; }
}

/// <summary>The two shapes in which the same generation goes over the wire.</summary>
public interface IWireFormat
{
    /// <summary>The first chunk of a choice, before any text; null: none.</summary>
    object? Opening(int choice);

    object Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs);

    /// <param name="totals">In the last chunk of the stream.</param>
    object Closing(int choice, string finishReason, AnswerTotals? totals);

    /// <summary>The chunk without choices that <c>stream_options.include_usage</c> asks for.</summary>
    object UsageChunk(AnswerTotals totals);

    object Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals);
}

/// <summary><c>/v1/completions</c>.</summary>
/// <param name="echoes">Per choice, what stands before its text: the prompt, or nothing.</param>
public sealed class CompletionFormat(AnswerHead head, TokenTexts texts, int topLogProbs, IReadOnlyList<string> echoes) : IWireFormat
{
    public object? Opening(int choice) => echoes[choice].Length == 0 ? null : Body([new(choice, echoes[choice], null, null)]);

    public object Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs) =>
        Body([new(choice, text, LogProbs(logProbs), null)]);

    public object Closing(int choice, string finishReason, AnswerTotals? totals) => Body([new(choice, "", null, finishReason)], totals);

    public object UsageChunk(AnswerTotals totals) => Body([], totals);

    public object Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals) => Body(
        [.. choices.Select((choice, i) => new CompletionChoice(i, echoes[i] + choice.Text, LogProbs(choice.LogProbs), choice.FinishReason))],
        totals);

    private CompletionBody Body(IReadOnlyList<CompletionChoice> choices, AnswerTotals? totals = null) => new(
        head.Id, "text_completion", head.Created, head.Model, head.Fingerprint, choices, totals?.Usage, totals is null ? null : head.Seed, totals?.Timings);

    private CompletionLogProbs? LogProbs(IReadOnlyList<TokenLogProb> tokens) => topLogProbs < 0 ? null : new(
        [.. tokens.Select(token => texts.Name(token.Token))],
        [.. tokens.Select(token => LogProb.Of(token.LogProb))],
        [.. tokens.Select(token =>
        {
            // Two tokens may read alike; the more probable one keeps the name.
            var top = new Dictionary<string, float>();
            foreach ((int alternative, float logProb) in token.Top)
            {
                top.TryAdd(texts.Name(alternative), LogProb.Of(logProb));
            }

            top.TryAdd(texts.Name(token.Token), LogProb.Of(token.LogProb));
            return top;
        })],
        [.. tokens.Select(token => token.TextOffset)]);
}

/// <summary><c>/v1/chat/completions</c>.</summary>
public sealed class ChatWireFormat(AnswerHead head, TokenTexts texts, int topLogProbs) : IWireFormat
{
    private const string ChunkObject = "chat.completion.chunk";

    public object? Opening(int choice) => Body([new(choice, new("assistant", ""), null, null)]);

    public object Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs) =>
        Body([new(choice, new(Content: text), LogProbs(logProbs), null)]);

    public object Closing(int choice, string finishReason, AnswerTotals? totals) => Body([new(choice, new(), null, finishReason)], totals);

    public object UsageChunk(AnswerTotals totals) => Body([], totals);

    public object Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals) => new ChatBody(
        head.Id, "chat.completion", head.Created, head.Model, head.Fingerprint,
        [.. choices.Select((choice, i) => new ChatChoice(i, new("assistant", choice.Text.ToString()), LogProbs(choice.LogProbs), choice.FinishReason!))],
        totals.Usage, head.Seed, totals.Timings);

    private ChatChunk Body(IReadOnlyList<ChatChunkChoice> choices, AnswerTotals? totals = null) => new(
        head.Id, ChunkObject, head.Created, head.Model, head.Fingerprint, choices, totals?.Usage, totals is null ? null : head.Seed, totals?.Timings);

    private ChatLogProbs? LogProbs(IReadOnlyList<TokenLogProb> tokens) => topLogProbs < 0 ? null : new(
        [.. tokens.Select(token => new ChosenLogProbBody(
            texts.Text(token.Token), LogProb.Of(token.LogProb), texts.Bytes(token.Token),
            [.. token.Top.Select(top => new TokenLogProbBody(texts.Text(top.Token), LogProb.Of(top.LogProb), texts.Bytes(top.Token)))]))]);
}

internal static class LogProb
{
    /// <summary>A log-probability that JSON can hold: what cannot happen has OpenAI's -9999.</summary>
    public static float Of(float value) => float.IsFinite(value) ? value : -9999;
}
