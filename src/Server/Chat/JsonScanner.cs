namespace Understory.Server.Chat;

/// <summary>Follows one JSON value character by character: says where it ends, or where it stops being JSON (RFC 8259).</summary>
public sealed class JsonScanner
{
    /// <summary>Deeper values are taken as broken: no tool asks for them, and readers refuse them.</summary>
    private const int Deepest = 64;

    private readonly Stack<char> _open = new();
    private Place _place = Place.Value;
    private string _literal = "";
    private int _digits;
    private bool _isKey;

    public enum Step
    {
        /// <summary>The character belongs to the value.</summary>
        Inside,

        /// <summary>The character ends the value and belongs to it.</summary>
        Last,

        /// <summary>The value ended before this character: a number does not know its end sooner.</summary>
        Past,

        /// <summary>No JSON value goes on like this.</summary>
        Broken,
    }

    private enum Place
    {
        Value,
        ValueOrEnd,
        KeyOrEnd,
        Key,
        Colon,
        CommaOrEnd,
        Text,
        Escape,
        Hex,
        Literal,
        Minus,
        Zero,
        Whole,
        Point,
        Fraction,
        Exponent,
        ExponentSign,
        ExponentDigits,
        Done,
    }

    /// <summary>The value is complete as it stands; of a number, it may be.</summary>
    public bool Complete => _place == Place.Done || (_open.Count == 0 && EndsNumber);

    private bool EndsNumber => _place is Place.Zero or Place.Whole or Place.Fraction or Place.ExponentDigits;

    public Step Feed(char c)
    {
        if (EndsNumber && !ContinuesNumber(c))
        {
            if (_open.Count == 0)
            {
                _place = Place.Done;
                return Step.Past;
            }

            _place = Place.CommaOrEnd;
        }

        bool fits = _place switch
        {
            Place.Value => IsBlank(c) || Begin(c),
            Place.ValueOrEnd => IsBlank(c) || (c == ']' ? Close(c) : Begin(c)),
            Place.KeyOrEnd => IsBlank(c) || (c == '}' ? Close(c) : BeginKey(c)),
            Place.Key => IsBlank(c) || BeginKey(c),
            Place.Colon => IsBlank(c) || (c == ':' && Go(Place.Value)),
            Place.CommaOrEnd => IsBlank(c) || (c == ',' ? Go(_open.Peek() == '{' ? Place.Key : Place.Value) : Close(c)),
            Place.Text => InText(c),
            Place.Escape => c == 'u' ? Hex() : "\"\\/bfnrt".Contains(c) && Go(Place.Text),
            Place.Hex => char.IsAsciiHexDigit(c) && (++_digits < 4 || Go(Place.Text)),
            Place.Literal => c == _literal[_digits] && (++_digits < _literal.Length || End()),
            Place.Minus => c == '0' ? Go(Place.Zero) : char.IsAsciiDigit(c) && Go(Place.Whole),
            Place.Zero or Place.Whole or Place.Fraction or Place.ExponentDigits => InNumber(c),
            Place.Point => char.IsAsciiDigit(c) && Go(Place.Fraction),
            Place.Exponent => c is '+' or '-' ? Go(Place.ExponentSign) : char.IsAsciiDigit(c) && Go(Place.ExponentDigits),
            Place.ExponentSign => char.IsAsciiDigit(c) && Go(Place.ExponentDigits),
            _ => false,
        };
        return !fits ? Step.Broken : _place == Place.Done ? Step.Last : Step.Inside;
    }

    public static bool IsBlank(char c) => c is ' ' or '\t' or '\r' or '\n';

    private bool Go(Place place)
    {
        _place = place;
        return true;
    }

    private bool Begin(char c)
    {
        switch (c)
        {
            case '{' or '[':
                _open.Push(c);
                return _open.Count <= Deepest && Go(c == '{' ? Place.KeyOrEnd : Place.ValueOrEnd);
            case '"':
                _isKey = false;
                return Go(Place.Text);
            case '-':
                return Go(Place.Minus);
            case '0':
                return Go(Place.Zero);
            case >= '1' and <= '9':
                return Go(Place.Whole);
            case 't' or 'f' or 'n':
                _literal = c == 't' ? "true" : c == 'f' ? "false" : "null";
                _digits = 1;
                return Go(Place.Literal);
            default:
                return false;
        }
    }

    private bool BeginKey(char c)
    {
        _isKey = true;
        return c == '"' && Go(Place.Text);
    }

    private bool InText(char c) => c switch
    {
        '"' => _isKey ? Go(Place.Colon) : End(),
        '\\' => Go(Place.Escape),
        _ => c >= ' ',
    };

    private bool Hex()
    {
        _digits = 0;
        return Go(Place.Hex);
    }

    private bool Close(char c)
    {
        if (c is not ('}' or ']') || (c == '}') != (_open.Peek() == '{'))
        {
            return false;
        }

        _open.Pop();
        return End();
    }

    /// <summary>A value within ended, or the whole.</summary>
    private bool End() => Go(_open.Count == 0 ? Place.Done : Place.CommaOrEnd);

    private bool ContinuesNumber(char c) =>
        char.IsAsciiDigit(c) || (c is 'e' or 'E' && _place != Place.ExponentDigits) || (c == '.' && _place is Place.Zero or Place.Whole);

    private bool InNumber(char c) => c switch
    {
        '.' => Go(Place.Point),
        'e' or 'E' => Go(Place.Exponent),
        _ => _place != Place.Zero,
    };
}
