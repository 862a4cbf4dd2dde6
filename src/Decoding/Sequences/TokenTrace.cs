using Understory.Decoding.Tree;

namespace Understory.Decoding.Sequences;

/// <summary>A token's share of the text.</summary>
/// <param name="Text">Empty where a token holds but the beginning of a character, ends the sequence, or fell to a stop string.</param>
/// <param name="Stage">Who proposed it; <see cref="Stage.Target"/>: nobody, the target added it.</param>
/// <param name="LogProb">Of l' at temperature 1.</param>
/// <param name="Continued">Further text of a token that was given out before in part.</param>
public readonly record struct TokenPiece(int Token, string Text, Stage Stage, float LogProb, bool Continued);

/// <summary>
/// Says of every character of an answer which token it belongs to, and who proposed that. All pieces together are the text as it
/// was taken, and every token is told exactly once (in more than one piece only where a stop string held back its end).
/// </summary>
public sealed class TokenTrace
{
    private readonly List<Entry> _entries = [];
    private int _decoded;
    private int _told;
    private int _at;
    private bool _begun;

    /// <param name="End">Characters of the decoded text up to the token's end.</param>
    private record struct Entry(int Token, Stage Stage, float LogProb, int End);

    /// <summary>The tokens whose text, or last piece of it, is in <paramref name="text"/>: what was just taken from the sequence.</summary>
    /// <param name="finished">No more text will come; all tokens that are left are told.</param>
    public IReadOnlyList<TokenPiece> Take(string text, bool finished)
    {
        int start = _at;
        int end = start + text.Length;
        var pieces = new List<TokenPiece>();
        for (int known = finished ? _entries.Count : _decoded; _told < known; _told++, _begun = false)
        {
            Entry entry = _entries[_told];
            int until = Math.Clamp(entry.End, _at, end);
            bool whole = finished || entry.End <= end;
            if (until > _at || (whole && !_begun))
            {
                pieces.Add(new TokenPiece(entry.Token, text[(_at - start)..(until - start)], entry.Stage, entry.LogProb, _begun));
                _at = until;
                _begun = true;
            }

            if (!whole)
            {
                break;
            }
        }

        return pieces;
    }

    internal void Add(int token, Stage stage, float logProb) => _entries.Add(new Entry(token, stage, logProb, 0));

    /// <summary>The next token is decoded, and the decoded text has so many characters now.</summary>
    internal void Decoded(int characters)
    {
        _entries[_decoded] = _entries[_decoded] with { End = characters };
        _decoded++;
    }

    /// <summary>
    /// The text is complete: what the decoder had held back belongs to the last decoded token, none to one that only ends the sequence.
    /// </summary>
    internal void Close(int characters)
    {
        for (int i = Math.Max(0, _decoded - 1); i < _entries.Count; i++)
        {
            _entries[i] = _entries[i] with { End = characters };
        }

        _decoded = _entries.Count;
    }
}
