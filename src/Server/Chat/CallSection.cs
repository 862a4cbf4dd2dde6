using System.Text;

namespace Understory.Server.Chat;

/// <summary>Reads what follows the mark of calls: one call or a list of them, up to the mark that ends them.</summary>
/// <param name="raw">What has been read of it: the mark, and blanks before it.</param>
/// <param name="isMarked">The mark was there; else the answer began with what may be a call.</param>
/// <param name="name">The function's name, where the head of a message has said it.</param>
internal sealed class CallSection(AnswerSyntax answer, AnswerOutput output, string raw, bool isMarked, string? name = null)
{
    private readonly ToolSyntax _syntax = answer.Syntax!;
    private readonly StringBuilder _raw = new(raw);
    private ICallReader? _reader;
    private Place _place = Place.Opening;
    private bool _isList;
    private bool _begun;

    private enum Place
    {
        /// <summary>Before a call.</summary>
        Opening,
        Call,

        /// <summary>After a call.</summary>
        Between,

        /// <summary>After the last call.</summary>
        Closing,
    }

    public enum Outcome
    {
        Inside,

        /// <summary>The character ended it and belongs to it.</summary>
        Closed,

        /// <summary>It had ended before what <see cref="Raw"/> says.</summary>
        Past,

        /// <summary>It is no call, or no further one: <see cref="Raw"/> is text.</summary>
        NoCall,

        /// <summary>A call that has begun, and was told of, cannot go on with the character.</summary>
        Broken,
    }

    /// <summary>What has been read and belongs to no call yet.</summary>
    public string Raw => _raw.ToString();

    /// <summary>Something is held back that may yet be text.</summary>
    public bool Holds => _place is Place.Opening or Place.Call && !_begun;

    public Outcome Feed(char c) => _place switch
    {
        Place.Opening => Open(c),
        Place.Call => FeedCall(c),
        Place.Between => FeedBetween(c),
        _ => FeedClosing(c),
    };

    /// <summary>The answer has ended.</summary>
    /// <param name="isCut">In the midst of it: what is known of a call is a call.</param>
    /// <returns>Text that is no call after all.</returns>
    public string Finish(bool isCut)
    {
        if (!Holds)
        {
            return "";
        }

        if (isCut && _reader?.Name is { } known && answer.Find(known) is not null)
        {
            output.BeginCall(known);
        }

        return isCut ? "" : Raw;
    }

    private Outcome Open(char c)
    {
        _raw.Append(c);
        if (JsonScanner.IsBlank(c))
        {
            return Outcome.Inside;
        }

        if (c == '[' && isMarked && _syntax.ListOpen.Length > 0 && !_isList)
        {
            _isList = true;
            return Outcome.Inside;
        }

        // A JSON object is a call in every way; Mistral's older and newer models share their mark.
        bool isObject = c == '{' && name is null;
        _reader = isObject ? new JsonCallReader(answer.Find)
            : _syntax.ShortIds ? new NamedCallReader(answer.Find)
            : _syntax.Style.NewReader(answer.Find, name);
        _begun = false;
        _place = Place.Call;
        return Follow(_reader.Feed(c));
    }

    private Outcome FeedCall(char c)
    {
        bool fits = _reader!.Feed(c);
        if (!fits && _begun)
        {
            output.GiveArguments(_reader.TakeArguments());
            return Outcome.Broken;
        }

        _raw.Append(c);
        return Follow(fits);
    }

    private Outcome Follow(bool fits)
    {
        if (!fits)
        {
            return Outcome.NoCall;
        }

        if (_reader!.Begun && !_begun)
        {
            _begun = true;
            output.BeginCall(_reader.Name!);
        }

        if (_begun)
        {
            _raw.Clear();
            output.GiveArguments(_reader.TakeArguments());
        }

        if (!_reader.Done)
        {
            return Outcome.Inside;
        }

        _place = _isList ? Place.Between : Place.Closing;
        bool isOver = !answer.Parallel
            || (!_isList && !_syntax.BareAtStart && (_syntax.Close is null || _syntax.Marker.Length == 0));
        return isOver ? Outcome.Closed : Outcome.Inside;
    }

    private Outcome FeedBetween(char c)
    {
        if (JsonScanner.IsBlank(c))
        {
            return Outcome.Inside;
        }

        _raw.Clear();
        switch (c)
        {
            case ',':
                _place = Place.Opening;
                return Outcome.Inside;
            case ']':
                _place = Place.Closing;
                return _syntax.Close is null ? Outcome.Closed : Outcome.Inside;
            default:
                _raw.Append(c);
                return Outcome.Past;
        }
    }

    private Outcome FeedClosing(char c)
    {
        _raw.Append(c);
        string rest = Raw.TrimStart();
        if (_syntax.BareAtStart)
        {
            return rest is "" or ";" or "," ? Separated(rest)
                : rest == "{" ? Reopen()
                : Outcome.Past;
        }

        string close = _syntax.Close!;
        if (close.StartsWith(rest, StringComparison.Ordinal))
        {
            return rest.Length == close.Length ? Outcome.Closed : Outcome.Inside;
        }

        return _syntax.Between is not null && !_isList && rest.Length > 0 ? Reopen() : Outcome.Past;
    }

    private Outcome Separated(string rest)
    {
        if (rest.Length > 0)
        {
            _raw.Clear();
        }

        return Outcome.Inside;
    }

    /// <summary>What was held begins a further call.</summary>
    private Outcome Reopen()
    {
        string held = Raw;
        _raw.Clear();
        _place = Place.Opening;
        Outcome outcome = Outcome.Inside;
        for (int i = 0; i < held.Length; i++)
        {
            outcome = Feed(held[i]);
            if (outcome != Outcome.Inside)
            {
                _raw.Append(held.AsSpan(i + 1));
                break;
            }
        }

        return outcome;
    }
}
