using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Understory.Decoding.Constraints.Automata;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Constraints.Text;

/// <summary>
/// Reads GBNF, the notation of llama.cpp's grammars: <c>name ::= alternatives</c> of literals, <c>[classes]</c>, <c>.</c>, rule names and
/// groups, each with <c>* + ? {m} {m,} {m,n}</c>, tokens by their id, <c>&lt;[5]&gt;</c>, or as the vocabulary writes them,
/// <c>&lt;think&gt;</c>; comments from <c>#</c> to the end of the line. Within a rule's parentheses line ends do not count; outside a rule
/// ends with its line, unless the line ends with <c>|</c> or the next one begins with it.
/// </summary>
internal sealed class GbnfParser
{
    private const int MaxLength = 400_000;

    private readonly string _source;
    private readonly Dictionary<string, GrammarRule> _rules = [];
    private readonly Dictionary<string, int> _usedAt = [];
    private int _at;

    private readonly Tokenizer? _tokenizer;

    private GbnfParser(string source, Tokenizer? tokenizer) => (_source, _tokenizer) = (source, tokenizer);

    private bool AtEnd => _at >= _source.Length;

    private char Current => _source[_at];

    /// <exception cref="GrammarException">See <see cref="Grammar.Gbnf"/>.</exception>
    public static Grammar Parse(string source, Tokenizer? tokenizer)
    {
        var parser = new GbnfParser(source, tokenizer);
        if (source.Length > MaxLength)
        {
            throw new GrammarException("", $"The grammar has {source.Length} characters; at most {MaxLength} are read.");
        }

        parser.SkipSpace(lines: true);
        while (!parser.AtEnd)
        {
            parser.ReadRule();
            parser.SkipSpace(lines: true);
        }

        foreach ((string name, GrammarRule rule) in parser._rules)
        {
            if (rule.Body is null)
            {
                throw parser.Error($"the rule '{name}' is used but not defined", parser._usedAt[name]);
            }
        }

        return parser._rules.TryGetValue("root", out GrammarRule? root)
            ? root
            : throw new GrammarException("", "The grammar has no rule 'root'; name the one to start with so.");
    }

    private void ReadRule()
    {
        int begin = _at;
        string name = ReadName();
        SkipSpace(lines: false);
        if (name.Length == 0 || !Take("::="))
        {
            throw Error("a rule such as  name ::= \"text\"  is expected", begin);
        }

        SkipSpace(lines: true);
        GrammarRule rule = RuleOf(name, begin);
        if (rule.Body is not null)
        {
            throw Error($"the rule '{name}' is defined twice", begin);
        }

        rule.Body = ReadAlternatives(nested: false);
        if (!AtEnd && Current is not ('\n' or '\r'))
        {
            throw Error($"'{Current}' is not expected here");
        }
    }

    private Grammar ReadAlternatives(bool nested)
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw Error("groups are nested too deeply");
        }

        var options = new List<Grammar>();
        do
        {
            SkipSpace(lines: true);
            options.Add(ReadSequence(nested));
        }
        while (TakeBar(nested));
        return Grammar.Choice([.. options]);
    }

    private bool TakeBar(bool nested)
    {
        int back = _at;
        SkipSpace(lines: true);
        if (Take("|"))
        {
            return true;
        }

        _at = nested ? _at : back;
        return false;
    }

    private Grammar ReadSequence(bool nested)
    {
        var parts = new List<Grammar>();
        while (true)
        {
            SkipSpace(nested);
            if (AtEnd || Current is '|' or ')' or '\n' or '\r' || BeginsRule())
            {
                return Grammar.Sequence([.. parts]);
            }

            parts.Add(ReadRepeated(nested));
        }
    }

    /// <summary>A name with <c>::=</c> behind it belongs to the next rule.</summary>
    private bool BeginsRule()
    {
        int back = _at;
        bool begins = ReadName().Length > 0;
        SkipSpace(lines: false);
        begins = begins && Take("::=");
        _at = back;
        return begins;
    }

    private Grammar ReadRepeated(bool nested)
    {
        Grammar item = ReadItem();
        while (true)
        {
            int back = _at;
            SkipSpace(nested);
            if (Take("*"))
            {
                item = Grammar.Repeat(item);
            }
            else if (Take("+"))
            {
                item = Grammar.Repeat(item, 1);
            }
            else if (Take("?"))
            {
                item = Grammar.Optional(item);
            }
            else if (Take("{"))
            {
                item = ReadCounts(item, _at - 1);
            }
            else
            {
                _at = back;
                return item;
            }
        }
    }

    private Grammar ReadCounts(Grammar item, int begin)
    {
        SkipSpace(lines: false);
        int? min = ReadNumber();
        SkipSpace(lines: false);
        int? max = min;
        if (Take(","))
        {
            SkipSpace(lines: false);
            max = ReadNumber();
            SkipSpace(lines: false);
        }

        return min is int least && Take("}") && (max is null || max >= least)
            ? Grammar.Repeat(item, least, max)
            : throw Error("a repetition is written {2}, {2,} or {2,3}", begin);
    }

    private int? ReadNumber()
    {
        int begin = _at;
        while (!AtEnd && char.IsAsciiDigit(Current))
        {
            _at++;
        }

        return _at == begin ? null : int.TryParse(_source.AsSpan(begin, _at - begin), out int value) ? value
            : throw Error("the number is too large", begin);
    }

    private Grammar ReadItem()
    {
        int begin = _at;
        if (Take("\""))
        {
            var text = new StringBuilder();
            while (!Take("\""))
            {
                text.Append(new Rune(ReadCharacter(begin)).ToString());
            }

            return Grammar.Literal(text.ToString());
        }

        if (Take("["))
        {
            return new GrammarClass(ReadClass(begin));
        }

        if (Take("("))
        {
            Grammar body = ReadAlternatives(nested: true);
            SkipSpace(lines: true);
            return Take(")") ? body : throw Error("the group lacks its ')'", begin);
        }

        if (Take("."))
        {
            return new GrammarClass(CodePointSet.All);
        }

        if (Current is '<' or '!')
        {
            return ReadToken(begin);
        }

        string name = ReadName();
        return name.Length > 0 ? RuleOf(name, begin) : throw Error($"'{Current}' is not expected here", begin);
    }

    /// <summary>A token that is text stands for its text; a special one has none and is itself.</summary>
    private Grammar ReadToken(int begin)
    {
        if (Current == '!')
        {
            throw Error("'any token but this one' is not supported: a grammar is over text here; use a class such as [^<]", begin);
        }

        int end = _source.IndexOf('>', begin);
        if (_tokenizer is not { } tokenizer || end < 0)
        {
            throw Error(end < 0 ? "the token lacks its '>'" : "tokens can stand only where a model's vocabulary is known", begin);
        }

        string text = _source[begin..(end + 1)];
        bool byId = text.StartsWith("<[", StringComparison.Ordinal) && text.EndsWith("]>", StringComparison.Ordinal);
        bool found = byId ? int.TryParse(text.AsSpan()[2..^2], NumberStyles.None, CultureInfo.InvariantCulture, out int id)
            && tokenizer.TokenText(id).Length > 0 : tokenizer.TryGetId(text, out id);
        _at = end + 1;
        return !found ? throw Error($"the model has no token {text}", begin)
            : tokenizer.IsSpecial(id) ? Grammar.Token(id)
            : new GrammarLiteral(tokenizer.TokenBytes(id).ToArray());
    }

    private CodePointSet ReadClass(int begin)
    {
        bool negated = Take("^");
        var ranges = new List<(int, int)>();
        while (!Take("]"))
        {
            int first = ReadCharacter(begin);
            int last = first;
            if (_at + 1 < _source.Length && Current == '-' && _source[_at + 1] != ']')
            {
                _at++;
                last = ReadCharacter(begin);
            }

            ranges.Add(last >= first ? (first, last) : throw Error("a range of the class is out of order", begin));
        }

        CodePointSet set = CodePointSet.Of([.. ranges]);
        return negated ? set.Complement() : set;
    }

    private int ReadCharacter(int begin)
    {
        if (AtEnd || Current is '\n' or '\r')
        {
            throw Error("the text or class that begins here does not end on its line", begin);
        }

        if (!Take("\\"))
        {
            Rune rune = Rune.TryGetRuneAt(_source, _at, out Rune found) ? found : throw Error("a lone surrogate is no character");
            _at += rune.Utf16SequenceLength;
            return rune.Value;
        }

        char c = AtEnd ? '\0' : _source[_at++];
        return c switch
        {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'x' => ReadHex(2),
            'u' => ReadHex(4),
            'U' => ReadHex(8),
            '\\' or '"' or '[' or ']' or '-' or '^' or '/' or '\'' => c,
            _ => throw Error($"the escape \\{c} is not known", _at - 1),
        };
    }

    private int ReadHex(int digits)
    {
        if (_at + digits <= _source.Length && int.TryParse(_source.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, null, out int value)
            && Rune.IsValid(value))
        {
            _at += digits;
            return value;
        }

        throw Error($"{digits} hexadecimal digits of a character must follow");
    }

    private GrammarRule RuleOf(string name, int at)
    {
        if (!_rules.TryGetValue(name, out GrammarRule? rule))
        {
            _rules.Add(name, rule = Grammar.Rule(name));
            _usedAt.Add(name, at);
        }

        return rule;
    }

    private string ReadName()
    {
        int begin = _at;
        while (!AtEnd && (char.IsAsciiLetterOrDigit(Current) || Current is '-' or '_'))
        {
            _at++;
        }

        return _source[begin.._at];
    }

    private void SkipSpace(bool lines)
    {
        while (!AtEnd)
        {
            if (Current == '#')
            {
                while (!AtEnd && Current is not ('\n' or '\r'))
                {
                    _at++;
                }
            }
            else if (Current is ' ' or '\t' || (lines && Current is '\n' or '\r'))
            {
                _at++;
            }
            else
            {
                return;
            }
        }
    }

    private bool Take(string text)
    {
        bool found = string.CompareOrdinal(_source, _at, text, 0, text.Length) == 0;
        _at += found ? text.Length : 0;
        return found;
    }

    private GrammarException Error(string message, int? at = null) =>
        new($"line {1 + _source.AsSpan(0, Math.Min(at ?? _at, _source.Length)).Count('\n')} of the grammar", message + ".");
}
