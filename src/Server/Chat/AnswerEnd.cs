using System.Text;
using Understory.Decoding.Sampling;

namespace Understory.Server.Chat;

/// <summary>
/// Ends an answer where what it says does: stop strings hold for the text that is said, not for thoughts and never within a call, and a
/// mark of the turn's end or the only call that may be made end it too. The text that it lets through is the answer as it was written.
/// </summary>
internal sealed class AnswerEnd(AnswerSyntax syntax, IEnumerable<string> stops) : ITextEnd
{
    private readonly AnswerParser _parser = new(syntax);
    private readonly StopStrings _stops = new(stops);
    private readonly StringBuilder _raw = new();

    public bool Stopped { get; private set; }

    public string? Found => _stops.Found;

    public string Push(string piece)
    {
        if (Stopped)
        {
            return "";
        }

        int certain = 0;
        foreach (char c in piece)
        {
            _raw.Append(c);
            Read(_parser.Push(c.ToString()));
            if (_stops.Stopped)
            {
                return Cut(certain);
            }

            certain = _parser.Holds || _stops.Holds ? certain : _raw.Length;
            if (_parser.Ended)
            {
                Stopped = true;
                certain = _raw.Length;
                break;
            }
        }

        return Release(certain);
    }

    public string Flush()
    {
        if (!Stopped)
        {
            Read(_parser.Finish());
            if (_stops.Stopped)
            {
                return Cut(0);
            }
        }

        return Release(_raw.Length);
    }

    private void Read(IReadOnlyList<AnswerPart> parts)
    {
        foreach (AnswerPart part in parts)
        {
            _ = part is TextPart text ? _stops.Push(text.Text) : "";
        }
    }

    /// <summary>The stop string stands behind all that is certain.</summary>
    private string Cut(int certain)
    {
        Stopped = true;
        int at = _raw.ToString().IndexOf(_stops.Found!, certain, StringComparison.Ordinal);
        string text = Release(at < 0 ? certain : at);
        _raw.Clear();
        return text;
    }

    private string Release(int length)
    {
        string text = _raw.ToString(0, length);
        _raw.Remove(0, length);
        return text;
    }
}
