using System.Buffers;
using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Models.Tokenizers;

/// <summary>A token that is recognised in the text itself, before it is cut into words.</summary>
/// <param name="StripLeft">It swallows white space before it.</param>
/// <param name="StripRight">It swallows white space after it.</param>
/// <param name="Normalized">It is looked for in normalised text, itself normalised; otherwise in the text as given.</param>
/// <param name="SingleWord">Not recognised next to a word character.</param>
/// <param name="Special">Control of the model rather than text; left out of decoded text on request.</param>
internal sealed record AddedToken(int Id, string Content, bool StripLeft, bool StripRight, bool Normalized, bool SingleWord, bool Special);

/// <summary>Finds added tokens: from left to right, the longest at each place. A trie, entered only at first letters.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly Dictionary<(int Node, char Letter), int> _children = [];
    private readonly List<AddedToken?> _ends = [null];
    private readonly SearchValues<char> _firstLetters;

    /// <param name="tokens">The tokens and the texts to look for.</param>
    public AddedTokenMatcher(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        var firstLetters = new HashSet<char>();
        foreach ((string text, AddedToken token) in tokens)
        {
            if (text.Length > 0)
            {
                firstLetters.Add(text[0]);
                Insert(text, token);
            }
        }

        _firstLetters = SearchValues.Create([.. firstLetters]);
    }

    /// <summary>
    /// The next added token at or after <paramref name="from"/>. <paramref name="start"/> and <paramref name="end"/> include white space
    /// that it strips, on the left not beyond <paramref name="from"/>.
    /// </summary>
    /// <param name="resume">Where the search last ended: before <paramref name="from"/>'s stripped blanks; updated.</param>
    public AddedToken? Next(ReadOnlySpan<char> text, int from, ref int resume, out int start, out int end)
    {
        for (int at = resume; at < text.Length; at++)
        {
            int jump = text[at..].IndexOfAny(_firstLetters);
            if (jump < 0)
            {
                break;
            }

            at += jump;
            if (Longest(text, at, out int length) is not AddedToken token)
            {
                continue;
            }

            start = at;
            end = at + length;
            if (token.SingleWord && (IsWordBefore(text, start) || IsWordAt(text, end)))
            {
                at = end - 1;
                continue;
            }

            resume = end;
            while (token.StripLeft && start > from && char.IsWhiteSpace(text[start - 1]))
            {
                start--;
            }

            while (token.StripRight && end < text.Length && char.IsWhiteSpace(text[end]))
            {
                end++;
            }

            return token;
        }

        resume = text.Length;
        start = end = text.Length;
        return null;
    }

    private static bool IsWordBefore(ReadOnlySpan<char> text, int at) =>
        at > 0 && (CodePoints.KindBefore(text, at) & CodePointKind.Word) != 0;

    private static bool IsWordAt(ReadOnlySpan<char> text, int at) =>
        at < text.Length && (CodePoints.KindAt(text, at, out _) & CodePointKind.Word) != 0;

    private void Insert(string text, AddedToken token)
    {
        int node = 0;
        foreach (char letter in text)
        {
            if (!_children.TryGetValue((node, letter), out int child))
            {
                child = _ends.Count;
                _ends.Add(null);
                _children.Add((node, letter), child);
            }

            node = child;
        }

        _ends[node] ??= token;
    }

    private AddedToken? Longest(ReadOnlySpan<char> text, int start, out int length)
    {
        AddedToken? longest = null;
        length = 0;
        int node = 0;
        for (int at = start; at < text.Length && _children.TryGetValue((node, text[at]), out node); at++)
        {
            if (_ends[node] is AddedToken token)
            {
                longest = token;
                length = at + 1 - start;
            }
        }

        return longest;
    }
}
