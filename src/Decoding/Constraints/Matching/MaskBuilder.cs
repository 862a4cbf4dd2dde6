using System.Numerics;
using System.Runtime.InteropServices;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// Finds the tokens that may follow a state by walking the vocabulary's trie with it. What an automaton state allows whoever called its rule is found once,
/// together with the nodes of the trie where the rule ends; only below those does a state's own stack matter.
/// </summary>
internal sealed class MaskBuilder(MatchStates states, VocabularyTrie trie, VocabularyTrie firstTrie, int vocabulary)
{
    /// <summary>With more ends than this in the trie, each state is walked for itself.</summary>
    private const int MaxEnds = 6_000;

    private readonly Dictionary<int, Local> _locals = [];
    private readonly Dictionary<int, ByteSet> _loops = [];
    private readonly int[] _path = new int[Math.Max(trie.LongestToken, firstTrie.LongestToken) + 1];

    /// <param name="Words">Tokens that stay within the rule, or end with it.</param>
    /// <param name="Ends">Nodes of the trie at which the rule ends and further text follows; null: too many.</param>
    private sealed record Local(ulong[] Words, int[]? Ends);

    /// <summary>Words of a mask.</summary>
    public int Words { get; } = (vocabulary + 63) / 64;

    /// <summary>Sets the bits of all tokens that may follow; the others are left as they are.</summary>
    public void Fill(int state, ulong[] words)
    {
        if (state == states.Start && !ReferenceEquals(firstTrie, trie))
        {
            Walk(firstTrie, 0, firstTrie.Count, 0, state, words, null);
            return;
        }

        for (int i = 0; i < states.Configurations(state).Length; i += 2)
        {
            // Walking makes states, so spans are not held across it.
            int automatonState = states.Configurations(state)[i];
            int stacks = states.Configurations(state)[i + 1];
            Local local = LocalOf(automatonState);
            if (local.Ends is null)
            {
                Walk(trie, 0, trie.Count, 0, states.Alone(automatonState, stacks), words, null);
                continue;
            }

            Or(local.Words, words);
            if (local.Ends.Length > 0)
            {
                int after = states.AfterReturn(stacks);
                foreach (int node in local.Ends)
                {
                    Walk(trie, node + 1, trie.Ends[node], trie.Depths[node], after, words, null);
                }
            }
        }
    }

    private static void Or(ReadOnlySpan<ulong> source, Span<ulong> words)
    {
        ReadOnlySpan<Vector<ulong>> wide = MemoryMarshal.Cast<ulong, Vector<ulong>>(source);
        Span<Vector<ulong>> into = MemoryMarshal.Cast<ulong, Vector<ulong>>(words);
        for (int i = 0; i < wide.Length; i++)
        {
            into[i] |= wide[i];
        }

        for (int i = wide.Length * Vector<ulong>.Count; i < words.Length; i++)
        {
            words[i] |= source[i];
        }
    }

    private Local LocalOf(int automatonState)
    {
        if (!_locals.TryGetValue(automatonState, out Local? local))
        {
            ulong[] words = new ulong[Words];
            var ends = new List<int>();
            Walk(trie, 0, trie.Count, 0, states.Alone(automatonState), words, ends);
            local = new Local(words, ends.Count > MaxEnds ? null : [.. ends]);
            _locals.Add(automatonState, local);
        }

        return local;
    }

    /// <summary>
    /// Walks the nodes from <paramref name="node"/> to <paramref name="end"/>, below a node of the given depth at which the text is in
    /// <paramref name="state"/>.
    /// </summary>
    /// <param name="ends">Takes up the nodes below which an unknown caller goes on.</param>
    private void Walk(VocabularyTrie over, int node, int end, int depth, int state, ulong[] words, List<int>? ends)
    {
        _path[depth] = state;
        while (node < end)
        {
            int at = over.Depths[node];
            int above = _path[at - 1];
            int next = states.Next(above, over.Values[node]);
            if (next == MatchStates.Dead)
            {
                node = over.Ends[node];
                continue;
            }

            if (next == above && over.HoldsOnly(node, Loop(next)))
            {
                Allow(over, over.FirstTokens[node], over.FirstTokens[over.Ends[node]], words);
                node = over.Ends[node];
                continue;
            }

            _path[at] = next;
            Allow(over, over.FirstTokens[node], over.FirstTokens[node + 1], words);
            if (ends is not null && states.Returns(next) && over.Ends[node] > node + 1)
            {
                ends.Add(node);
            }

            node++;
        }
    }

    private void Allow(VocabularyTrie over, int from, int to, ulong[] words)
    {
        foreach (int token in over.Tokens.AsSpan(from, to - from))
        {
            if (token < vocabulary)
            {
                words[token >> 6] |= 1UL << token;
            }
        }
    }

    /// <summary>Bytes that lead from a state to itself. A state that may also return to an unknown caller has none: its ends must all be met.</summary>
    private ByteSet Loop(int state)
    {
        if (!_loops.TryGetValue(state, out ByteSet loop))
        {
            for (int value = 0; value < 256 && !states.Returns(state); value++)
            {
                if (states.Next(state, (byte)value) == state)
                {
                    loop.Add((byte)value);
                }
            }

            _loops.Add(state, loop);
        }

        return loop;
    }
}
