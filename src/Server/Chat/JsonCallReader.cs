using System.Text;
using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>
/// Reads one call <c>{"name": "f", "arguments": {…}}</c> (or <c>"tool_name"</c>, <c>"parameters"</c>; in any order, with any other
/// members between) character by character. The call has begun once its name is known to be a tool's and the arguments are seen to be an
/// object; from then on it cannot be taken back.
/// </summary>
/// <param name="find">The tool of a name that may be called; null: there is none.</param>
public sealed class JsonCallReader(Func<string, Tool?> find) : ICallReader
{
    private readonly StringBuilder _value = new();
    private readonly StringBuilder _certain = new();
    private Place _place = Place.Object;
    private JsonScanner _scanner = new();
    private string _key = "";
    private string? _arguments;
    private bool _valueBegun;

    private enum Place
    {
        Object,
        KeyOrEnd,
        Key,
        InKey,
        Colon,
        Value,
        CommaOrEnd,
        Done,
        Broken,
    }

    public string? Name { get; private set; }

    public bool Begun { get; private set; }

    public bool Done => _place == Place.Done;

    public bool Broken => _place == Place.Broken;

    private bool Streams => Begun && _arguments is null && IsArguments(_key);

    public string TakeArguments() => _certain.TakeAll();

    public bool Feed(char c)
    {
        if (_place == Place.Value)
        {
            return FeedValue(c);
        }

        _place = (_place, c) switch
        {
            (Place.InKey, _) => FeedKey(c),
            (not Place.Done and not Place.Broken, _) when JsonScanner.IsBlank(c) => _place,
            (Place.Object, '{') => Place.KeyOrEnd,
            (Place.KeyOrEnd or Place.Key, '"') => BeginKey(c),
            (Place.Colon, ':') => BeginValue(),
            (Place.CommaOrEnd, ',') => Place.Key,
            (Place.CommaOrEnd or Place.Key, '}') => End(),
            _ => Place.Broken,
        };
        return !Broken;
    }

    private static bool IsArguments(string key) => key is "arguments" or "parameters";

    private static bool IsName(string key) => key is "name" or "tool_name";

    private Place BeginKey(char c)
    {
        _scanner = new JsonScanner();
        _scanner.Feed(c);
        _value.Clear();
        return Place.InKey;
    }

    private Place FeedKey(char c)
    {
        JsonScanner.Step step = _scanner.Feed(c);
        _value.Append(_scanner.Take());
        switch (step)
        {
            case JsonScanner.Step.Inside:
                return Place.InKey;
            case JsonScanner.Step.Last when Unquote(_value.ToString()) is { } key
                && !(IsArguments(key) && (_arguments is not null || Begun)):
                _key = key;
                return Place.Colon;
            default:
                return Place.Broken;
        }
    }

    private Place BeginValue()
    {
        _scanner = new JsonScanner();
        _value.Clear();
        _valueBegun = false;
        return Place.Value;
    }

    private bool FeedValue(char c)
    {
        if (!_valueBegun)
        {
            if (JsonScanner.IsBlank(c))
            {
                return true;
            }

            _valueBegun = true;
            if (c == '{' && IsArguments(_key) && Name is not null)
            {
                Begun = true;
            }
        }

        JsonScanner.Step step = _scanner.Feed(c);
        Keep(_scanner.Take());
        switch (step)
        {
            case JsonScanner.Step.Inside:
                return true;
            case JsonScanner.Step.Last:
                _place = EndValue() ? Place.CommaOrEnd : Place.Broken;
                return !Broken;
            case JsonScanner.Step.Past:
                _place = EndValue() ? Place.CommaOrEnd : Place.Broken;
                return !Broken && Feed(c);
            default:
                _place = Place.Broken;
                return false;
        }
    }

    private void Keep(string text)
    {
        _value.Append(text);
        if (Streams)
        {
            _certain.Append(text);
        }
    }

    /// <returns>False: this value makes it no call.</returns>
    private bool EndValue()
    {
        string value = _value.ToString();
        if (IsName(_key) && Name is null)
        {
            Name = value[0] == '"' ? Unquote(value) : null;
            if (Name is null || find(Name) is null)
            {
                return false;
            }

            if (_arguments is not null)
            {
                Begun = true;
                _certain.Append(_arguments);
            }
        }
        else if (IsArguments(_key) && !Begun)
        {
            _arguments = AsObject(value);
            return _arguments is not null;
        }
        else if (Streams)
        {
            _arguments = value;
        }

        return true;
    }

    /// <summary>The end of the object; a call without arguments has none to give.</summary>
    private Place End()
    {
        if (Name is null)
        {
            return Place.Broken;
        }

        if (!Begun)
        {
            Begun = true;
            _certain.Append(_arguments ?? "{}");
        }

        return Place.Done;
    }

    /// <summary>The arguments as an object's text: some models write them as text within text, or null for none.</summary>
    private static string? AsObject(string value) => value[0] switch
    {
        '{' => value,
        'n' => "{}",
        '"' when Unquote(value) is { } text && IsObject(text) => text,
        _ => null,
    };

    /// <summary>The text is a JSON object.</summary>
    internal static bool IsObject(string text)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string? Unquote(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<string>(json);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
