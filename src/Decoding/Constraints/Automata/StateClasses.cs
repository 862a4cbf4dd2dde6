namespace Understory.Decoding.Constraints.Automata;

/// <summary>
/// States of an automaton that no text of a given length tells apart. Within a long counted repetition nearly all states are alike for
/// nearly all tokens, which are short: what one allows, all allow. Refined as Moore minimises automata, one byte a round.
/// </summary>
internal sealed class StateClasses
{
    private const long MaxWork = 40_000_000;

    private readonly int[][] _classes;

    public StateClasses(GrammarAutomaton automaton)
    {
        _classes = new int[Bounds.Length][];
        int[] classes = new int[automaton.Count];
        int count = 0;
        var known = new Dictionary<ulong, int>();
        long work = 0;
        int round = 0;
        bool stable = false;
        for (int band = 0; band < Bounds.Length; band++)
        {
            if (Bounds[band] == int.MaxValue)
            {
                break;
            }

            for (; round <= Bounds[band] && !stable; round++)
            {
                work += (long)automaton.Count * automaton.Classes;
                if (work > MaxWork)
                {
                    break;
                }

                known.Clear();
                int[] refined = new int[automaton.Count];
                for (int state = 0; state < refined.Length; state++)
                {
                    ulong signature = Signature(automaton, state, classes, round);
                    if (!known.TryGetValue(signature, out refined[state]))
                    {
                        refined[state] = known.Count;
                        known.Add(signature, known.Count);
                    }
                }

                stable = round > 0 && known.Count == count;
                count = known.Count;
                classes = refined;
            }

            // Cut short, states of this band are alike only to themselves.
            _classes[band] = stable || round > Bounds[band] ? classes : [.. Enumerable.Range(0, automaton.Count)];
        }
    }

    /// <summary>Bytes of the longest token of each band.</summary>
    public static int[] Bounds { get; } = [3, 6, 10, 16, 32, int.MaxValue];

    /// <summary>States with equal numbers allow the same texts up to the band's bound.</summary>
    public int Of(int band, int state) => Bounds[band] == int.MaxValue ? state : _classes[band][state];

    /// <summary>A hash of 64 bits: two that differ agree in it once in some thousand million million grammars.</summary>
    private static ulong Signature(GrammarAutomaton automaton, int state, int[] classes, int round)
    {
        ulong hash = automaton.Accepts(state) ? 7UL : 3;
        foreach ((int start, int back) in automaton.Calls(state))
        {
            hash = Mix(Mix(hash, (ulong)start + 1), (ulong)back + 1);
        }

        hash = Mix(hash, round == 0 ? 0 : (ulong)classes[state] + 1);
        for (int c = 0; c < automaton.Classes; c++)
        {
            int next = automaton.Next(state, c);
            if (next >= 0)
            {
                hash = Mix(hash, ((ulong)c << 32) | (round == 0 ? 1 : (ulong)classes[next] + 2));
            }
        }

        return hash;
    }

    private static ulong Mix(ulong hash, ulong value)
    {
        hash = (hash ^ value) * 0x9E3779B97F4A7C15;
        return hash ^ (hash >> 31);
    }
}
