using System.Text;
using Understory.Decoding.Sequences;

namespace Understory.Server.OpenAi;

/// <summary>What all answers to one request have in common.</summary>
public sealed record AnswerHead(string Id, long Created, string Model, string Fingerprint, ulong Seed);

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

    /// <summary>Null while it grows.</summary>
    public ChoiceEnd? End { get; set; }
}

/// <summary>The shapes in which the same generation goes over the wire.</summary>
public interface IWireFormat
{
    /// <summary>What begins a choice, before any text.</summary>
    IEnumerable<StreamEvent> Opening(int choice, int cachedTokens);

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

    object Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals);
}

/// <summary><c>/v1/completions</c>.</summary>
/// <param name="echoes">Per choice, what stands before its text: the prompt, or nothing.</param>
/// <param name="includeUsage">The figures of a stream come in a chunk of their own, without choices: <c>stream_options.include_usage</c>.</param>
public sealed class CompletionFormat(AnswerHead head, TokenTexts texts, int topLogProbs, IReadOnlyList<string> echoes, bool includeUsage) : IWireFormat
{
    public IEnumerable<StreamEvent> Opening(int choice, int cachedTokens) =>
        echoes[choice].Length == 0 ? [] : [new(Body([new(choice, echoes[choice], null, null)]))];

    public IEnumerable<StreamEvent> Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs) =>
        [new(Body([new(choice, text, LogProbs(logProbs), null)]))];

    public StreamEvent? Blank(int choice) => new(Body([new(choice, "", null, null)]));

    public IEnumerable<StreamEvent> Closing(ChoiceEnd end, AnswerTotals? totals) =>
        [new(Body([new(end.Choice, "", null, end.Reason)], includeUsage ? null : totals))];

    public IEnumerable<StreamEvent> Ending(AnswerTotals totals) =>
        includeUsage ? [new(Body([], totals)), StreamEvent.Done] : [StreamEvent.Done];

    public IEnumerable<StreamEvent> Failed(ApiException error) => [new(error.Body)];

    public object Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals) => Body(
        [.. choices.Select((choice, i) => new CompletionChoice(i, echoes[i] + choice.Text, LogProbs(choice.LogProbs), choice.End?.Reason))],
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

internal static class LogProb
{
    /// <summary>A log-probability that JSON can hold: what cannot happen has OpenAI's -9999.</summary>
    public static float Of(float value) => float.IsFinite(value) ? value : -9999;
}
