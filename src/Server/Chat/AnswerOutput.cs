using System.Text;

namespace Understory.Server.Chat;

/// <summary>What of an answer has been read: parts that are still to be taken, and all of it.</summary>
internal sealed class AnswerOutput(Func<string> newId)
{
    private readonly List<AnswerPart> _parts = [];
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _reasoning = new();
    private readonly List<(string Id, string Name, StringBuilder Arguments)> _calls = [];

    public ParsedAnswer Answer => new(
        _text.ToString(),
        _reasoning.Length > 0 ? _reasoning.ToString() : null,
        [.. _calls.Select(call => new ToolCall(call.Id, call.Name, call.Arguments.ToString()))]);

    public int Calls => _calls.Count;

    public bool HasText => _text.Length > 0;

    public bool HasReasoning => _reasoning.Length > 0;

    public void GiveText(string text)
    {
        _text.Append(text);
        Give(text, static text => new TextPart(text), static part => (part as TextPart)?.Text);
    }

    public void GiveReasoning(string text)
    {
        _reasoning.Append(text);
        Give(text, static text => new ReasoningPart(text), static part => (part as ReasoningPart)?.Text);
    }

    public void BeginCall(string name)
    {
        string id = newId();
        _parts.Add(new ToolCallBegun(_calls.Count, id, name));
        _calls.Add((id, name, new StringBuilder()));
    }

    /// <summary>More of the arguments of the call begun last.</summary>
    public void GiveArguments(string text)
    {
        int index = _calls.Count - 1;
        _calls[index].Arguments.Append(text);
        Give(text, text => new ToolCallArguments(index, text), static part => (part as ToolCallArguments)?.Text);
    }

    public AnswerPart[] Take()
    {
        AnswerPart[] taken = [.. _parts];
        _parts.Clear();
        return taken;
    }

    /// <summary>Adds to the last part if it is of the same kind.</summary>
    private void Give(string text, Func<string, AnswerPart> make, Func<AnswerPart, string?> of)
    {
        if (text.Length == 0)
        {
            return;
        }

        if (_parts.Count > 0 && of(_parts[^1]) is { } before)
        {
            _parts[^1] = make(before + text);
        }
        else
        {
            _parts.Add(make(text));
        }
    }
}
