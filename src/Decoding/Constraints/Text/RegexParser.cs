using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Understory.Decoding.Constraints.Automata;

namespace Understory.Decoding.Constraints.Text;

/// <summary>A parsed expression: its alternatives, and at which ends each is anchored.</summary>
internal sealed record RegexGrammar(IReadOnlyList<(Grammar Body, bool AtStart, bool AtEnd)> Alternatives)
{
    /// <summary>All of a text matches.</summary>
    public Grammar Whole() => Grammar.Choice([.. Alternatives.Select(alternative => alternative.Body)]);

    /// <summary>Some part of a text matches, as JSON Schema reads a <c>pattern</c>.</summary>
    public Grammar Within() => Grammar.Choice([.. Alternatives.Select(alternative => Grammar.Sequence(
        alternative.AtStart ? Grammar.Empty : Grammar.AnyText,
        alternative.Body,
        alternative.AtEnd ? Grammar.Empty : Grammar.AnyText))]);
}

/// <summary>
/// Reads ECMAScript's notation of regular expressions with Unicode on: alternatives, groups, classes, escapes, quantifiers (lazy ones too:
/// which text is in the language does not depend on that), <c>\p{…}</c> of general categories, and anchors at the ends of the whole or of
/// its outermost alternatives.
/// </summary>
internal sealed class RegexParser
{
    private const int MaxLength = 20_000;

    private readonly string _pattern;
    private readonly string _path;
    private int _at;

    private RegexParser(string pattern, string path)
    {
        _pattern = pattern;
        _path = path;
    }

    private bool AtEnd => _at >= _pattern.Length;

    private char Current => _pattern[_at];

    /// <param name="path">Stands before the place in errors; "" for none.</param>
    /// <exception cref="GrammarException">See <see cref="Grammar.Regex"/>.</exception>
    public static RegexGrammar Parse(string pattern, string path)
    {
        var parser = new RegexParser(pattern, path);
        if (pattern.Length > MaxLength)
        {
            throw parser.Error($"the expression has {pattern.Length} characters; at most {MaxLength} are read");
        }

        var alternatives = new List<(Grammar, bool, bool)>();
        do
        {
            bool atStart = parser.Take('^');
            Grammar body = parser.ReadSequence(outermost: true);
            alternatives.Add((body, atStart, parser.Take('$')));
        }
        while (parser.Take('|'));
        return parser.AtEnd
            ? new RegexGrammar(alternatives)
            : throw parser.Error(parser.Current == ')' ? "the group that ends here was never begun; write \\) for the "
                + "character" : $"'{parser.Current}' is not expected here; an anchor can only stand at the ends of the expression");
    }

    private Grammar ReadAlternatives()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw Error("groups are nested too deeply");
        }

        var options = new List<Grammar>();
        do
        {
            options.Add(ReadSequence(outermost: false));
        }
        while (Take('|'));
        return Grammar.Choice([.. options]);
    }

    private Grammar ReadSequence(bool outermost)
    {
        var parts = new List<Grammar>();
        while (!AtEnd && Current is not ('|' or ')')
            && !(outermost && Current == '$' && (_at + 1 == _pattern.Length || _pattern[_at + 1] == '|')))
        {
            parts.Add(ReadQuantified());
        }

        return Grammar.Sequence([.. parts]);
    }

    private Grammar ReadQuantified()
    {
        Grammar atom = ReadAtom();
        while (!AtEnd)
        {
            int begin = _at;
            int min;
            int? max;
            if (Take('*'))
            {
                (min, max) = (0, null);
            }
            else if (Take('+'))
            {
                (min, max) = (1, null);
            }
            else if (Take('?'))
            {
                (min, max) = (0, 1);
            }
            else if (Current != '{' || !TryReadBounds(out min, out max))
            {
                break;
            }

            if (Take('+'))
            {
                throw Error("possessive quantifiers are not supported; leave the second + out", begin);
            }

            Take('?');
            atom = Grammar.Repeat(atom, min, max);
        }

        return atom;
    }

    private bool TryReadBounds(out int min, out int? max)
    {
        int begin = _at++;
        max = null;
        bool any = TryReadNumber(out min);
        if (any && Take(','))
        {
            max = TryReadNumber(out int most) ? most : null;
        }
        else
        {
            max = min;
        }

        if (!any || !Take('}'))
        {
            throw Error("'{' begins no repetition count such as {2} or {1,3}; write \\{ for the character", begin);
        }

        return max is null || max >= min ? true : throw Error($"the repetition {{{min},{max}}} is out of order", begin);
    }

    private bool TryReadNumber(out int value)
    {
        int begin = _at;
        value = 0;
        while (!AtEnd && char.IsAsciiDigit(Current))
        {
            value = Math.Min((value * 10) + (Current - '0'), 10_000_000);
            _at++;
        }

        return _at > begin;
    }

    private Grammar ReadAtom()
    {
        int begin = _at;
        char c = _pattern[_at++];
        switch (c)
        {
            case '(':
                return ReadGroup(begin);
            case '[':
                return new GrammarClass(ReadClass(begin));
            case '.':
                return new GrammarClass(CodePointSet.AnyOf("\n\r\u2028\u2029").Complement());
            case '^' or '$':
                throw Error($"the anchor '{c}' can only stand at the ends of the expression; write \\{c} for the character", begin);
            case '*' or '+' or '?':
                throw Error($"there is nothing before '{c}' to repeat; write \\{c} for the character", begin);
            case '{':
                throw Error("there is nothing before '{' to repeat; write \\{ for the character", begin);
            case '\\':
                return new GrammarClass(ReadEscape(begin, inClass: false));
            default:
                _at--;
                return new GrammarClass(CodePointSet.Single(ReadCodePoint()));
        }
    }

    private Grammar ReadGroup(int begin)
    {
        if (Take('?'))
        {
            if (Take(':'))
            {
            }
            else if (!AtEnd && (Current is '=' or '!' || (Current == '<' && _at + 1 < _pattern.Length && _pattern[_at + 1] is '=' or '!')))
            {
                throw Error("look-ahead and look-behind are not supported", begin);
            }
            else if (Take('<') || (Take('P') && Take('<')))
            {
                while (!AtEnd && Current != '>')
                {
                    _at++;
                }

                Expect('>', begin);
            }
            else
            {
                throw Error("flags, atomic groups and conditions, (?…, are not supported", begin);
            }
        }

        Grammar body = ReadAlternatives();
        Expect(')', begin);
        return body;
    }

    private CodePointSet ReadClass(int begin)
    {
        bool negated = Take('^');
        var ranges = new List<(int First, int Last)>();
        while (!AtEnd && Current != ']')
        {
            (CodePointSet item, int single) = ReadClassItem();
            if (single >= 0 && _at + 1 < _pattern.Length && Current == '-' && _pattern[_at + 1] != ']')
            {
                int dash = _at++;
                (_, int last) = ReadClassItem();
                item = last >= single
                    ? CodePointSet.Of((single, last)) : throw Error("the range is out of order, or ends with a class", dash);
            }

            ranges.AddRange(item.Ranges);
        }

        Expect(']', begin);
        CodePointSet set = CodePointSet.Of([.. ranges]);
        return negated ? set.Complement() : set;
    }

    private (CodePointSet Set, int Single) ReadClassItem()
    {
        if (Current == '[' && _at + 1 < _pattern.Length && _pattern[_at + 1] == ':')
        {
            throw Error("POSIX classes such as [:alpha:] are not supported; write the range");
        }

        if (Current != '\\')
        {
            int codePoint = ReadCodePoint();
            return (CodePointSet.Single(codePoint), codePoint);
        }

        CodePointSet set = ReadEscape(_at++, inClass: true);
        return (set, set.Ranges is [(int first, int last)] && first == last ? first : -1);
    }

    /// <summary>Reads what follows a backslash.</summary>
    private CodePointSet ReadEscape(int begin, bool inClass)
    {
        if (AtEnd)
        {
            throw Error("the expression ends with a backslash", begin);
        }

        char c = _pattern[_at++];
        switch (c)
        {
            case 'd': return RegexClasses.Digits;
            case 'D': return RegexClasses.Digits.Complement();
            case 'w': return RegexClasses.WordCharacters;
            case 'W': return RegexClasses.WordCharacters.Complement();
            case 's': return RegexClasses.Spaces;
            case 'S': return RegexClasses.Spaces.Complement();
            case 'p' or 'P':
                CodePointSet category = ReadCategory(begin);
                return c == 'p' ? category : category.Complement();
            case 'b' when inClass: return CodePointSet.Single('\b');
            case 'b' or 'B' or 'A' or 'Z' or 'z' or 'G':
                throw Error($"the assertion \\{c} is not supported", begin);
            case >= '1' and <= '9' or 'k':
                throw Error($"the back-reference \\{c} is not supported", begin);
            case 'c' when !AtEnd && char.IsAsciiLetter(Current):
                return CodePointSet.Single(_pattern[_at++] % 32);
            case 'x':
                return CodePointSet.Single(ReadHex(2, begin));
            case 'u':
                return CodePointSet.Single(ReadUnicode(begin));
            case 't': return CodePointSet.Single('\t');
            case 'n': return CodePointSet.Single('\n');
            case 'r': return CodePointSet.Single('\r');
            case 'f': return CodePointSet.Single('\f');
            case 'v': return CodePointSet.Single('\v');
            case '0': return CodePointSet.Single(0);
            default:
                if (char.IsAsciiLetterOrDigit(c))
                {
                    throw Error($"the escape \\{c} is not known", begin);
                }

                _at--;
                return CodePointSet.Single(ReadCodePoint());
        }
    }

    private CodePointSet ReadCategory(int begin)
    {
        Expect('{', begin);
        int end = _pattern.IndexOf('}', _at);
        if (end < 0)
        {
            throw Error("\\p lacks its closing brace", begin);
        }

        string name = _pattern[_at..end];
        _at = end + 1;
        return RegexClasses.Category(name)
            ?? throw Error($"the property '{name}' is not supported; general categories such as L, Lu, N or P are", begin);
    }

    private int ReadUnicode(int begin)
    {
        if (Take('{'))
        {
            int end = _pattern.IndexOf('}', _at);
            string digits = end < 0 ? "" : _pattern[_at..end];
            _at = end + 1;
            return int.TryParse(digits, NumberStyles.AllowHexSpecifier, null, out int value) && Rune.IsValid(value)
                ? value
                : throw Error("\\u{…} names no character", begin);
        }

        int unit = ReadHex(4, begin);
        if (char.IsHighSurrogate((char)unit) && _at + 1 < _pattern.Length && Current == '\\' && _pattern[_at + 1] == 'u')
        {
            _at += 2;
            int low = ReadHex(4, begin);
            return char.IsLowSurrogate((char)low)
                ? char.ConvertToUtf32((char)unit, (char)low) : throw Error("a high surrogate lacks its low one", begin);
        }

        return Rune.IsValid(unit) ? unit : throw Error("a lone surrogate is no character", begin);
    }

    private int ReadHex(int digits, int begin)
    {
        if (_at + digits <= _pattern.Length
            && int.TryParse(_pattern.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, null, out int value))
        {
            _at += digits;
            return value;
        }

        throw Error($"{digits} hexadecimal digits must follow", begin);
    }

    private int ReadCodePoint()
    {
        if (Rune.TryGetRuneAt(_pattern, _at, out Rune rune))
        {
            _at += rune.Utf16SequenceLength;
            return rune.Value;
        }

        throw Error("a lone surrogate is no character");
    }

    private bool Take(char c)
    {
        bool found = !AtEnd && Current == c;
        _at += found ? 1 : 0;
        return found;
    }

    private void Expect(char c, int begin)
    {
        if (!Take(c))
        {
            throw Error($"what begins here lacks its '{c}'", begin);
        }
    }

    private GrammarException Error(string message, int? at = null) =>
        new(_path.Length == 0 ? $"character {(at ?? _at) + 1} of the regular expression" : $"{_path}, character {(at ?? _at) + 1}",
            message + ".");
}
