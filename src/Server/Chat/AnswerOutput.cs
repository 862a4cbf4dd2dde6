using System.Text;

namespace Understory.Server.Chat;

/// <summary>What of an answer has been read: parts that are still to be taken, and all of it.</summary>
internal sealed class AnswerOutput(Func<string> newId)
{
    private readonly List<AnswerPart> _parts = [];
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _reasoning = new();
    private readonly List<(string Id, string Name, StringBuilder Arguments)> _calls = [];
    private readonly StringBuilder _open = new();
    private Kind _kind;

    /// <summary>What the text is that has no part yet: of a kind, what follows each other is one part.</summary>
    private enum Kind
    {
        Text,
        Reasoning,
        Arguments,
    }

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
        Give(text, Kind.Text);
    }

    public void GiveReasoning(string text)
    {
        _reasoning.Append(text);
        Give(text, Kind.Reasoning);
    }

    public void BeginCall(string name)
    {
        string id = newId();
        Close();
        _parts.Add(new ToolCallBegun(_calls.Count, id, name));
        _calls.Add((id, name, new StringBuilder()));
    }

    /// <summary>More of the arguments of the call begun last.</summary>
    public void GiveArguments(string text)
    {
        _calls[^1].Arguments.Append(text);
        Give(text, Kind.Arguments);
    }

    public AnswerPart[] Take()
    {
        Close();
        AnswerPart[] taken = [.. _parts];
        _parts.Clear();
        return taken;
    }

    private void Give(string text, Kind kind)
    {
        if (text.Length > 0 && kind != _kind)
        {
            Close();
            _kind = kind;
        }

        _open.Append(text);
    }

    private void Close()
    {
        if (_open.Length > 0)
        {
            string text = _open.TakeAll();
            _parts.Add(_kind switch
            {
                Kind.Text => new TextPart(text),
                Kind.Reasoning => new ReasoningPart(text),
                _ => new ToolCallArguments(_calls.Count - 1, text),
            });
        }
    }
}
