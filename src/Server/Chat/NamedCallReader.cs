using System.Text;
using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>
/// Reads one call whose name stands before its arguments, a JSON object: <c>f[ARGS]{…}</c>, <c>f[CALL_ID]id[ARGS]{…}</c> or
/// <c>f{…}</c>, the newer ways of Mistral's models. Where the name is known already (a message of harmony's names it in its head) only
/// the arguments follow, and may be an object within a JSON string.
/// </summary>
/// <param name="find">The tool of a name that may be called; null: there is none.</param>
/// <param name="name">The name, where it is known.</param>
public sealed class NamedCallReader(Func<string, Tool?> find, string? name = null) : ICallReader
{
    public const string ArgumentsMark = "[ARGS]";
    public const string IdMark = "[CALL_ID]";

    private readonly StringBuilder _head = new();
    private readonly StringBuilder _certain = new();
    private readonly JsonScanner _scanner = new();
    private bool _isQuoted;

    public string? Name { get; private set; } = name;

    public bool Begun { get; private set; }

    public bool Done { get; private set; }

    public bool Feed(char c)
    {
        if (!Begun && !_isQuoted)
        {
            return FeedHead(c);
        }

        JsonScanner.Step step = _scanner.Feed(c);
        if (step is JsonScanner.Step.Broken or JsonScanner.Step.Past)
        {
            return false;
        }

        Done = step == JsonScanner.Step.Last;
        _certain.Append(_scanner.Take());
        return !_isQuoted || !Done || Unquote();
    }

    public string TakeArguments() => Begun ? _certain.TakeAll() : "";

    /// <summary>Name, perhaps an id, and what announces the arguments: short, so it is looked at as a whole.</summary>
    private bool FeedHead(char c)
    {
        if (c == '{' || (c == '"' && Name is not null))
        {
            Name ??= NameIn(_head.ToString());
            _isQuoted = c == '"';
            Begun = !_isQuoted && find(Name) is not null;
            _scanner.Feed(c);
            _certain.Append(_scanner.Take());
            return Begun || _isQuoted;
        }

        const int Longest = 300;
        if (Name is not null)
        {
            return JsonScanner.IsBlank(c);
        }

        _head.Append(c);
        return _head.Length < Longest
            && (char.IsAsciiLetterOrDigit(c) || "_-.[]:/".Contains(c) || (JsonScanner.IsBlank(c) && c != '\n'));
    }

    private static string NameIn(string head)
    {
        string name = head.EndsWith(ArgumentsMark, StringComparison.Ordinal) ? head[..^ArgumentsMark.Length] : head;
        int id = name.IndexOf(IdMark, StringComparison.Ordinal);
        return (id < 0 ? name : name[..id]).Trim();
    }

    /// <summary>Arguments that are an object within a string.</summary>
    private bool Unquote()
    {
        try
        {
            string text = JsonSerializer.Deserialize<string>(_certain.ToString())!;
            using JsonDocument document = JsonDocument.Parse(text);
            _certain.Clear().Append(text);
            Begun = document.RootElement.ValueKind == JsonValueKind.Object && find(Name!) is not null;
        }
        catch (JsonException)
        {
            Begun = false;
        }

        return Begun;
    }
}
