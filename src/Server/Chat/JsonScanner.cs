using System.Globalization;
using System.Text;

namespace Understory.Server.Chat;

/// <summary>
/// Follows one JSON value (RFC 8259) character by character: says where it ends, or where it stops being JSON. What models write slightly
/// wrong is put right where it can mean one thing only: control characters within strings are escaped, a comma before a closing bracket is
/// left out, half of a surrogate pair becomes U+FFFD, and <c>\'</c> a plain quote.
/// </summary>
public sealed class JsonScanner
{
    /// <summary>Deeper values are taken as broken: no tool asks for them, and readers refuse them.</summary>
    private const int Deepest = 64;

    private readonly Stack<char> _open = new();
    private readonly StringBuilder _certain = new();

    /// <summary>A comma that a closing bracket may take back, and the blanks behind it.</summary>
    private readonly StringBuilder _held = new();

    /// <summary>The first half of a surrogate pair, whose second half is due.</summary>
    private string _half = "";
    private Place _place = Place.Value;
    private string _literal = "";
    private string _code = "";
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

    /// <summary>The value's text, put right, as far as it became certain since this was last asked.</summary>
    public string Take() => _certain.TakeAll();

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

        Place before = _place;
        bool fits = _place switch
        {
            Place.Value => IsBlank(c) || (c == ']' && _held.Length > 0 ? Close(c) : Begin(c)),
            Place.ValueOrEnd => IsBlank(c) || (c == ']' ? Close(c) : Begin(c)),
            Place.KeyOrEnd => IsBlank(c) || (c == '}' ? Close(c) : BeginKey(c)),
            Place.Key => IsBlank(c) || (c == '}' ? Close(c) : BeginKey(c)),
            Place.Colon => IsBlank(c) || (c == ':' && Go(Place.Value)),
            Place.CommaOrEnd => IsBlank(c) || (c == ',' ? Go(_open.Peek() == '{' ? Place.Key : Place.Value) : Close(c)),
            Place.Text => InText(c),
            Place.Escape => c == 'u' ? Hex() : "\"\\/bfnrt'".Contains(c) && Go(Place.Text),
            Place.Hex => char.IsAsciiHexDigit(c) && InHex(c),
            Place.Literal => c == _literal[_digits] && (++_digits < _literal.Length || End()),
            Place.Minus => c == '0' ? Go(Place.Zero) : char.IsAsciiDigit(c) && Go(Place.Whole),
            Place.Zero or Place.Whole or Place.Fraction or Place.ExponentDigits => InNumber(c),
            Place.Point => char.IsAsciiDigit(c) && Go(Place.Fraction),
            Place.Exponent => c is '+' or '-' ? Go(Place.ExponentSign) : char.IsAsciiDigit(c) && Go(Place.ExponentDigits),
            Place.ExponentSign => char.IsAsciiDigit(c) && Go(Place.ExponentDigits),
            _ => false,
        };
        if (!fits)
        {
            return Step.Broken;
        }

        Keep(c, before);
        return _place == Place.Done ? Step.Last : Step.Inside;
    }

    /// <summary>Writes a character that fits.</summary>
    /// <param name="before">Where it was met.</param>
    private void Keep(char c, Place before)
    {
        if (before is Place.Text or Place.Escape or Place.Hex)
        {
            KeepInText(c, before);
        }
        else if (before == Place.CommaOrEnd && c == ',')
        {
            _held.Append(c);
        }
        else if (_held.Length > 0 && IsBlank(c))
        {
            _held.Append(c);
        }
        else
        {
            // A closing bracket takes the comma back, and leaves the blanks.
            int from = c is '}' or ']' && _held.Length > 0 ? 1 : 0;
            _certain.Append(_held, from, _held.Length - from).Append(c);
            _held.Clear();
        }
    }

    private void KeepInText(char c, Place before)
    {
        if (before == Place.Text && c == '\\')
        {
            return;
        }

        if (before == Place.Hex || (before == Place.Escape && c == 'u'))
        {
            if (_place == Place.Text)
            {
                KeepCode();
            }

            return;
        }

        DropHalf();
        _ = (before, c) switch
        {
            (Place.Escape, '\'') => _certain.Append(c),
            (Place.Escape, _) => _certain.Append('\\').Append(c),
            (_, '\n') => _certain.Append("\\n"),
            (_, '\r') => _certain.Append("\\r"),
            (_, '\t') => _certain.Append("\\t"),
            (_, < ' ') => _certain.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
            _ => _certain.Append(c),
        };
    }

    /// <summary>Writes a code unit that is complete; half of a pair waits for its other half.</summary>
    private void KeepCode()
    {
        char unit = (char)int.Parse(_code, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        string escaped = "\\u" + _code;
        if (char.IsLowSurrogate(unit) && _half.Length > 0)
        {
            _certain.Append(_half).Append(escaped);
            _half = "";
            return;
        }

        DropHalf();
        if (char.IsHighSurrogate(unit))
        {
            _half = escaped;
        }
        else
        {
            _certain.Append(char.IsLowSurrogate(unit) ? "\\ufffd" : escaped);
        }
    }

    private void DropHalf()
    {
        _certain.Append(_half.Length > 0 ? "\\ufffd" : "");
        _half = "";
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
        _ => true,
    };

    private bool Hex()
    {
        _code = "";
        return Go(Place.Hex);
    }

    private bool InHex(char c)
    {
        _code += c;
        return _code.Length < 4 || Go(Place.Text);
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
