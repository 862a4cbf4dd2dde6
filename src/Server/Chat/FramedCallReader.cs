using System.Text;

namespace Understory.Server.Chat;

/// <summary>
/// Reads one call between marks (<see cref="CallFrame"/>) character by character. It has begun once its name is known to be a tool's and
/// the arguments are seen to be an object. Blanks and a block of code around the arguments may be there or not, whatever the way.
/// </summary>
/// <param name="find">The tool of a name that may be called; null: there is none.</param>
public sealed class FramedCallReader(CallFrame frame, Func<string, Tool?> find) : ICallReader
{
    private const int LongestHead = 400;

    private readonly StringBuilder _word = new();
    private readonly StringBuilder _certain = new();
    private readonly JsonScanner _scanner = new();
    private Place _place = Place.Open;

    private enum Place
    {
        Open,
        Head,
        Arguments,
        End,
    }

    public string? Name { get; private set; }

    public bool Begun { get; private set; }

    public bool Done { get; private set; }

    public string TakeArguments() => _certain.TakeAll();

    public bool Feed(char c) => _place switch
    {
        Place.Open => FeedOpen(c),
        Place.Head when c == '{' => BeginArguments(c),
        Place.Head => _word.Append(c).Length < LongestHead,
        Place.Arguments => FeedArguments(c),
        _ => FeedEnd(c),
    };

    private bool FeedOpen(char c)
    {
        string word = _word.Append(c).ToString();
        if (word == frame.Open)
        {
            _word.Clear();
            _place = Place.Head;
            return true;
        }

        return frame.Open.StartsWith(word, StringComparison.Ordinal);
    }

    private bool BeginArguments(char c)
    {
        Name = frame.NameIn(_word.TakeAll());
        Begun = find(Name) is not null;
        _place = Place.Arguments;
        return Begun && FeedArguments(c);
    }

    private bool FeedArguments(char c)
    {
        JsonScanner.Step step = _scanner.Feed(c);
        _certain.Append(_scanner.Take());
        _place = step == JsonScanner.Step.Last ? Place.End : Place.Arguments;
        return step is JsonScanner.Step.Inside or JsonScanner.Step.Last;
    }

    private bool FeedEnd(char c)
    {
        if (JsonScanner.IsBlank(c))
        {
            return true;
        }

        string word = _word.Append(c).ToString();
        Done = frame.Ends.Contains(word);
        return frame.Ends.Any(end => end.StartsWith(word, StringComparison.Ordinal));
    }
}
