namespace Understory.Decoding.Constraints.Automata;

/// <summary>A deterministic automaton over bytes without calls; state 0 is its start, and each state leads to an accepting one.</summary>
/// <param name="classOf">The class of each byte.</param>
/// <param name="next"><c>[state, class]</c>; -1: nowhere.</param>
internal sealed class Dfa(byte[] classOf, int classes, int[] next, bool[] accepts)
{
    public int Count => accepts.Length;

    /// <summary>The class of each byte.</summary>
    public byte[] ClassOf => classOf;

    /// <summary>It accepts nothing.</summary>
    public bool IsEmpty => !accepts[0] && Array.TrueForAll(next[..classes], to => to < 0);

    public int Next(int state, byte value) => next[(state * classes) + classOf[value]];

    public bool Accepts(int state) => accepts[state];

    public bool Matches(ReadOnlySpan<byte> text)
    {
        int state = 0;
        for (int i = 0; i < text.Length && state >= 0; i++)
        {
            state = Next(state, text[i]);
        }

        return state >= 0 && Accepts(state);
    }

    /// <summary>The automaton of a grammar that is not recursive.</summary>
    /// <exception cref="GrammarException">It is recursive or too large.</exception>
    public static Dfa Of(Grammar grammar, GrammarBudget budget)
    {
        var nfa = new NfaBuilder(budget, _ => false);
        int start = nfa.Build(grammar, NfaBuilder.Accept);
        var determinizer = new Determinizer(nfa, budget);
        List<RuleState> states = determinizer.Run(start);
        int[] next = [.. states.SelectMany(state => state.Next)];
        return Trimmed(determinizer.ClassOf, determinizer.ClassCount, next, [.. states.Select(state => state.Accepts)]);
    }

    /// <summary>Cuts transitions into states from which nothing is accepted.</summary>
    public static Dfa Trimmed(byte[] classOf, int classes, int[] next, bool[] accepts)
    {
        var into = new List<int>[accepts.Length];
        for (int state = 0; state < accepts.Length; state++)
        {
            into[state] = [];
        }

        for (int i = 0; i < next.Length; i++)
        {
            if (next[i] >= 0)
            {
                into[next[i]].Add(i / classes);
            }
        }

        var live = new bool[accepts.Length];
        var open = new Stack<int>(Enumerable.Range(0, accepts.Length).Where(state => accepts[state]));
        while (open.TryPop(out int state))
        {
            if (!live[state])
            {
                live[state] = true;
                into[state].ForEach(open.Push);
            }
        }

        for (int i = 0; i < next.Length; i++)
        {
            if (next[i] >= 0 && !live[next[i]])
            {
                next[i] = -1;
            }
        }

        return new Dfa(classOf, classes, next, accepts);
    }
}
