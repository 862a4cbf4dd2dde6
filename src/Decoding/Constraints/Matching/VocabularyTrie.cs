using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Understory.Decoding.Constraints.Automata;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// The bytes of all tokens as a trie, its nodes in the order of a walk from left to right: a subtree is a range of nodes and of tokens.
/// Special tokens have no text; they stand under the mark that <see cref="NfaBuilder.TokenBytes"/> writes. Tokens without text, and those
/// with bytes that no UTF-8 text holds, are not in it. Immutable.
/// </summary>
internal sealed class VocabularyTrie
{
    /// <summary>Subtrees of so many tokens know which bytes they hold.</summary>
    private const int Summarised = 16;

    private static readonly ConditionalWeakTable<Tokenizer, VocabularyTrie> _tries = [];
    private static readonly ConditionalWeakTable<Tokenizer, VocabularyTrie> _firstTries = [];
    private static readonly ConditionalWeakTable<Tokenizer, VocabularyTrie[]> _bands = [];
    private static readonly ConditionalWeakTable<Tokenizer, ConcurrentDictionary<(string Ends, bool First), VocabularyTrie>> _wholeKeys =
        [];

    private readonly byte[] _text;
    private readonly int[] _start;
    private readonly int[] _length;
    private readonly int[] _summary;
    private readonly ByteSet[] _summaries;

    /// <summary>A token may be in it or not.</summary>
    private delegate bool Choice(ReadOnlySpan<byte> bytes);

    private VocabularyTrie(Tokenizer tokenizer, bool first, Choice? choice = null)
    {
        int count = tokenizer.VocabularySize;
        _start = new int[count];
        _length = new int[count];
        var text = new List<byte>(count * 8);
        var ids = new List<int>(count);
        for (int id = 0; id < count; id++)
        {
            ReadOnlySpan<byte> bytes = tokenizer.IsSpecial(id) ? NfaBuilder.TokenBytes(id) : first ? tokenizer.FirstBytes(id)
                : tokenizer.TokenBytes(id);
            if (bytes.Length == 0 || choice?.Invoke(bytes) == false
                || (!tokenizer.IsSpecial(id) && bytes.ContainsAnyInRange((byte)0xF8, (byte)0xFF)))
            {
                continue;
            }

            (_start[id], _length[id]) = (text.Count, bytes.Length);
            text.AddRange(bytes);
            ids.Add(id);
        }

        _text = [.. text];
        ids.Sort((a, b) => Bytes(a).SequenceCompareTo(Bytes(b)) is var order and not 0 ? order : a.CompareTo(b));
        Tokens = [.. ids];
        var nodes = new List<(byte Value, ushort Depth, int FirstToken)>(Tokens.Length * 2);
        ReadOnlySpan<byte> previous = [];
        for (int i = 0; i < Tokens.Length; i++)
        {
            ReadOnlySpan<byte> bytes = Bytes(Tokens[i]);
            for (int depth = bytes.CommonPrefixLength(previous); depth < bytes.Length; depth++)
            {
                nodes.Add((bytes[depth], checked((ushort)(depth + 1)), i));
            }

            LongestToken = Math.Max(LongestToken, bytes.Length);
            previous = bytes;
        }

        Values = [.. nodes.Select(node => node.Value)];
        Depths = [.. nodes.Select(node => node.Depth)];
        FirstTokens = [.. nodes.Select(node => node.FirstToken), Tokens.Length];
        Ends = SubtreeEnds();
        (_summary, _summaries) = Summarise();
    }

    /// <summary>Nodes; the empty text has none.</summary>
    public int Count => Values.Length;

    /// <summary>Bytes of the longest token.</summary>
    public int LongestToken { get; }

    /// <summary>Ids in the order of their bytes.</summary>
    public int[] Tokens { get; }

    /// <summary>The byte that leads to each node.</summary>
    public byte[] Values { get; }

    /// <summary>Bytes on the way to each node: 1 or more.</summary>
    public ushort[] Depths { get; }

    /// <summary>The first node behind each node's subtree.</summary>
    public int[] Ends { get; }

    /// <summary>
    /// <c>[Count + 1]</c>: tokens that end at node i are <c>Tokens[FirstTokens[i] .. FirstTokens[i + 1]]</c>, those of its subtree
    /// <c>Tokens[FirstTokens[i] .. FirstTokens[Ends[i]]]</c>.
    /// </summary>
    public int[] FirstTokens { get; }

    public static VocabularyTrie Of(Tokenizer tokenizer) => _tries.GetValue(tokenizer, key => new VocabularyTrie(key, first: false));

    /// <summary>As text begins: some decoders write a text's first token otherwise.</summary>
    public static VocabularyTrie OfFirst(Tokenizer tokenizer) =>
        tokenizer.FirstTokenDiffers ? _firstTries.GetValue(tokenizer, key => new VocabularyTrie(key, first: true)) : Of(tokenizer);

    /// <summary>
    /// The tokens by their length: of each band those that are longer than the bound before it, and not longer than its own.
    /// </summary>
    public static VocabularyTrie[] Bands(Tokenizer tokenizer) => _bands.GetValue(tokenizer, key =>
        [.. StateClasses.Bounds.Select((bound, i) => new VocabularyTrie(key, first: false,
            bytes => bytes.Length <= bound && (i == 0 || bytes.Length > StateClasses.Bounds[i - 1])))]);

    /// <summary>
    /// Tokens that may hold a whole key: one of <paramref name="ends"/>, behind something that the key begins with; where it is a
    /// quotation mark, that is another one.
    /// </summary>
    /// <param name="first">As <see cref="OfFirst"/>.</param>
    public static VocabularyTrie OfWholeKeys(Tokenizer tokenizer, byte[] ends, bool first)
    {
        bool quoted = ends is [(byte)'"'];
        return _wholeKeys.GetOrCreateValue(tokenizer).GetOrAdd((Convert.ToHexString(ends), first && tokenizer.FirstTokenDiffers), key =>
            new VocabularyTrie(tokenizer, key.First, bytes => bytes.LastIndexOfAny(ends) >= 1 && (!quoted || bytes.Count((byte)'"') > 1)));
    }

    /// <summary>The bytes of a token; none for one that is not in the trie.</summary>
    public ReadOnlySpan<byte> Bytes(int token) => (uint)token < (uint)_start.Length ? _text.AsSpan(_start[token], _length[token]) : default;

    /// <summary>Tokens that begin so.</summary>
    public ReadOnlySpan<int> TokensWith(ReadOnlySpan<byte> beginning)
    {
        int from = 0;
        for (int length = Tokens.Length; length > 0;)
        {
            int half = length / 2;
            bool isBefore = Bytes(Tokens[from + half]).SequenceCompareTo(beginning) < 0;
            (from, length) = isBefore ? (from + half + 1, length - half - 1) : (from, half);
        }

        int to = from;
        while (to < Tokens.Length && Bytes(Tokens[to]).StartsWith(beginning))
        {
            to++;
        }

        return Tokens.AsSpan(from..to);
    }

    /// <summary>
    /// Whether all bytes below a node are in <paramref name="bytes"/>; false for small subtrees, which are not worth the question.
    /// </summary>
    public bool HoldsOnly(int node, in ByteSet bytes) => _summary[node] >= 0 && _summaries[_summary[node]].IsIn(bytes);

    private int[] SubtreeEnds()
    {
        int[] ends = new int[Count];
        var open = new Stack<int>();
        for (int node = 0; node < Count; node++)
        {
            while (open.TryPeek(out int above) && Depths[above] >= Depths[node])
            {
                ends[open.Pop()] = node;
            }

            open.Push(node);
        }

        while (open.TryPop(out int node))
        {
            ends[node] = Count;
        }

        return ends;
    }

    private (int[] Summary, ByteSet[] Summaries) Summarise()
    {
        int[] summary = new int[Count];
        var sets = new List<ByteSet>();
        for (int node = Count - 1; node >= 0; node--)
        {
            summary[node] = -1;
            if (FirstTokens[Ends[node]] - FirstTokens[node] >= Summarised)
            {
                ByteSet set = default;
                for (int child = node + 1; child < Ends[node]; child = Ends[child])
                {
                    set.Add(Values[child]);
                    if (summary[child] >= 0)
                    {
                        set.Add(sets[summary[child]]);
                    }
                    else
                    {
                        foreach (byte value in Values.AsSpan((child + 1)..Ends[child]))
                        {
                            set.Add(value);
                        }
                    }
                }

                summary[node] = sets.Count;
                sets.Add(set);
            }
        }

        return (summary, [.. sets]);
    }
}

/// <summary>A set of bytes.</summary>
internal struct ByteSet
{
    private ulong _a;
    private ulong _b;
    private ulong _c;
    private ulong _d;

    public void Add(byte value)
    {
        ulong bit = 1UL << value;
        switch (value >> 6)
        {
            case 0: _a |= bit; break;
            case 1: _b |= bit; break;
            case 2: _c |= bit; break;
            default: _d |= bit; break;
        }
    }

    public void Add(in ByteSet other)
    {
        _a |= other._a;
        _b |= other._b;
        _c |= other._c;
        _d |= other._d;
    }

    public readonly bool IsIn(in ByteSet other) =>
        ((_a & ~other._a) | (_b & ~other._b) | (_c & ~other._c) | (_d & ~other._d)) == 0;
}
