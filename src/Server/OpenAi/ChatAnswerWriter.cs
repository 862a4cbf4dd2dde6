using Understory.Decoding.Sequences;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>A whole answer of a chat.</summary>
/// <param name="End">Its reason may also be "tool_calls".</param>
public sealed record ChatResult(ParsedAnswer Answer, IReadOnlyList<TokenLogProb> LogProbs, ChoiceEnd End);

/// <summary>
/// What the writers of all chat APIs share: the text of each choice is parted into reasoning, text and calls of tools.
/// </summary>
/// <param name="choices">How many choices there are.</param>
/// <param name="tools">What the client calls the tools.</param>
public abstract class ChatAnswerWriter(PreparedChat chat, int choices, OfferedTools tools) : IAnswerWriter
{
    /// <summary>How a choice ends that called tools.</summary>
    public const string ToolCallsReason = "tool_calls";

    /// <summary>What the client calls the tools.</summary>
    protected OfferedTools Tools { get; } = tools;

    private readonly AnswerParser[] _parsers = [.. Enumerable.Range(0, choices).Select(_ => new AnswerParser(chat.Answer))];
    private readonly CustomCalls[] _custom = [.. Enumerable.Range(0, choices).Select(_ => new CustomCalls(tools))];

    public abstract IEnumerable<StreamEvent> Opening(int choice, int cachedTokens);

    public abstract IEnumerable<StreamEvent> Ending(AnswerTotals totals);

    public abstract IEnumerable<StreamEvent> Failed(ApiException error);

    public virtual StreamEvent? KeepAlive => null;

    public virtual StreamEvent? Blank(int choice) => null;

    public IEnumerable<StreamEvent> Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs)
    {
        IReadOnlyList<AnswerPart> parts = _custom[choice].Read(_parsers[choice].Push(text), end: false);
        return parts.Count > 0 || logProbs.Count > 0 ? Parts(choice, parts, logProbs) : [];
    }

    public IEnumerable<StreamEvent> Closing(ChoiceEnd end, AnswerTotals? totals)
    {
        AnswerParser parser = _parsers[end.Choice];
        IReadOnlyList<AnswerPart> rest = _custom[end.Choice].Read(parser.Finish(IsCut(end)), end: true);
        return (rest.Count > 0 ? Parts(end.Choice, rest, []) : []).Concat(Closed(End(end, parser.Answer), parser.Answer, totals));
    }

    public abstract IJsonBody Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals);

    /// <summary>What a step gave: perhaps nothing that can be shown yet, or only log-probabilities.</summary>
    protected abstract IEnumerable<StreamEvent> Parts(int choice, IReadOnlyList<AnswerPart> parts, IReadOnlyList<TokenLogProb> logProbs);

    /// <param name="end">Its reason may also be <see cref="ToolCallsReason"/>.</param>
    /// <param name="answer">All that was given before.</param>
    protected abstract IEnumerable<StreamEvent> Closed(ChoiceEnd end, ParsedAnswer answer, AnswerTotals? totals);

    /// <summary>A whole choice, for a writer that has no streams' order in it.</summary>
    protected ChatResult Read(int choice, ChoiceText text)
    {
        AnswerParser parser = _parsers[choice];
        parser.Push(text.Text.ToString());
        parser.Finish(IsCut(text.End!));
        return new ChatResult(parser.Answer, text.LogProbs, End(text.End!, parser.Answer));
    }

    /// <summary>Goes through a whole choice as its stream would have, token by token where there are log-probabilities.</summary>
    protected void Replay(int choice, ChoiceText text, AnswerTotals totals)
    {
        string all = text.Text.ToString();
        int at = 0;
        for (int i = 0; i < text.LogProbs.Count; i++)
        {
            int end = i + 1 < text.LogProbs.Count ? Math.Min(text.LogProbs[i + 1].TextOffset, all.Length) : all.Length;
            _ = Chunk(choice, all[at..end], [text.LogProbs[i]]).Count();
            at = end;
        }

        _ = Chunk(choice, all[at..], []).Count();
        _ = Closing(text.End!, totals).Count();
    }

    /// <summary>Tokens of all choices' thoughts so far, without the marks around them.</summary>
    protected int ReasoningTokens(Tokenizer tokenizer) =>
        _parsers.Sum(parser => parser.Answer.Reasoning is { Length: > 0 } text ? tokenizer.Bare.CountTokens(text) : 0);

    private static bool IsCut(ChoiceEnd end) => end.Reason == "length";

    /// <summary>A stop string that the server added itself (the end of a call) is not shown: the client did not ask for it.</summary>
    private ChoiceEnd End(ChoiceEnd end, ParsedAnswer answer) => end with
    {
        Reason = end.Reason == "stop" && answer.ToolCalls.Count > 0 ? ToolCallsReason : end.Reason,
        StopString = end.StopString is { } stop && chat.Stops.Contains(stop) ? null : end.StopString,
    };
}
