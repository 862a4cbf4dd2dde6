using System.Text;

namespace Understory.Server.Chat;

/// <summary>What an answer may hold beside text.</summary>
/// <param name="Syntax">How calls are written; null: none are looked for.</param>
/// <param name="Known">Whether a tool of this name may be called; other calls are text.</param>
/// <param name="Parallel">Calls after the first count too; else they are dropped.</param>
/// <param name="NewId">Makes the id of a call.</param>
/// <param name="Thinks">The answer may begin with <c>&lt;think&gt;</c> … <c>&lt;/think&gt;</c>.</param>
/// <param name="Thinking">The prompt has opened that already.</param>
public sealed record AnswerSyntax(ToolSyntax? Syntax, Func<string, bool> Known, bool Parallel, Func<string> NewId, bool Thinks,
    bool Thinking)
{
    public static AnswerSyntax PlainText { get; } = new(null, _ => false, true, () => "", false, false);
}

/// <summary>
/// Parts an answer, while it is written, into reasoning, text and calls of tools. It looks at one character after the other, so what it
/// gives does not depend on how the text was cut. Nothing that may yet become a marker is given out, with the blanks before it; what looks
/// like a call and is none (broken JSON, an unknown tool) is text. A call whose arguments break off stays a call with broken arguments.
/// </summary>
public sealed class AnswerParser(AnswerSyntax syntax)
{
    private readonly List<AnswerPart> _parts = [];
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _reasoning = new();
    private readonly List<(string Id, string Name, StringBuilder Arguments)> _calls = [];
    private readonly StringBuilder _held = new();
    private State _state = syntax.Thinking ? State.ThinkingStart : syntax.Thinks ? State.Start : syntax.Syntax?.BareAtStart == true
        ? State.Opening : State.Text;
    private ICallReader? _call;
    private bool _inList;
    private bool _begun;
    private bool _dropping;

    private enum State
    {
        /// <summary>Perhaps the model begins to think.</summary>
        Start,

        /// <summary>Blanks before the first thought.</summary>
        ThinkingStart,
        Thinking,

        /// <summary>Blanks before what is said.</summary>
        AfterThinking,
        Text,

        /// <summary>After a marker, or where a call may stand without one.</summary>
        Opening,
        Call,

        /// <summary>After a call.</summary>
        Between,

        /// <summary>Blanks after the last call.</summary>
        AfterCalls,
    }

    /// <summary>All that was given so far, as a whole.</summary>
    public ParsedAnswer Answer => new(
        _text.ToString(),
        _reasoning.Length > 0 ? _reasoning.ToString() : null,
        [.. _calls.Select(call => new ToolCall(call.Id, call.Name, call.Arguments.ToString()))]);

    /// <summary>Takes the next piece of the answer; gives what is certain.</summary>
    public IReadOnlyList<AnswerPart> Push(string piece)
    {
        if (_state == State.Text && syntax.Syntax is null)
        {
            GiveText(piece);
        }
        else
        {
            foreach (char c in piece)
            {
                Feed(c);
            }
        }

        return Take();
    }

    /// <summary>The answer has ended: gives what was held back.</summary>
    public IReadOnlyList<AnswerPart> Finish()
    {
        switch (_state)
        {
            case State.Thinking:
                GiveReasoning(_held.ToString());
                break;
            case State.Call when _begun:
            case State.Between:
                // At most the beginning of the mark that ends a call.
                break;
            default:
                GiveText(_held.ToString());
                break;
        }

        _held.Clear();
        return Take();
    }

    private void Feed(char c)
    {
        switch (_state)
        {
            case State.Start:
                _held.Append(c);
                FollowMarker(ThoughtMarks.Open, State.ThinkingStart, BodyStart);
                break;
            case State.ThinkingStart or State.AfterThinking or State.AfterCalls when JsonScanner.IsBlank(c):
                break;
            case State.ThinkingStart:
                _state = State.Thinking;
                Feed(c);
                break;
            case State.Thinking:
                Hold(c, ThoughtMarks.Close, GiveReasoning, State.AfterThinking);
                break;
            case State.AfterThinking:
                _state = BodyStart;
                Feed(c);
                break;
            case State.AfterCalls:
                _state = State.Text;
                Feed(c);
                break;
            case State.Text when syntax.Syntax is { } tools:
                if (Hold(c, tools.Marker, GiveText, State.Opening))
                {
                    _inList = false;
                }

                break;
            case State.Text:
                GiveText(c.ToString());
                break;
            case State.Opening:
                Open(c);
                break;
            case State.Call:
                FeedCall(c);
                break;
            case State.Between:
                FeedBetween(c);
                break;
        }
    }

    private State BodyStart => syntax.Syntax?.BareAtStart == true ? State.Opening : State.Text;

    /// <summary>
    /// Gives text out, but for an end that may become blanks and <paramref name="marker"/>. Of a marker only <see cref="_held"/> knows.
    /// </summary>
    /// <returns>The marker is complete.</returns>
    private bool Hold(char c, string marker, Action<string> give, State then)
    {
        _held.Append(c);
        string text = _held.ToString();
        int certain = 0;
        while (certain < text.Length && !MayBe(text.AsSpan(certain), marker))
        {
            certain++;
        }

        if (certain > 0)
        {
            give(text[..certain]);
            _held.Remove(0, certain);
        }

        if (!text.EndsWith(marker, StringComparison.Ordinal) || _held.Length < marker.Length)
        {
            return false;
        }

        // What was held stays at hand: should no call follow, it is text.
        _state = then;
        if (then != State.Opening)
        {
            _held.Clear();
        }

        return true;
    }

    /// <summary>Decides whether what is held is blanks and the marker, and goes on accordingly.</summary>
    private void FollowMarker(string marker, State then, State otherwise)
    {
        string text = _held.ToString();
        if (!MayBe(text, marker))
        {
            _held.Clear();
            _state = otherwise;
            Refeed(text);
        }
        else if (text.EndsWith(marker, StringComparison.Ordinal))
        {
            _held.Clear();
            _state = then;
        }
    }

    /// <summary>Blanks, and then a beginning of the marker, perhaps all of it.</summary>
    private static bool MayBe(ReadOnlySpan<char> text, string marker)
    {
        ReadOnlySpan<char> word = text.TrimStart(" \t\r\n");
        return word.Length <= marker.Length && marker.AsSpan().StartsWith(word, StringComparison.Ordinal);
    }

    private void Open(char c)
    {
        _held.Append(c);
        ToolSyntax tools = syntax.Syntax!;
        if (JsonScanner.IsBlank(c))
        {
            return;
        }

        bool marked = _calls.Count > 0 || _inList || _held.ToString().AsSpan().TrimStart(" \t\r\n")
            .StartsWith(tools.Marker, StringComparison.Ordinal);
        if (!marked && tools.Marker.StartsWith(c))
        {
            // Only the marker itself can follow the blanks at the start.
            string text = _held.ToString();
            _held.Clear();
            _state = State.Text;
            Refeed(text);
        }
        else if (c == '[' && marked && tools.Lists && !_inList)
        {
            _inList = true;
        }
        else if (c == '{' || (marked && tools.Lists && !_inList && (char.IsAsciiLetter(c) || c == '_')))
        {
            _call = c == '{' ? new JsonCallReader(syntax.Known) : new NamedCallReader(syntax.Known);
            _begun = false;
            _state = State.Call;
            Follow(_call.Feed(c));
        }
        else
        {
            NoCall();
        }
    }

    private void FeedCall(char c)
    {
        bool fits = _call!.Feed(c);
        if (fits || !_begun)
        {
            _held.Append(c);
            Follow(fits);
            return;
        }

        // It has been told of and stays; what does not belong to it is text.
        Follow(fits: true);
        _held.Clear();
        _state = State.Text;
        Feed(c);
    }

    private void Follow(bool fits)
    {
        if (!fits)
        {
            NoCall();
            return;
        }

        if (_call!.Begun && !_begun)
        {
            _begun = true;
            BeginCall(_call.Name!);
        }

        if (_begun)
        {
            _held.Clear();
            GiveArguments(_call.TakeArguments());
        }

        if (_call.Done)
        {
            _state = State.Between;
        }
    }

    /// <summary>What looked like a call is text: its beginning as it stands, the rest as if it came anew.</summary>
    private void NoCall()
    {
        string text = _held.ToString();
        _held.Clear();
        _state = State.Text;
        int blanks = text.Length - text.AsSpan().TrimStart(" \t\r\n").Length;
        int marker = text.AsSpan(blanks).StartsWith(syntax.Syntax!.Marker, StringComparison.Ordinal) ? syntax.Syntax.Marker.Length : 0;
        int certain = Math.Min(text.Length, blanks + Math.Max(marker, 1));
        GiveText(text[..certain]);
        Refeed(text[certain..]);
    }

    private void FeedBetween(char c)
    {
        ToolSyntax tools = syntax.Syntax!;
        if (_inList)
        {
            switch (c)
            {
                case ',':
                    _state = State.Opening;
                    _held.Clear();
                    return;
                case ']':
                    _inList = false;
                    _state = State.AfterCalls;
                    return;
                case var blank when JsonScanner.IsBlank(blank):
                    return;
                default:
                    _state = State.AfterCalls;
                    Feed(c);
                    return;
            }
        }

        if (tools.Close is { } close)
        {
            _held.Append(c);
            FollowMarker(close, State.AfterCalls, State.AfterCalls);
        }
        else if (tools.BareAtStart && c == '{')
        {
            _held.Clear();
            _state = State.Opening;
            Feed(c);
        }
        else if (!(JsonScanner.IsBlank(c) || (tools.BareAtStart && c is ';' or ',')))
        {
            _state = State.AfterCalls;
            Feed(c);
        }
    }

    private void Refeed(string text)
    {
        foreach (char c in text)
        {
            Feed(c);
        }
    }

    private void GiveText(string text)
    {
        _text.Append(text);
        Give(text, static text => new TextPart(text), static part => (part as TextPart)?.Text);
    }

    private void GiveReasoning(string text)
    {
        _reasoning.Append(text);
        Give(text, static text => new ReasoningPart(text), static part => (part as ReasoningPart)?.Text);
    }

    private void BeginCall(string name)
    {
        _dropping = !syntax.Parallel && _calls.Count > 0;
        if (!_dropping)
        {
            string id = syntax.NewId();
            _parts.Add(new ToolCallBegun(_calls.Count, id, name));
            _calls.Add((id, name, new StringBuilder()));
        }
    }

    private void GiveArguments(string text)
    {
        if (!_dropping)
        {
            int index = _calls.Count - 1;
            _calls[index].Arguments.Append(text);
            Give(text, text => new ToolCallArguments(index, text), static part => (part as ToolCallArguments)?.Text);
        }
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

    private AnswerPart[] Take()
    {
        AnswerPart[] taken = [.. _parts];
        _parts.Clear();
        return taken;
    }
}
