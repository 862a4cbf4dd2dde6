using System.Numerics;
using System.Runtime.InteropServices;
using Understory.Decoding.Constraints.Automata;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// Finds the tokens that may follow a state by walking the vocabulary's trie with it. What an automaton state allows whoever called its
/// rule is found once, together with the nodes of the trie where the rule ends; only below those does a state's own stack matter. Short
/// and long tokens are walked apart, so that states that only differ for long texts share what they allow of the short ones.
/// </summary>
internal sealed class MaskBuilder(MatchStates states, StateClasses alike, VocabularyTrie[] bands, VocabularyTrie? firstTrie, int vocabulary)
{
    /// <summary>With more ends than this in the trie, each state is walked for itself.</summary>
    private const int MaxEnds = 6_000;

    /// <summary>Bytes of what is kept of automaton states.</summary>
    private const int MaxBytes = 48 << 20;

    private readonly Dictionary<(int Band, int Class), Local> _locals = [];
    private readonly Dictionary<int, ByteSet> _loops = [];
    private readonly int[] _path = new int[Math.Max(bands.Max(band => band.LongestToken), firstTrie?.LongestToken ?? 0) + 1];

    /// <param name="Words">Tokens of the band that stay within the rule, or end with it.</param>
    /// <param name="Ends">Nodes of the trie at which the rule ends and further text follows; null: too many.</param>
    private sealed record Local(ulong[] Words, int[]? Ends);

    /// <summary>Words of a mask.</summary>
    public int Words { get; } = (vocabulary + 63) / 64;

    /// <summary>Sets the bits of all tokens that may follow; the others are left as they are.</summary>
    public void Fill(int state, ulong[] words)
    {
        if (state == states.Start && firstTrie is not null)
        {
            Walk(firstTrie, 0, firstTrie.Count, 0, state, words, null);
            return;
        }

        if ((long)_locals.Count * Words * sizeof(ulong) > MaxBytes)
        {
            _locals.Clear();
        }

        for (int i = 0; i < states.Configurations(state).Length; i += 2)
        {
            // Walking makes states, so spans are not held across it.
            int automatonState = states.Configurations(state)[i];
            int stacks = states.Configurations(state)[i + 1];
            for (int band = 0; band < bands.Length; band++)
            {
                Fill(band, automatonState, stacks, words);
            }
        }
    }

    private void Fill(int band, int automatonState, int stacks, ulong[] words)
    {
        VocabularyTrie trie = bands[band];
        Local local = LocalOf(band, automatonState);
        if (local.Ends is null)
        {
            Walk(trie, 0, trie.Count, 0, states.Alone(automatonState, stacks), words, null);
            return;
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

    private Local LocalOf(int band, int automatonState)
    {
        (int, int) key = (band, alike.Of(band, automatonState));
        if (!_locals.TryGetValue(key, out Local? local))
        {
            ulong[] words = new ulong[Words];
            var ends = new List<int>();
            Walk(bands[band], 0, bands[band].Count, 0, states.Alone(automatonState), words, ends);
            local = new Local(words, ends.Count > MaxEnds ? null : [.. ends]);
            _locals.Add(key, local);
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

    /// <summary>
    /// Bytes that lead from a state to itself. A state that may also return to an unknown caller has none: its ends must all be met.
    /// </summary>
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
