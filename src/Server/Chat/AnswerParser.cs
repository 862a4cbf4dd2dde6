using System.Text;

namespace Understory.Server.Chat;

/// <summary>
/// Parts an answer, while it is written, into reasoning, text and calls of tools. It looks at one character after the other, so what it
/// gives does not depend on how the text was cut. Nothing that may yet become a mark is given out, with the blanks before it; what looks
/// like a call and is none (broken JSON, an unknown tool) is text. A call that was told of stays one: where its arguments break off, what
/// follows up to its end is left out.
/// </summary>
public sealed class AnswerParser
{
    private readonly AnswerSyntax _syntax;
    private readonly AnswerOutput _output;
    private readonly StringBuilder _held = new();
    private readonly MarkFinder _textMarks;
    private readonly MarkFinder _thoughtMarks;
    private readonly MarkFinder _skipMarks;
    private State _state;
    private CallSection? _section;

    public AnswerParser(AnswerSyntax syntax)
    {
        _syntax = syntax;
        _output = new AnswerOutput(syntax.NewId);
        Mark[] ends =
        [
            .. syntax.Channels is { } channels ? channels.TurnEnds.Select(end => new Mark(end, Meaning.TurnEnd)) : [],
            .. syntax.Channels is { } messages ? (Mark[])[new(messages.MessageEnd, Meaning.MessageEnd)] : [],
            .. syntax.Ends.Select(end => new Mark(end, Meaning.TurnEnd)),
        ];
        _textMarks = new MarkFinder(
        [
            .. ends, .. syntax.Thoughts?.AnswerMarks.Select(mark => new Mark(mark, Meaning.Nothing)) ?? [],
            .. syntax.Syntax is { Marker.Length: > 0 } tools ? (Mark[])[new(tools.Marker, Meaning.Calls)] : [],
            .. syntax.Syntax?.Beginning is { } beginning ? (Mark[])[new(beginning, Meaning.BareCalls)] : [],
        ]);
        _thoughtMarks =
            new MarkFinder([.. ends, .. syntax.Thoughts is { } thoughts ? (Mark[])[new(thoughts.Close, Meaning.ThoughtsEnd)] : []]);
        _skipMarks = new MarkFinder([.. ends, .. syntax.Syntax?.End is { } end ? (Mark[])[new(end, Meaning.CallsEnd)] : []]);
        _state = syntax.Channels is not null ? State.Head
            : syntax.Thinking == ThoughtState.Open ? State.ThinkingStart
            : syntax.Thinking == ThoughtState.Possible ? State.Start
            : syntax.SkipsLead ? State.BeforeBody : BodyStart;
        foreach (char c in syntax.Head)
        {
            Feed(c);
        }
    }

    private enum State
    {
        /// <summary>In the head of a message.</summary>
        Head,

        /// <summary>Perhaps the model begins to think.</summary>
        Start,

        /// <summary>Blanks before the first thought.</summary>
        ThinkingStart,
        Thinking,

        /// <summary>Blanks before what is said.</summary>
        BeforeBody,

        /// <summary>Perhaps a call without a mark.</summary>
        BareStart,
        Text,

        /// <summary>In the calls behind a mark.</summary>
        Calls,

        /// <summary>Blanks after calls.</summary>
        AfterCalls,

        /// <summary>In what follows broken arguments.</summary>
        Skipping,

        /// <summary>The turn is over; nothing counts.</summary>
        Ended,
    }

    /// <summary>All that was given so far, as a whole.</summary>
    public ParsedAnswer Answer => _output.Answer;

    /// <summary>The answer is over, whatever may follow.</summary>
    public bool Ended => _state == State.Ended;

    /// <summary>Something is held back that may yet be text or part of it.</summary>
    public bool Holds => _held.Length > 0 || (_state == State.Calls && _section!.Holds);

    private State BodyStart => _syntax.Syntax?.BareAtStart == true ? State.BareStart : State.Text;

    /// <summary>Takes the next piece of the answer; gives what is certain.</summary>
    public IReadOnlyList<AnswerPart> Push(string piece)
    {
        for (int at = 0; at < piece.Length;)
        {
            int plain = _held.Length > 0 ? 0 : _state switch
            {
                State.Text => _textMarks.PlainLength(piece.AsSpan(at)),
                State.Thinking => _thoughtMarks.PlainLength(piece.AsSpan(at)),
                _ => 0,
            };
            if (plain == 0)
            {
                Feed(piece[at++]);
                continue;
            }

            string text = piece.Substring(at, plain);
            at += plain;
            (_state == State.Text ? (Action<string>)_output.GiveText : _output.GiveReasoning)(text);
        }

        return _output.Take();
    }

    /// <summary>The answer has ended: gives what was held back.</summary>
    /// <param name="isCut">It was cut off: a mark or a call that was being written is no text.</param>
    public IReadOnlyList<AnswerPart> Finish(bool isCut = false)
    {
        string held = _held.ToString();
        _held.Clear();
        switch (_state)
        {
            case State.Thinking:
                _output.GiveReasoning(held);
                break;
            case State.Calls:
                string rest = _section!.Finish(isCut);
                if (rest.Length > 0)
                {
                    NoCalls(rest);
                    return Finish();
                }

                break;
            case State.Skipping or State.Ended:
            case State.Text when isCut && IsCallMark(held):
            case State.Head when isCut || !ChannelSyntax.MayBeHead(held) || held.TrimStart().StartsWith('<') || held.Contains("to=",
                StringComparison.Ordinal):
                break;
            default:
                _output.GiveText(held);
                break;
        }

        return _output.Take();
    }

    private bool IsCallMark(string held) => held.TrimStart() is { Length: > 1 } mark
        && _syntax.Syntax?.Marker.StartsWith(mark, StringComparison.Ordinal) == true;

    private void Feed(char c)
    {
        switch (_state)
        {
            case State.Head:
                FeedHead(c);
                break;
            case State.Start:
                FeedStart(c);
                break;
            case State.ThinkingStart or State.BeforeBody or State.AfterCalls when JsonScanner.IsBlank(c):
                break;
            case State.ThinkingStart:
                Go(State.Thinking, c);
                break;
            case State.Thinking:
                Hold(c, _thoughtMarks, _output.GiveReasoning);
                break;
            case State.BeforeBody:
                Go(BodyStart, c);
                break;
            case State.BareStart:
                FeedBareStart(c);
                break;
            case State.AfterCalls:
                Go(State.Text, c);
                break;
            case State.Text:
                Hold(c, _textMarks, _output.GiveText);
                break;
            case State.Calls:
                FeedCalls(c);
                break;
            case State.Skipping:
                Hold(c, _skipMarks, static _ => { });
                break;
        }
    }

    private void Go(State state, char c)
    {
        _state = state;
        Feed(c);
    }

    private void FeedHead(char c)
    {
        _held.Append(c);
        string head = _held.ToString();
        if (c == '>' && head.EndsWith(ChannelSyntax.HeadEnd, StringComparison.Ordinal))
        {
            _held.Clear();
            BeginMessage(head);
        }
        else if (!ChannelSyntax.MayBeHead(head))
        {
            _held.Clear();
            _state = State.Text;
            Refeed(head);
        }
    }

    private void BeginMessage(string head)
    {
        switch (_syntax.Channels!.KindOf(head, out string tool))
        {
            case MessageKind.Thoughts:
                _state = State.Thinking;
                _output.GiveReasoning(_output.HasReasoning ? "\n" : "");
                break;
            case MessageKind.Call when _syntax.Syntax is not null && _syntax.Find(tool) is not null:
                _section = new CallSection(_syntax, _output, head, isMarked: true, tool);
                _state = State.Calls;
                break;
            case MessageKind.Call:
                _state = State.Text;
                _output.GiveText(head);
                break;
            default:
                _state = State.Text;
                _output.GiveText(_output.HasText ? "\n" : "");
                break;
        }
    }

    private void FeedStart(char c)
    {
        _held.Append(c);
        string text = _held.ToString();
        string open = _syntax.Thoughts!.Open;
        string word = text.TrimStart(' ', '\t', '\r', '\n');
        if (word == open)
        {
            _held.Clear();
            _state = State.ThinkingStart;
        }
        else if (!open.StartsWith(word, StringComparison.Ordinal))
        {
            _held.Clear();
            _state = BodyStart;
            Refeed(_syntax.SkipsLead ? word : text);
        }
    }

    /// <summary>A call may stand without its mark where the answer begins.</summary>
    private void FeedBareStart(char c)
    {
        _held.Append(c);
        if (JsonScanner.IsBlank(c))
        {
            return;
        }

        string text = _held.TakeAll();
        if (c == '{')
        {
            BeginCalls(text[..^1], isMarked: false);
            FeedCalls(c);
        }
        else
        {
            _state = State.Text;
            Refeed(text);
        }
    }

    private void BeginCalls(string raw, bool isMarked)
    {
        _section = new CallSection(_syntax, _output, raw, isMarked);
        _state = State.Calls;
    }

    private void FeedCalls(char c)
    {
        switch (_section!.Feed(c))
        {
            case CallSection.Outcome.Closed:
                EndCalls();
                break;
            case CallSection.Outcome.Past:
                EndCalls();
                Refeed(_section.Raw);
                break;
            case CallSection.Outcome.NoCall:
                NoCalls(_section.Raw);
                break;
            case CallSection.Outcome.Broken:
                _state = State.Skipping;
                Feed(c);
                break;
        }
    }

    private void EndCalls() => _state = _syntax.Parallel || _output.Calls == 0 ? State.AfterCalls : State.Ended;

    /// <summary>What looked like a call is text: its beginning as it stands, the rest as if it came anew.</summary>
    private void NoCalls(string text)
    {
        _state = State.Text;
        int blanks = text.Length - text.AsSpan().TrimStart(" \t\r\n").Length;
        string mark = _syntax.Syntax!.Marker;
        int length = mark.Length > 0 && text.AsSpan(blanks).StartsWith(mark, StringComparison.Ordinal) ? mark.Length
            : _syntax.Channels is not null && text.IndexOf(ChannelSyntax.HeadEnd, StringComparison.Ordinal) is >= 0 and int end
                ? end + ChannelSyntax.HeadEnd.Length - blanks : 1;
        int certain = Math.Min(text.Length, blanks + length);
        _output.GiveText(text[..certain]);
        Refeed(text[certain..]);
    }

    /// <summary>Gives text out, but for an end that may become blanks and a mark; follows a mark that is complete.</summary>
    private void Hold(char c, MarkFinder marks, Action<string> give)
    {
        if (marks.Feed(c, _held, give) is { } meaning)
        {
            string held = _held.ToString();
            _held.Clear();
            Follow(meaning, held);
        }
    }

    /// <param name="held">Blanks and the mark.</param>
    private void Follow(Meaning meaning, string held)
    {
        switch (meaning)
        {
            case Meaning.Calls:
                BeginCalls(held, isMarked: true);
                break;
            case Meaning.BareCalls:
                string beginning = _syntax.Syntax!.Beginning!;
                BeginCalls(held[..^beginning.Length], isMarked: true);
                Refeed(beginning);
                break;
            case Meaning.CallsEnd:
                EndCalls();
                break;
            case Meaning.ThoughtsEnd:
                _state = State.BeforeBody;
                break;
            case Meaning.MessageEnd:
                _state = State.Head;
                break;
            case Meaning.TurnEnd:
                _state = State.Ended;
                break;
        }
    }

    private void Refeed(string text)
    {
        foreach (char c in text)
        {
            Feed(c);
        }
    }
}
