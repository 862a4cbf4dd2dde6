using Understory.Decoding.Sequences;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary><c>/v1/chat/completions</c>.</summary>
/// <param name="includeUsage">As for completions.</param>
/// <param name="tools">What the client calls the tools.</param>
/// <param name="older">The one call is written as <c>function_call</c>.</param>
public sealed class ChatCompletionWriter(AnswerHead head, TokenTexts texts, int topLogProbs, bool includeUsage, PreparedChat chat,
    int choices, OfferedTools tools, bool older = false)
    : ChatAnswerWriter(chat, choices, tools)
{
    private const string Function = "function";
    private const string Custom = "custom";
    private const string ChunkObject = "chat.completion.chunk";
    private const string FunctionCallReason = "function_call";

    public override IEnumerable<StreamEvent> Opening(int choice, int cachedTokens) => [Delta(choice, new("assistant", ""))];

    public override StreamEvent? Blank(int choice) => Delta(choice, new());

    public override IEnumerable<StreamEvent> Ending(AnswerTotals totals) =>
        includeUsage ? [new(Body([], WithThoughts(totals))), StreamEvent.Done] : [StreamEvent.Done];

    public override IEnumerable<StreamEvent> Failed(ApiException error) => [new(error.Body)];

    /// <summary>The log-probabilities of a step go with its first part, whatever that is.</summary>
    protected override IEnumerable<StreamEvent> Parts(int choice, IReadOnlyList<AnswerPart> parts, IReadOnlyList<TokenLogProb> logProbs) =>
        parts.Count == 0 ? [Delta(choice, new(Content: ""), logProbs)]
            : parts.Select((part, i) => Delta(choice, Of(part), i == 0 ? logProbs : []));

    protected override IEnumerable<StreamEvent> Closed(ChoiceEnd end, ParsedAnswer answer, AnswerTotals? totals) =>
        [new(Body([new(end.Choice, new(), null, Reason(end))], includeUsage || totals is null ? null : WithThoughts(totals)))];

    public override IJsonBody Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals)
    {
        ChatChoice[] read = [.. choices.Select((text, i) => Choice(Read(i, text)))];
        return new ChatBody(
            head.Id, "chat.completion", head.Created, head.Model, head.Fingerprint, read, WithThoughts(totals).Usage, head.Seed,
            totals.Timings);
    }

    /// <summary>Once all choices are there.</summary>
    private AnswerTotals WithThoughts(AnswerTotals totals) => totals with
    {
        Usage = totals.Usage with
        {
            CompletionTokensDetails = totals.Usage.CompletionTokensDetails with { ReasoningTokens = ReasoningTokens(texts.Tokenizer) },
        },
    };

    private ChatChoice Choice(ChatResult choice) =>
        new(choice.End.Choice, Message(choice.Answer), LogProbs(choice.LogProbs), Reason(choice.End));

    private string Reason(ChoiceEnd end) => older && end.Reason == ToolCallsReason ? FunctionCallReason : end.Reason;

    private ChatAnswer Message(ParsedAnswer answer) =>
        new("assistant", answer.Text.Length == 0 && answer.ToolCalls.Count > 0 ? null : answer.Text)
        {
            ReasoningContent = answer.Reasoning,
            ToolCalls = answer.ToolCalls.Count == 0 || older ? null : [.. answer.ToolCalls.Select(Call)],
            FunctionCall = older && answer.ToolCalls is [var only, ..] ? new(only.Name, only.Arguments) : null,
        };

    private ToolCallBody Call(ToolCall call) => Tools.Origin(call.Name).Custom
        ? new(call.Id, Custom, Custom: new(call.Name, CustomInput.Of(call.Arguments)))
        : new(call.Id, Function, new(call.Name, call.Arguments));

    private ChatDelta Of(AnswerPart part) => part switch
    {
        ToolCallBegun begun when older => new(FunctionCall: new(begun.Name, "")),
        ToolCallArguments arguments when older => new(FunctionCall: new(null, arguments.Text)),
        TextPart text => new(Content: text.Text),
        ReasoningPart reasoning => new(ReasoningContent: reasoning.Text),
        ToolCallBegun begun when Tools.Origin(begun.Name).Custom =>
            new(ToolCalls: [new(begun.Index, null, begun.Id, Custom, new(begun.Name, ""))]),
        CustomToolInput input => new(ToolCalls: [new(input.Index, Custom: new(null, input.Text))]),
        ToolCallBegun begun => new(ToolCalls: [new(begun.Index, new(begun.Name, ""), begun.Id, Function)]),
        ToolCallArguments arguments => new(ToolCalls: [new(arguments.Index, new(null, arguments.Text))]),
        _ => throw new InvalidOperationException($"A part of an answer of the kind {part.GetType().Name}."),
    };

    private StreamEvent Delta(int choice, ChatDelta delta, IReadOnlyList<TokenLogProb>? logProbs = null) =>
        new(Body([new(choice, delta, logProbs is null ? null : LogProbs(logProbs), null)]));

    private ChatChunk Body(IReadOnlyList<ChatChunkChoice> choices, AnswerTotals? totals = null) => new(
        head.Id, ChunkObject, head.Created, head.Model, head.Fingerprint, choices, totals?.Usage, totals is null
            ? null : head.Seed, totals?.Timings);

    private ChatLogProbs? LogProbs(IReadOnlyList<TokenLogProb> tokens) => topLogProbs < 0 ? null : new(
        [.. tokens.Select(token => LogProb.Of(token, texts))]);
}
