namespace Understory.Decoding.Constraints.Automata;

/// <summary>A state of the deterministic automaton of one rule: where each class of bytes and each called rule leads.</summary>
internal sealed class RuleState(int classes)
{
    /// <summary>By byte class; -1: nowhere.</summary>
    public int[] Next { get; } = NoTransitions(classes);

    public List<(GrammarRule Rule, int Return)> Calls { get; } = [];

    public bool Accepts { get; set; }

    /// <summary>Of each class; null: none has any.</summary>
    public KeyMarks[]? Marks { get; private set; }

    public void Mark(int byteClass, KeyMarks marks) => (Marks ??= new KeyMarks[Next.Length])[byteClass] |= marks;

    private static int[] NoTransitions(int classes)
    {
        int[] next = new int[classes];
        Array.Fill(next, -1);
        return next;
    }
}

/// <summary>The subset construction, with calls of rules as further letters of the alphabet.</summary>
internal sealed class Determinizer
{
    private readonly NfaBuilder _nfa;
    private readonly GrammarBudget _budget;
    private readonly byte[] _classFirst;
    private readonly List<int>[] _targets;
    private readonly int[] _marks;
    private int _mark;

    /// <param name="nfa">Complete: nothing is added to it from here on.</param>
    public Determinizer(NfaBuilder nfa, GrammarBudget budget)
    {
        _nfa = nfa;
        _budget = budget;
        (ClassOf, _classFirst) = Classes(nfa);
        _targets = [.. _classFirst.Select(_ => new List<int>())];
        _marks = new int[nfa.Count];
    }

    /// <summary>Bytes that no range tells apart have one class.</summary>
    public byte[] ClassOf { get; }

    public int ClassCount => _classFirst.Length;

    /// <summary>The states that <paramref name="start"/> leads to; the first one is it itself.</summary>
    public List<RuleState> Run(int start)
    {
        var states = new List<RuleState>();
        var sets = new List<int[]>();
        var known = new Dictionary<int[], int>(IntArrayComparer.Instance);
        int StateOf(List<int> seeds)
        {
            int[] set = Closure(seeds);
            if (!known.TryGetValue(set, out int state))
            {
                _budget.AddState();
                _budget.Work(ClassCount);
                state = states.Count;
                known.Add(set, state);
                sets.Add(set);
                states.Add(new RuleState(ClassCount));
            }

            return state;
        }

        StateOf([start]);
        for (int s = 0; s < sets.Count; s++)
        {
            var calls = new Dictionary<GrammarRule, List<int>>();
            foreach (int item in sets[s])
            {
                NfaState nfa = _nfa[item];
                if (item == NfaBuilder.Accept)
                {
                    states[s].Accepts = true;
                }
                else if (nfa.Rule is { } rule)
                {
                    (calls.TryGetValue(rule, out List<int>? returns) ? returns : calls[rule] = []).Add(nfa.Next);
                }
                else
                {
                    int last = ClassOf[nfa.Last];
                    _budget.Work(last - ClassOf[nfa.First] + 1);
                    for (int c = ClassOf[nfa.First]; c <= last; c++)
                    {
                        _targets[c].Add(nfa.Next);
                        if (nfa.Marks != KeyMarks.None)
                        {
                            states[s].Mark(c, nfa.Marks);
                        }
                    }
                }
            }

            foreach ((GrammarRule rule, List<int> returns) in calls)
            {
                states[s].Calls.Add((rule, StateOf(returns)));
            }

            for (int c = 0; c < ClassCount; c++)
            {
                if (_targets[c].Count > 0)
                {
                    // Neighbouring classes mostly lead to the same place.
                    bool same = c > 0 && _targets[c].SequenceEqual(_targets[c - 1]);
                    states[s].Next[c] = same ? states[s].Next[c - 1] : StateOf(_targets[c]);
                }

                if (c > 0)
                {
                    _targets[c - 1].Clear();
                }
            }

            _targets[^1].Clear();
        }

        return states;
    }

    /// <summary>States with input, calls and acceptance that are reached without input, sorted.</summary>
    private int[] Closure(List<int> seeds)
    {
        _mark++;
        var found = new List<int>();
        var open = new Stack<int>();
        foreach (int seed in seeds)
        {
            open.Push(seed);
        }

        while (open.TryPop(out int state))
        {
            if (_marks[state] == _mark)
            {
                continue;
            }

            _marks[state] = _mark;
            if (_nfa[state].Split is { } split)
            {
                foreach (int next in split)
                {
                    open.Push(next);
                }

                _budget.Work(split.Count);
            }
            else
            {
                found.Add(state);
            }
        }

        _budget.Work(2 + found.Count);
        found.Sort();
        return [.. found];
    }

    private static (byte[] ClassOf, byte[] ClassFirst) Classes(NfaBuilder nfa)
    {
        var begins = new bool[257];
        begins[0] = true;
        for (int i = 0; i < nfa.Count; i++)
        {
            NfaState state = nfa[i];
            if (state.First <= state.Last)
            {
                begins[state.First] = begins[state.Last + 1] = true;
            }
        }

        byte[] classOf = new byte[256];
        var first = new List<byte>();
        for (int value = 0; value < 256; value++)
        {
            if (begins[value])
            {
                first.Add((byte)value);
            }

            classOf[value] = (byte)(first.Count - 1);
        }

        return (classOf, [.. first]);
    }
}

/// <summary>Arrays of equal numbers are equal.</summary>
internal sealed class IntArrayComparer : IEqualityComparer<int[]>
{
    public static IntArrayComparer Instance { get; } = new();

    public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

    public int GetHashCode(int[] obj)
    {
        ulong hash = (ulong)obj.Length;
        foreach (int value in obj)
        {
            hash = (hash ^ (uint)value) * 0x9E3779B97F4A7C15;
            hash ^= hash >> 29;
        }

        return (int)hash;
    }
}
