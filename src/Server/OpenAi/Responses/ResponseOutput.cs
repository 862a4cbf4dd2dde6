using System.Text;
using Understory.Decoding.Sequences;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi.Responses;

/// <summary>The output of a response while it grows, item by item, and the events that tell of it.</summary>
/// <param name="logProbs">Text comes with log-probabilities.</param>
/// <param name="tools">What the client calls the tools.</param>
internal sealed class ResponseOutput(TokenTexts texts, bool logProbs, OfferedTools tools)
{
    private const string InProgress = "in_progress";

    private readonly List<OutputItem> _items = [];
    private readonly List<StreamEvent> _events = [];
    private readonly StringBuilder _text = new();
    private readonly List<ChosenLogProbBody> _logProbs = [];
    private readonly List<ChosenLogProbBody> _untold = [];
    private OutputItem? _open;
    private int _sequence;

    /// <summary>The items that are complete.</summary>
    public IReadOnlyList<OutputItem> Items => [.. _items];

    /// <summary>The number of the next event.</summary>
    public int NextNumber() => _sequence++;

    /// <summary>Adds what a step gave.</summary>
    public IEnumerable<StreamEvent> Add(IReadOnlyList<AnswerPart> parts, IReadOnlyList<TokenLogProb> tokens)
    {
        if (logProbs)
        {
            _untold.AddRange(tokens.Select(token => LogProb.Of(token, texts)));
        }

        foreach (AnswerPart part in parts)
        {
            switch (part)
            {
                case TextPart text:
                    Write<MessageItem>(text.Text);
                    break;
                case ReasoningPart reasoning:
                    Write<ReasoningItem>(reasoning.Text);
                    break;
                case ToolCallBegun begun:
                    CloseItem("completed");
                    Begin(Call(begun, tools.Origin(begun.Name)));
                    break;
                case ToolCallArguments arguments:
                    WriteCall("response.function_call_arguments.delta", arguments.Text);
                    break;
                case CustomToolInput input:
                    WriteCall("response.custom_tool_call_input.delta", input.Text);
                    break;
            }
        }

        return TakeEvents();
    }

    /// <summary>Ends the output: it has at least one item, if an empty message.</summary>
    /// <param name="status">Of the item that is open: "completed" or "incomplete".</param>
    public IEnumerable<StreamEvent> Close(string status)
    {
        if (_open is null && _items.Count == 0)
        {
            Open<MessageItem>();
        }

        CloseItem(status);
        return TakeEvents();
    }

    private void Write<TItem>(string text)
        where TItem : OutputItem
    {
        Open<TItem>();
        _text.Append(text);
        bool message = _open is MessageItem;
        ChosenLogProbBody[] told = message ? [.. _untold] : [];
        // Tokens of thoughts and calls have no place where their probabilities could stand.
        _untold.Clear();
        _logProbs.AddRange(told);
        Tell(new DeltaEvent(message ? "response.output_text.delta" : "response.reasoning_text.delta", NextNumber(), _open!.Id, _items.Count,
            0, text, message ? told : null));
    }

    private void WriteCall(string type, string text)
    {
        _text.Append(text);
        Tell(new DeltaEvent(type, NextNumber(), _open!.Id, _items.Count, null, text));
    }

    private void Open<TItem>()
        where TItem : OutputItem
    {
        if (_open is TItem)
        {
            return;
        }

        CloseItem("completed");
        Begin(typeof(TItem) == typeof(MessageItem)
            ? new MessageItem($"msg_{Guid.NewGuid():N}", InProgress, []) : new ReasoningItem($"rs_{Guid.NewGuid():N}", InProgress, []));
        Tell(new ContentPartEvent("response.content_part.added", NextNumber(), _open!.Id, _items.Count, 0, Part("", [])));
    }

    private static OutputItem Call(ToolCallBegun call, ToolOrigin tool) => tool.Custom
        ? new CustomCallItem($"ctc_{Guid.NewGuid():N}", InProgress, call.Id, tool.Name, "", tool.Namespace)
        : new FunctionCallItem($"fc_{Guid.NewGuid():N}", InProgress, call.Id, tool.Name, "", tool.Namespace);

    private void Begin(OutputItem item)
    {
        _open = item;
        Tell(new OutputItemEvent("response.output_item.added", NextNumber(), _items.Count, item));
    }

    private void CloseItem(string status)
    {
        if (_open is not { } item)
        {
            return;
        }

        // The last tokens may have no text of their own.
        _logProbs.AddRange(item is MessageItem ? _untold : []);
        _untold.Clear();
        string text = _text.ToString();
        int index = _items.Count;
        if (item is FunctionCallItem call)
        {
            Tell(new ArgumentsDoneEvent("response.function_call_arguments.done", NextNumber(), item.Id, index, call.Name, text));
            item = call with { Arguments = text, Status = status };
        }
        else if (item is CustomCallItem custom)
        {
            Tell(new InputDoneEvent("response.custom_tool_call_input.done", NextNumber(), item.Id, index, text));
            item = custom with { Input = text, Status = status };
        }
        else
        {
            ChosenLogProbBody[] logProbs = [.. _logProbs];
            ItemPart part = Part(text, logProbs);
            bool message = item is MessageItem;
            Tell(new TextDoneEvent(
                message ? "response.output_text.done" : "response.reasoning_text.done", NextNumber(), item.Id, index, 0, text, message
                    ? logProbs : null));
            Tell(new ContentPartEvent("response.content_part.done", NextNumber(), item.Id, index, 0, part));
            item = item is MessageItem said
                ? said with { Content = [part], Status = status } : (ReasoningItem)item with { Content = [part], Status = status };
        }

        Tell(new OutputItemEvent("response.output_item.done", NextNumber(), index, item));
        _items.Add(item);
        _open = null;
        _text.Clear();
        _logProbs.Clear();
    }

    private ItemPart Part(string text, IReadOnlyList<ChosenLogProbBody> logProbs) =>
        _open is MessageItem ? new OutputTextPart(text, logProbs) : new ReasoningTextPart(text);

    private void Tell(ResponseEvent item) => _events.Add(new StreamEvent(item, item.Type));

    private StreamEvent[] TakeEvents()
    {
        StreamEvent[] taken = [.. _events];
        _events.Clear();
        return taken;
    }
}
