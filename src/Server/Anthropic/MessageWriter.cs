using System.Text;
using System.Text.Json;
using Understory.Decoding.Sequences;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Anthropic;

/// <summary><c>/v1/messages</c>. A whole message is what its stream adds up to.</summary>
/// <param name="maxTokens">As the request has it; a message that ends before was stopped by the context's end.</param>
/// <param name="edits">The request asked for edits of its context, of which none is made.</param>
public sealed class MessageWriter(AnswerHead head, Tokenizer tokenizer, PreparedChat chat, string requestId, int maxTokens,
    bool showThinking, OfferedTools tools, bool edits = false) : ChatAnswerWriter(chat, 1, tools)
{
    private static readonly JsonElement NoInput = JsonDocument.Parse("{}").RootElement;

    private readonly List<ContentBlock> _content = [];
    private readonly StringBuilder _text = new();
    private readonly int _promptTokens = chat.Prompt.Length;
    private ContentBlock? _open;
    private MessageBody? _ended;
    private bool _begun;

    public override StreamEvent? KeepAlive => _begun ? Event(new Ping()) : null;

    public override IEnumerable<StreamEvent> Opening(int choice, int cachedTokens)
    {
        _begun = true;
        var usage = new MessageUsage(_promptTokens - cachedTokens, cachedTokens, 0);
        return [Event(new MessageStart(new(head.Id, head.Model, [], null, null, usage, head.Fingerprint, head.Seed))), Event(new Ping())];
    }

    public override IEnumerable<StreamEvent> Ending(AnswerTotals totals) => [Event(new MessageStop())];

    public override IEnumerable<StreamEvent> Failed(ApiException error) => [Event(MessageError.Of(error, requestId))];

    public override IJsonBody Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals)
    {
        Replay(0, choices[0], totals);
        return _ended!;
    }

    protected override IEnumerable<StreamEvent> Parts(int choice, IReadOnlyList<AnswerPart> parts, IReadOnlyList<TokenLogProb> logProbs)
    {
        var events = new List<StreamEvent>();
        foreach (AnswerPart part in parts)
        {
            switch (part)
            {
                case TextPart text:
                    Write(events, new TextBlock(""), text.Text, new TextDelta(text.Text));
                    break;
                case ReasoningPart thought when showThinking:
                    Write(events, new ThinkingBlock(""), thought.Text, new ThinkingDelta(thought.Text));
                    break;
                case ReasoningPart:
                    Open(events, new ThinkingBlock(""));
                    break;
                case ToolCallBegun begun:
                    Close(events);
                    Open(events, new ToolUseBlock(begun.Id, begun.Name, NoInput));
                    break;
                case ToolCallArguments arguments:
                    Write(events, _open!, arguments.Text, new InputJsonDelta(arguments.Text));
                    break;
            }
        }

        return events;
    }

    protected override IEnumerable<StreamEvent> Closed(ChoiceEnd end, ParsedAnswer answer, AnswerTotals? totals)
    {
        var events = new List<StreamEvent>();
        Close(events);
        Usage used = totals!.Usage;
        int cached = used.PromptTokensDetails.CachedTokens;
        int? thought = answer.Reasoning is { Length: > 0 } text ? tokenizer.Bare.CountTokens(text) : null;
        var usage = new MessageUsage(used.PromptTokens - cached, cached, used.CompletionTokens, thought is { } tokens ? new(tokens) : null);
        string reason = end switch
        {
            { Reason: ToolCallsReason } => "tool_use",
            { Reason: "length" } => used.CompletionTokens < maxTokens ? "model_context_window_exceeded" : "max_tokens",
            { StopString: not null } => "stop_sequence",
            _ => "end_turn",
        };
        string? stop = reason == "stop_sequence" ? end.StopString : null;
        AppliedEdits? applied = edits ? new([]) : null;
        _ended = new(head.Id, head.Model, [.. _content], reason, stop, usage, head.Fingerprint, head.Seed, totals.Timings, applied);
        events.Add(Event(new MessageDelta(new(reason, stop), usage, head.Seed, totals.Timings, applied)));
        return events;
    }

    private static StreamEvent Event(MessageEvent item) => new(item, item.Type);

    private void Write(List<StreamEvent> events, ContentBlock block, string text, BlockDelta delta)
    {
        Open(events, block);
        _text.Append(text);
        events.Add(Event(new ContentBlockDelta(_content.Count, delta)));
    }

    /// <summary>Goes on with the block that is open if it is of the same kind, else begins this one.</summary>
    private void Open(List<StreamEvent> events, ContentBlock block)
    {
        if (_open?.GetType() == block.GetType())
        {
            return;
        }

        Close(events);
        _open = block;
        events.Add(Event(new ContentBlockStart(_content.Count, block)));
    }

    private void Close(List<StreamEvent> events)
    {
        if (_open is null)
        {
            return;
        }

        string text = _text.ToString();
        events.Add(Event(new ContentBlockStop(_content.Count)));
        _content.Add(_open switch
        {
            TextBlock => new TextBlock(text),
            ThinkingBlock => new ThinkingBlock(text),
            ToolUseBlock call => call with { Input = ReadInput(text) },
            _ => _open,
        });
        _open = null;
        _text.Clear();
    }

    /// <summary>The arguments as an object; none where <c>max_tokens</c> or the model itself broke them off.</summary>
    private static JsonElement ReadInput(string text)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(BrokenPairs.Repair(text));
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : NoInput;
        }
        catch (JsonException)
        {
            return NoInput;
        }
    }
}
