using System.Text;

namespace Understory.Decoding.Sampling;

/// <summary>Says where a growing text ends, and holds back what may yet be behind its end.</summary>
public interface ITextEnd
{
    /// <summary>The text has ended: all of it has been released.</summary>
    bool Stopped { get; }

    /// <summary>The stop string that ended the text; null: none, or something else did.</summary>
    string? Found { get; }

    /// <summary>Takes the next piece, returns the text that is now certain.</summary>
    string Push(string piece);

    /// <summary>The text was ended by something else: what was held back belongs to it after all.</summary>
    string Flush();
}

/// <summary>
/// Cuts a growing text before the stop string that is complete first (of two that end together, the longer), wherever the borders of its
/// pieces lie. Text that might still become a stop string is held back.
/// </summary>
public sealed class StopStrings : ITextEnd
{
    private readonly string[] _stops;
    private readonly StringBuilder _held = new();

    /// <exception cref="InvalidRequestException">A stop string is empty.</exception>
    public StopStrings(IEnumerable<string> stops)
    {
        _stops = [.. stops];
        if (_stops.Any(string.IsNullOrEmpty))
        {
            throw new InvalidRequestException("stop", "stop holds an empty string; leave it out, or give the text to stop at.");
        }
    }

    /// <summary>A stop string was found; all text before it has been released.</summary>
    public bool Stopped => Found is not null;

    /// <summary>The stop string that ended the text; null while none has.</summary>
    public string? Found { get; private set; }

    /// <summary>Something is held back.</summary>
    public bool Holds => _held.Length > 0;

    /// <summary>Takes the next piece, returns the text that is now certain to stand before any stop string.</summary>
    public string Push(string piece)
    {
        if (_stops.Length == 0 || piece.Length == 0 || Stopped)
        {
            return Stopped ? "" : piece;
        }

        string text = _held.Append(piece).ToString();
        int start = -1;
        int end = int.MaxValue;
        foreach (string stop in _stops)
        {
            int at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0 && (at + stop.Length < end || (at + stop.Length == end && at < start)))
            {
                start = at;
                end = at + stop.Length;
                Found = stop;
            }
        }

        int released = Stopped ? start : text.Length - HeldLength(text);
        _held.Clear().Append(text, released, Stopped ? 0 : text.Length - released);
        return text[..released];
    }

    /// <summary>The text ended: what was held back belongs to it after all.</summary>
    public string Flush()
    {
        string rest = Stopped ? "" : _held.ToString();
        _held.Clear();
        return rest;
    }

    /// <summary>Length of the longest end of <paramref name="text"/> that begins a stop string.</summary>
    private int HeldLength(string text)
    {
        int held = 0;
        foreach (string stop in _stops)
        {
            for (int length = Math.Min(stop.Length - 1, text.Length); length > held; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
                {
                    held = length;
                    break;
                }
            }
        }

        return held;
    }
}
