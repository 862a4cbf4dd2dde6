using System.Text;
using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>
/// Reads one call whose arguments stand between tags (<see cref="TagSyntax"/>) character by character, and gives them as a JSON object. The
/// call has begun once its name is known to be a tool's. Values of parameters that can only be strings are given as they come, others once
/// they are complete: what they mean depends on the whole.
/// </summary>
/// <param name="find">The tool of a name that may be called; null: there is none.</param>
public sealed class TaggedCallReader(TagSyntax tags, Func<string, Tool?> find) : ICallReader
{
    private const int LongestName = 300;

    private readonly StringBuilder _word = new();
    private readonly StringBuilder _certain = new();
    private Place _place = tags.NameOpen.Length > 0 ? Place.NameOpen : Place.Name;
    private ParameterKinds? _kinds;
    private string _key = "";
    private int _arguments;
    private bool _streams;

    /// <summary>Of a value: its first line end is still to come, or to be seen not to.</summary>
    private bool _isFirst;

    private enum Place
    {
        NameOpen,
        Name,
        Between,
        Key,
        ValueOpen,
        Value,
    }

    public string? Name { get; private set; }

    public bool Begun { get; private set; }

    public bool Done { get; private set; }

    public string TakeArguments() => _certain.TakeAll();

    public bool Feed(char c)
    {
        _word.Append(c);
        switch (_place)
        {
            case Place.NameOpen:
                return Expect(tags.NameOpen, Place.Name);
            case Place.Name:
                return FeedName(c);
            case Place.Between:
                return FeedBetween();
            case Place.Key:
                if (EndsWith(tags.KeyClose))
                {
                    _key = _word.ToString(0, _word.Length - tags.KeyClose.Length).Trim();
                    Go(tags.ValueOpen.Length > 0 ? Place.ValueOpen : Place.Value);
                }

                return _word.Length < LongestName;
            case Place.ValueOpen:
                return Expect(tags.ValueOpen, Place.Value);
            default:
                FeedValue(c);
                return true;
        }
    }

    /// <summary>Blanks and then exactly this.</summary>
    private bool Expect(string mark, Place then)
    {
        string word = _word.ToString().TrimStart();
        if (word == mark)
        {
            Go(then);
        }

        return mark.StartsWith(word, StringComparison.Ordinal);
    }

    private void Go(Place place)
    {
        _word.Clear();
        _place = place;
        if (place == Place.Value)
        {
            _isFirst = tags.OwnLines;
            _streams = _kinds!.IsText(_key);
            _certain.Append(_arguments++ > 0 ? ", " : "").Append(Quote(_key)).Append(": ").Append(_streams ? "\"" : "");
        }
    }

    private bool FeedName(char c)
    {
        // A bare name may be followed by the first tag at once.
        bool isTag = tags.NameOpen.Length == 0 && c == '<';
        if (!isTag && !EndsWith(tags.NameClose))
        {
            return _word.Length < LongestName && (c != '\n' || string.IsNullOrWhiteSpace(_word.ToString()));
        }

        string name = _word.ToString(0, _word.Length - (isTag ? 1 : tags.NameClose.Length)).Trim();
        if (name.Length == 0 && !isTag)
        {
            return true;
        }

        Tool? tool = find(name);
        if (tool is null)
        {
            return false;
        }

        Name = name;
        Begun = true;
        _kinds = new ParameterKinds(tool.Parameters);
        _certain.Append('{');
        Go(Place.Between);
        _word.Append(isTag ? "<" : "");
        return true;
    }

    private bool FeedBetween()
    {
        string word = _word.ToString().TrimStart();
        if (word == tags.KeyOpen)
        {
            Go(Place.Key);
        }
        else if (word == tags.CallClose)
        {
            _certain.Append('}');
            Done = true;
        }

        return tags.KeyOpen.StartsWith(word, StringComparison.Ordinal) || tags.CallClose.StartsWith(word, StringComparison.Ordinal);
    }

    private void FeedValue(char c)
    {
        if (_isFirst)
        {
            _isFirst = false;
            if (c == '\n')
            {
                _word.Clear();
                return;
            }
        }

        if (c == '>' && EndsWith(tags.ValueClose))
        {
            int length = _word.Length - tags.ValueClose.Length;
            string value = _word.ToString(0, length > 0 && tags.OwnLines && _word[length - 1] == '\n' ? length - 1 : length);
            _certain.Append(_streams ? Escape(value) + "\"" : _kinds!.ToJson(_key, value));
            Go(Place.Between);
        }
        else if (_streams)
        {
            Release();
        }
    }

    /// <summary>Gives out what can no longer be a line end and the value's closing.</summary>
    private void Release()
    {
        string word = _word.ToString();
        int from = Math.Max(0, word.Length - tags.ValueClose.Length - 1);
        while (from < word.Length && !MayClose(word.AsSpan(from)))
        {
            from++;
        }

        // Half of a character waits for its other half.
        from -= from > 0 && char.IsHighSurrogate(word[from - 1]) ? 1 : 0;
        _certain.Append(Escape(word[..from]));
        _word.Remove(0, from);
    }

    private bool MayClose(ReadOnlySpan<char> text)
    {
        text = tags.OwnLines && text[0] == '\n' ? text[1..] : text;
        return tags.ValueClose.AsSpan().StartsWith(text, StringComparison.Ordinal);
    }

    private bool EndsWith(string mark)
    {
        int from = _word.Length - mark.Length;
        for (int i = mark.Length - 1; i >= 0 && from >= 0; i--)
        {
            if (_word[from + i] != mark[i])
            {
                return false;
            }
        }

        return from >= 0;
    }

    private static string Quote(string text) => JsonSerializer.Serialize(text, ToolSyntax.Readable);

    private static string Escape(string text) => text.Length == 0 ? "" : Quote(text)[1..^1];
}
