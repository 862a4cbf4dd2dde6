using System.Globalization;
using System.Text;

namespace Understory.Models.Tokenizers.Templates;

internal enum TokenKind
{
    /// <summary>Text between tags.</summary>
    Text,
    BlockStart,
    BlockEnd,
    OutputStart,
    OutputEnd,
    Name,
    TextLiteral,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A piece of a template.</summary>
/// <param name="Text">As written; of a string literal its value.</param>
/// <param name="Line">From 1.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int Line);

/// <summary>
/// Cuts a template into tokens. As in transformers, the line end after a block tag or a comment goes (trim_blocks), and so do
/// blanks before one at the beginning of a line (lstrip_blocks).
/// </summary>
internal sealed class Lexer
{
    private static readonly string[] s_operators =
        ["**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "|", ".", ",", ":", "(", ")", "[", "]", "{", "}", "<", ">", "="];

    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private int _at;
    private int _line = 1;
    private bool _isLineStart = true;

    private Lexer(string source) => _source = source;

    public static IReadOnlyList<Token> Read(string source)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        var lexer = new Lexer(source.EndsWith('\n') ? source[..^1] : source);
        lexer.ReadAll();
        return lexer._tokens;
    }

    private void ReadAll()
    {
        while (_at < _source.Length)
        {
            int tag = NextTag(_at);
            if (tag < 0)
            {
                AddText(_source[_at..]);
                Advance(_source.Length - _at);
                break;
            }

            bool isOutput = _source[tag + 1] == '{';
            char sign = tag + 2 < _source.Length ? _source[tag + 2] : '\0';
            string text = _source[_at..tag];
            AddText(sign == '-' ? text.TrimEnd() : isOutput || sign == '+' ? text : WithoutIndent(text));
            Advance(tag - _at);
            char kind = _source[tag + 1];
            Advance(sign is '-' or '+' ? 3 : 2);
            switch (kind)
            {
                case '#':
                    SkipComment();
                    break;
                case '{':
                    ReadTag(TokenKind.OutputStart, TokenKind.OutputEnd, "}}");
                    break;
                default:
                    if (!TryReadRaw())
                    {
                        ReadTag(TokenKind.BlockStart, TokenKind.BlockEnd, "%}");
                    }

                    break;
            }
        }

        Add(TokenKind.End, "");
    }

    private int NextTag(int from)
    {
        for (int at = _source.IndexOf('{', from); at >= 0 && at + 1 < _source.Length; at = _source.IndexOf('{', at + 1))
        {
            if (_source[at + 1] is '{' or '%' or '#')
            {
                return at;
            }
        }

        return -1;
    }

    private string WithoutIndent(string text)
    {
        int line = text.LastIndexOf('\n') + 1;
        return (line > 0 || _isLineStart) && string.IsNullOrWhiteSpace(text[line..]) ? text[..line] : text;
    }

    private void SkipComment()
    {
        int end = _source.IndexOf("#}", _at, StringComparison.Ordinal);
        if (end < 0)
        {
            throw Fail("a comment does not end");
        }

        char sign = _source[end - 1];
        Advance(end + 2 - _at);
        AfterTag(sign, trimsLineEnd: true);
    }

    private bool TryReadRaw()
    {
        int at = _at;
        if (!SkipWord(ref at, "raw") || !SkipEnd(ref at, out char sign))
        {
            return false;
        }

        Advance(at - _at);
        AfterTag(sign, trimsLineEnd: true);
        for (int end = _source.IndexOf("{%", _at, StringComparison.Ordinal); end >= 0;
            end = _source.IndexOf("{%", end + 2, StringComparison.Ordinal))
        {
            int close = end + 2;
            char before = close < _source.Length ? _source[close] : '\0';
            close += before is '-' or '+' ? 1 : 0;
            if (SkipWord(ref close, "endraw") && SkipEnd(ref close, out sign))
            {
                string text = _source[_at..end];
                AddText(before == '-' ? text.TrimEnd() : before == '+' ? text : WithoutIndent(text));
                Advance(close - _at);
                AfterTag(sign, trimsLineEnd: true);
                return true;
            }
        }

        throw Fail("raw does not end");

        bool SkipWord(ref int place, string word)
        {
            place = SkipBlanks(place);
            bool isThere = string.CompareOrdinal(_source, place, word, 0, word.Length) == 0;
            place += isThere ? word.Length : 0;
            return isThere;
        }

        bool SkipEnd(ref int place, out char before)
        {
            place = SkipBlanks(place);
            before = place < _source.Length ? _source[place] : '\0';
            place += before is '-' or '+' ? 1 : 0;
            bool isThere = string.CompareOrdinal(_source, place, "%}", 0, 2) == 0;
            place += isThere ? 2 : 0;
            return isThere;
        }
    }

    private int SkipBlanks(int at)
    {
        while (at < _source.Length && char.IsWhiteSpace(_source[at]))
        {
            at++;
        }

        return at;
    }

    private void ReadTag(TokenKind start, TokenKind end, string close)
    {
        Add(start, "");
        int depth = 0;
        while (true)
        {
            Advance(SkipBlanks(_at) - _at);
            if (_at >= _source.Length)
            {
                throw Fail($"a tag does not end with {close}");
            }

            char sign = _source[_at];
            int signLength = sign is '-' or '+' && string.CompareOrdinal(_source, _at + 1, close, 0, 2) == 0 ? 1 : 0;
            if (depth == 0 && string.CompareOrdinal(_source, _at + signLength, close, 0, 2) == 0)
            {
                Add(end, "");
                Advance(signLength + 2);
                AfterTag(signLength == 1 ? sign : '\0', trimsLineEnd: end == TokenKind.BlockEnd);
                return;
            }

            depth += ReadToken();
        }
    }

    /// <summary>Reads a token inside a tag; returns by how much it changes the depth of brackets.</summary>
    private int ReadToken()
    {
        char c = _source[_at];
        if (c is '\'' or '"')
        {
            ReadText(c);
            return 0;
        }

        if (char.IsAsciiDigit(c))
        {
            ReadNumber();
            return 0;
        }

        if (char.IsLetter(c) || c == '_')
        {
            int end = _at + 1;
            while (end < _source.Length && (char.IsLetterOrDigit(_source[end]) || _source[end] == '_'))
            {
                end++;
            }

            Add(TokenKind.Name, _source[_at..end]);
            Advance(end - _at);
            return 0;
        }

        foreach (string sign in s_operators)
        {
            if (string.CompareOrdinal(_source, _at, sign, 0, sign.Length) == 0)
            {
                Add(TokenKind.Operator, sign);
                Advance(sign.Length);
                return sign is "(" or "[" or "{" ? 1 : sign is ")" or "]" or "}" ? -1 : 0;
            }
        }

        throw Fail($"'{c}' is not expected here");
    }

    private void ReadNumber()
    {
        int end = SkipDigits(_at);
        bool isFloat = false;
        if (end + 1 < _source.Length && _source[end] == '.' && char.IsAsciiDigit(_source[end + 1]))
        {
            isFloat = true;
            end = SkipDigits(end + 1);
        }

        if (end + 1 < _source.Length && _source[end] is 'e' or 'E')
        {
            int exponent = _source[end + 1] is '+' or '-' ? end + 2 : end + 1;
            if (exponent < _source.Length && char.IsAsciiDigit(_source[exponent]))
            {
                isFloat = true;
                end = SkipDigits(exponent);
            }
        }

        Add(isFloat ? TokenKind.Float : TokenKind.Integer, _source[_at..end].Replace("_", "", StringComparison.Ordinal));
        Advance(end - _at);

        int SkipDigits(int place)
        {
            while (place < _source.Length && (char.IsAsciiDigit(_source[place]) || _source[place] == '_'))
            {
                place++;
            }

            return place;
        }
    }

    private void ReadText(char quote)
    {
        var value = new StringBuilder();
        int at = _at + 1;
        for (; at < _source.Length && _source[at] != quote; at++)
        {
            if (_source[at] == '\\' && at + 1 < _source.Length)
            {
                at = ReadEscape(at + 1, value);
            }
            else
            {
                value.Append(_source[at]);
            }
        }

        if (at >= _source.Length)
        {
            throw Fail("a string does not end");
        }

        Add(TokenKind.TextLiteral, value.ToString());
        Advance(at + 1 - _at);
    }

    /// <summary>Python's escapes; one that it does not know stays with its backslash. Returns the escape's last place.</summary>
    private int ReadEscape(int at, StringBuilder value)
    {
        int digits = _source[at] switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
        if (digits > 0)
        {
            bool isCode = at + digits < _source.Length && int.TryParse(
                _source.AsSpan(at + 1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int code)
                    && code is >= 0 and <= 0x10FFFF;
            if (!isCode)
            {
                throw Fail($"\\{_source[at]} needs {digits} hexadecimal digits");
            }

            code = int.Parse(_source.AsSpan(at + 1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
            value.Append(code < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32(code));
            return at + digits;
        }

        value.Append(_source[at] switch
        {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            'b' => "\b",
            'f' => "\f",
            'v' => "\v",
            'a' => "\a",
            '0' => "\0",
            '\\' => "\\",
            '\'' => "'",
            '"' => "\"",
            '\n' => "",
            char other => "\\" + other,
        });
        return at;
    }

    /// <summary>What a tag swallows after itself.</summary>
    private void AfterTag(char sign, bool trimsLineEnd)
    {
        _isLineStart = false;
        if (sign == '-')
        {
            Advance(SkipBlanks(_at) - _at);
        }
        else if (trimsLineEnd && sign != '+' && _at < _source.Length && _source[_at] == '\n')
        {
            Advance(1);
            _isLineStart = true;
        }
    }

    private void AddText(string text)
    {
        if (text.Length > 0)
        {
            Add(TokenKind.Text, text);
        }
    }

    private void Add(TokenKind kind, string text) => _tokens.Add(new Token(kind, text, _line));

    private void Advance(int count)
    {
        _line += _source.AsSpan(_at, count).Count('\n');
        _at += count;
    }

    private InvalidDataException Fail(string problem) => new($"line {_line}: {problem}");
}
