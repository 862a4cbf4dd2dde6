using System.Text;

namespace Understory.Server.Chat;

/// <summary>Reads one call <c>f[ARGS]{…}</c>, <c>f[CALL_ID]id[ARGS]{…}</c> or <c>f{…}</c>: the newer way of Mistral's models.</summary>
/// <param name="known">Whether a tool of this name may be called.</param>
public sealed class NamedCallReader(Func<string, bool> known) : ICallReader
{
    private const string Arguments = "[ARGS]";
    private const string CallId = "[CALL_ID]";
    private readonly StringBuilder _head = new();
    private readonly StringBuilder _certain = new();
    private readonly JsonScanner _scanner = new();

    public string? Name { get; private set; }

    public bool Begun { get; private set; }

    public bool Done { get; private set; }

    public bool Feed(char c)
    {
        if (!Begun)
        {
            return FeedHead(c);
        }

        switch (_scanner.Feed(c))
        {
            case JsonScanner.Step.Broken:
                return false;
            case JsonScanner.Step.Last:
                Done = true;
                break;
        }

        _certain.Append(c);
        return true;
    }

    public string TakeArguments()
    {
        string text = _certain.ToString();
        _certain.Clear();
        return text;
    }

    /// <summary>Name, perhaps an id, and what announces the arguments: short, so it is looked at as a whole.</summary>
    private bool FeedHead(char c)
    {
        string head = _head.ToString();
        if (c == '{')
        {
            string name = head.EndsWith(Arguments, StringComparison.Ordinal) ? head[..^Arguments.Length] : head;
            int id = name.IndexOf(CallId, StringComparison.Ordinal);
            Name = (id < 0 ? name : name[..id]).Trim();
            Begun = known(Name);
            _scanner.Feed(c);
            _certain.Append(c);
            return Begun;
        }

        const int Longest = 200;
        _head.Append(c);
        return head.Length < Longest
            && (char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' or '[' or ']' || (JsonScanner.IsBlank(c) && c != '\n'));
    }
}
