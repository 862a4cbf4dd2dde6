using System.Runtime.InteropServices;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;

namespace Understory.Decoding.Drafters;

/// <summary>
/// What a draft with a vocabulary of its own keeps of a sequence: the committed text in its own tokens, which follow from the target's
/// one by one, and keys and values of a prefix of them.
/// <para>
/// A target token becomes its twin, or the draft's tokens of its text. Where the last tokens and the first new one together are one
/// token that the draft has and the target has not, they become that one: the draft would have written it so. What a prefix of the
/// text becomes changes at its last few tokens only, so little is ever computed again.
/// </para>
/// </summary>
internal sealed class TranslatedCache : DraftCache
{
    /// <summary>Tokens that may become one with the next. Chosen.</summary>
    private const int MostMerged = 3;

    /// <summary>Bytes of a token that others may become; longer ones are runs of one character. Chosen.</summary>
    private const int LongestMerged = 48;

    private readonly VocabularyMap _map;
    private readonly List<int> _tokens;
    private readonly List<int> _held;

    /// <summary>For each token: how many of the target's tokens the text up to its end is; -1: it ends within one of them.</summary>
    private readonly List<int> _ends;

    /// <summary>Target tokens that were translated.</summary>
    private int _read;

    /// <param name="most">Tokens that it holds at most.</param>
    public TranslatedCache(KvCache own, DraftWindow window, VocabularyMap map, int most)
        : base(own, window)
    {
        _map = map;
        _tokens = new List<int>(most);
        _held = new List<int>(most);
        _ends = new List<int>(most);
    }

    public override int Held => _held.Count;

    /// <summary>What was translated so far.</summary>
    internal ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    public override ReadOnlySpan<int> Text(TokenContext context)
    {
        if (Committed == context.Length)
        {
            // Within a step: the text stands still.
            return CollectionsMarshal.AsSpan(_tokens);
        }

        Translate(context.Tokens);
        Span<int> tokens = CollectionsMarshal.AsSpan(_tokens);
        // The last token is computed again if nothing new is behind it: its answer is wanted.
        int same = Math.Min(tokens.CommonPrefixLength(CollectionsMarshal.AsSpan(_held)), Math.Max(0, tokens.Length - 1));
        if (same < _held.Count)
        {
            Forget(_held, Rewind(same));
        }

        return tokens;
    }

    /// <summary>Translates what was not yet; tokens of the text may then be held or not.</summary>
    public int Translate(ReadOnlySpan<int> text)
    {
        if (_read == 0 && _map.Start is >= 0 and var start && (text.IsEmpty || _map.DraftOf(text[0]) is not [var first] || first != start))
        {
            _tokens.Add(start);
            _ends.Add(0);
        }

        while (_read < text.Length)
        {
            Append(_map.DraftOf(text[_read]), ++_read);
        }

        return _tokens.Count;
    }

    public override void Hold(TokenContext context, int positions)
    {
        for (int i = _held.Count; i < positions; i++)
        {
            _held.Add(_tokens[i]);
        }

        if (positions == _tokens.Count)
        {
            Committed = context.Length;
        }
    }

    /// <summary>So many target tokens more, which the draft has as these tokens of its own, are held.</summary>
    public void Accept(ReadOnlySpan<int> tokens, int targets)
    {
        foreach (int token in tokens)
        {
            _held.Add(token);
        }

        Committed += targets;
    }

    public override void CopyFrom(DraftCache source, int count)
    {
        var other = (TranslatedCache)source;
        Copy(other._tokens, _tokens);
        Copy(other._ends, _ends);
        Copy(other._held, _held);
        Cut(count);
        Forget(_held, CopyPositions(other, _held.Count));
        Committed = Math.Min(count, other.Committed);
    }

    public override void Truncate(int count)
    {
        Cut(count);
        Forget(_held, Rewind(_held.Count));
        Committed = Math.Min(count, Committed);
    }

    private static void Copy(List<int> from, List<int> to)
    {
        to.Clear();
        to.AddRange(from);
    }

    private static void Forget(List<int> list, int count) => list.RemoveRange(count, list.Count - count);

    /// <summary>Keeps what the first target tokens alone became.</summary>
    private void Cut(int count)
    {
        int kept = _ends.Count;
        while (kept > 0 && (_ends[kept - 1] < 0 || _ends[kept - 1] > count))
        {
            kept--;
        }

        Forget(_tokens, kept);
        Forget(_ends, kept);
        _read = kept > 0 ? _ends[^1] : 0;
        Forget(_held, CollectionsMarshal.AsSpan(_tokens).CommonPrefixLength(CollectionsMarshal.AsSpan(_held)));
        if (kept == 1 && _read == 0)
        {
            Forget(_tokens, 0);
            Forget(_ends, 0);
            Forget(_held, 0);
        }
    }

    private void Append(ReadOnlySpan<int> tokens, int end)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            int token = tokens[i];
            if (i == 0)
            {
                token = Merge(token);
            }

            _tokens.Add(token);
            _ends.Add(i == tokens.Length - 1 ? end : -1);
        }
    }

    /// <summary>What the last tokens and the next one are together; they are taken away then. Else the next one.</summary>
    private int Merge(int next)
    {
        Span<byte> bytes = stackalloc byte[LongestMerged];
        ReadOnlySpan<byte> own = _map.DraftBytes(next);
        int merged = next;
        int count = 0;
        int length = own.Length;
        if (own.IsEmpty || length > LongestMerged)
        {
            return next;
        }

        own.CopyTo(bytes[^length..]);
        for (int back = 1; back <= Math.Min(MostMerged, _tokens.Count); back++)
        {
            own = _map.DraftBytes(_tokens[^back]);
            if (own.IsEmpty || length + own.Length > LongestMerged)
            {
                break;
            }

            length += own.Length;
            own.CopyTo(bytes[^length..]);
            if (_map.TryFindDraftsOwn(bytes[^length..], out int token))
            {
                (merged, count) = (token, back);
            }
        }

        Forget(_tokens, _tokens.Count - count);
        Forget(_ends, _ends.Count - count);
        return merged;
    }
}
