using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>How calls are written whose arguments are literals but no JSON.</summary>
/// <param name="Prefix">Stands before the function's name.</param>
/// <param name="Open">Opens the arguments.</param>
/// <param name="Close">Closes them.</param>
/// <param name="Pair">Stands between an argument's name and its value.</param>
/// <param name="Quote">Stands on both sides of a string, which then has no escapes; null: Python's quotes and escapes.</param>
/// <param name="Comma">Stands between two arguments.</param>
public sealed record LooseSyntax(string Prefix, char Open, char Close, char Pair, string? Quote, string Comma)
{
    /// <summary><c>call:f{city:&lt;|"|&gt;Oslo&lt;|"|&gt;,days:2}</c>: Gemma 4.</summary>
    public static LooseSyntax Gemma { get; } = new("call:", '{', '}', ':', "<|\"|>", ",");

    /// <summary><c>f(city="Oslo", days=2)</c>: LFM2.</summary>
    public static LooseSyntax Python { get; } = new("", '(', ')', '=', null, ", ");
}

/// <summary>
/// Reads one call whose arguments are literals of Python or of Gemma (<see cref="LooseSyntax"/>) character by character, and gives them as
/// a JSON object. The call has begun once its name is known to be a tool's. Bare words that are no literal are strings.
/// </summary>
/// <param name="find">The tool of a name that may be called; null: there is none.</param>
public sealed class LooseCallReader(LooseSyntax syntax, Func<string, Tool?> find) : ICallReader
{
    private const int Deepest = 64;
    private const int LongestName = 300;

    private readonly Stack<Frame> _frames = new();
    private readonly StringBuilder _word = new();
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _certain = new();
    private Place _place = Place.Name;
    private string _quote = "";
    private bool _isKey;

    private enum Place
    {
        Name,

        /// <summary>Before a key or the end of an object.</summary>
        Key,

        /// <summary>A key without quotes.</summary>
        BareKey,
        Pair,
        Value,

        /// <summary>A number, or a word.</summary>
        Bare,
        Text,
        Escape,
        CommaOrEnd,
    }

    public string? Name { get; private set; }

    public bool Begun { get; private set; }

    public bool Done { get; private set; }

    public string TakeArguments() => _certain.TakeAll();

    public bool Feed(char c)
    {
        bool fits = _place switch
        {
            Place.Name => FeedName(c),
            Place.Text or Place.Escape => FeedText(c),
            Place.Bare => FeedBare(c),
            Place.BareKey => FeedBareKey(c),
            _ when JsonScanner.IsBlank(c) && _word.Length == 0 => true,
            Place.Key => FeedKey(c),
            Place.Pair => c == _frames.Peek().Pair && Go(Place.Value),
            Place.Value => FeedValue(c),
            _ => c == ',' ? Go(_frames.Peek().IsObject ? Place.Key : Place.Value) : c == _frames.Peek().Close && Leave(),
        };
        Flush(all: _place is not (Place.Text or Place.Escape));
        return fits;
    }

    private bool FeedName(char c)
    {
        if (c != syntax.Open)
        {
            _word.Append(c);
            return _word.Length < LongestName && (JsonScanner.IsBlank(c) || char.IsLetterOrDigit(c) || "_-.:/".Contains(c));
        }

        string name = _word.ToString().Trim();
        name = name.StartsWith(syntax.Prefix, StringComparison.Ordinal) ? name[syntax.Prefix.Length..] : name;
        if (find(name) is null)
        {
            return false;
        }

        Name = name;
        Begun = true;
        return Enter(new Frame(syntax.Close, syntax.Pair, IsObject: true));
    }

    private bool Go(Place place)
    {
        _word.Clear();
        _place = place;
        return true;
    }

    private bool Enter(Frame frame)
    {
        _frames.Push(frame);
        _certain.Append(frame.IsObject ? '{' : '[');
        return _frames.Count <= Deepest && Go(frame.IsObject ? Place.Key : Place.Value);
    }

    private bool Leave()
    {
        _certain.Append(_frames.Pop().IsObject ? '}' : ']');
        Done = _frames.Count == 0;
        return Go(Place.CommaOrEnd);
    }

    private bool FeedKey(char c)
    {
        if (_word.Length == 0 && c == _frames.Peek().Close)
        {
            return Leave();
        }

        if (BeginsText(c, isKey: true) is { } fits)
        {
            return fits;
        }

        Separate();
        return Go(Place.BareKey) && FeedBareKey(c);
    }

    private bool FeedBareKey(char c)
    {
        if (c != _frames.Peek().Pair)
        {
            _word.Append(c);
            return _word.Length < LongestName && !(c == _frames.Peek().Close || c == ',');
        }

        _certain.Append(JsonSerializer.Serialize(_word.ToString().Trim(), ToolSyntax.Readable)).Append(": ");
        return Go(Place.Value);
    }

    private bool FeedValue(char c)
    {
        if (_word.Length == 0 && !_frames.Peek().IsObject && c == _frames.Peek().Close)
        {
            return Leave();
        }

        if (BeginsText(c, isKey: false) is { } fits)
        {
            return fits;
        }

        if (!_frames.Peek().IsObject)
        {
            Separate();
        }

        return c switch
        {
            '{' => Enter(new Frame('}', ':', IsObject: true)),
            '[' => Enter(new Frame(']', '\0', IsObject: false)),
            '(' when syntax.Quote is null => Enter(new Frame(')', '\0', IsObject: false)),
            _ => Go(Place.Bare) && FeedBare(c),
        };
    }

    /// <summary>Whether a string begins here; null: it does not.</summary>
    private bool? BeginsText(char c, bool isKey)
    {
        if (syntax.Quote is { } mark)
        {
            _word.Append(c);
            if (!mark.StartsWith(_word.ToString(), StringComparison.Ordinal))
            {
                // What began like the mark and is none cannot be anything else.
                bool isOther = _word.Length == 1;
                _word.Clear();
                return isOther ? null : false;
            }

            if (_word.Length < mark.Length)
            {
                return true;
            }

            _quote = mark;
        }
        else if (c is '"' or '\'')
        {
            _quote = c.ToString();
        }
        else
        {
            return null;
        }

        _isKey = isKey;
        if (isKey || !_frames.Peek().IsObject)
        {
            Separate();
        }

        _certain.Append('"');
        return Go(Place.Text);
    }

    private void Separate()
    {
        Frame frame = _frames.Peek();
        _certain.Append(frame.HasItems ? ", " : "");
        frame.HasItems = true;
    }

    private bool FeedText(char c)
    {
        if (_place == Place.Escape)
        {
            return FeedEscape(c);
        }

        if (syntax.Quote is null && c == '\\')
        {
            return Go(Place.Escape);
        }

        // What may yet be the closing mark is held.
        _word.Append(c);
        while (_word.Length > 0 && !_quote.StartsWith(_word.ToString(), StringComparison.Ordinal))
        {
            _text.Append(_word[0]);
            _word.Remove(0, 1);
        }

        if (_word.Length < _quote.Length)
        {
            return true;
        }

        Flush(all: true);
        _certain.Append(_isKey ? "\": " : "\"");
        return Go(_isKey ? Place.Pair : Place.CommaOrEnd);
    }

    /// <summary>Python's escapes; one that it does not know stays with its backslash.</summary>
    private bool FeedEscape(char c)
    {
        _word.Append(c);
        int digits = _word[0] switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
        if (_word.Length - 1 < digits)
        {
            return _word.Length == 1 || char.IsAsciiHexDigit(c);
        }

        if (digits > 0)
        {
            if (!uint.TryParse(_word.ToString(1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint code)
                || code > 0x10FFFF)
            {
                return false;
            }

            _text.Append(code < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32((int)code));
            return Go(Place.Text);
        }

        _text.Append(c switch
        {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            'b' => "\b",
            'f' => "\f",
            'v' => "\v",
            'a' => "\a",
            '0' => "\0",
            '\n' => "",
            '\\' or '\'' or '"' or '/' => c.ToString(),
            _ => "\\" + c,
        });
        return Go(Place.Text);
    }

    private bool FeedBare(char c)
    {
        Frame frame = _frames.Peek();
        if (c != ',' && c != frame.Close)
        {
            _word.Append(c);
            return true;
        }

        string word = _word.ToString().Trim();
        word = word switch { "True" => "true", "False" => "false", "None" => "null", _ => word };
        _certain.Append(ParameterKinds.Repaired(word) ?? JsonSerializer.Serialize(word, ToolSyntax.Readable));
        return Go(Place.CommaOrEnd) && (c == frame.Close ? Leave() : Go(frame.IsObject ? Place.Key : Place.Value));
    }

    /// <summary>Gives a string's text out, but for half of a character whose other half is due.</summary>
    private void Flush(bool all)
    {
        int length = _text.Length;
        length -= !all && length > 0 && char.IsHighSurrogate(_text[length - 1]) ? 1 : 0;
        if (length > 0)
        {
            _certain.Append(JsonSerializer.Serialize(_text.ToString(0, length), ToolSyntax.Readable).AsSpan()[1..^1]);
            _text.Remove(0, length);
        }
    }

    /// <summary>An object or a list that is open.</summary>
    private sealed record Frame(char Close, char Pair, bool IsObject)
    {
        public bool HasItems { get; set; }
    }
}
