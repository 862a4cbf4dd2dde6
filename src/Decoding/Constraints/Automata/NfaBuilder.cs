using System.Runtime.CompilerServices;

namespace Understory.Decoding.Constraints.Automata;

/// <summary>A state of a nondeterministic automaton: a range of bytes, a call of a rule, or a split that takes no input.</summary>
internal struct NfaState
{
    /// <summary>Where a range or, after its rule has been matched, a call goes on.</summary>
    public int Next;

    /// <summary>Of a range; <c>First > Last</c>: none.</summary>
    public byte First;
    public byte Last;

    /// <summary>Of a range.</summary>
    public KeyMarks Marks;

    /// <summary>The rule that is called; null: none.</summary>
    public GrammarRule? Rule;

    /// <summary>States reached without input; null: none.</summary>
    public List<int>? Split;
}

/// <summary>
/// Builds states backwards: each part of a grammar is built for the state that follows it, so equal ends are shared. State 0 accepts.
/// Token ids stand in it as byte FF, which no text holds, and three bytes of the id.
/// </summary>
/// <param name="calls">Rules that become calls; the others are built in place.</param>
internal sealed class NfaBuilder(GrammarBudget budget, Func<GrammarRule, bool> calls)
{
    public const int Accept = 0;
    public const byte TokenMark = 0xFF;

    private readonly List<NfaState> _states = [new NfaState { First = 1 }];
    private readonly Dictionary<(Grammar Part, int Next, KeyMarks Marks), int> _built = [];
    private readonly Dictionary<(byte First, byte Last, int Next, KeyMarks Marks), int> _ranges = [];
    private readonly HashSet<GrammarRule> _open = [];

    /// <summary>Of the bytes that are being built.</summary>
    private KeyMarks _marks;

    public int Count => _states.Count;

    public NfaState this[int state] => _states[state];

    /// <summary>The bytes that stand for a token id.</summary>
    public static byte[] TokenBytes(int id) => [TokenMark, (byte)(id >> 16), (byte)(id >> 8), (byte)id];

    /// <summary>Builds <paramref name="part"/>, going on at <paramref name="next"/>; returns its first state.</summary>
    public int Build(Grammar part, int next)
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new GrammarException("", "The grammar is nested too deeply; flatten it, or move parts into rules.");
        }

        if (_built.TryGetValue((part, next, _marks), out int known))
        {
            return known;
        }

        budget.Work(4);
        int state = part switch
        {
            GrammarLiteral literal => BuildBytes(literal.Bytes, next),
            GrammarToken token => BuildBytes(TokenBytes(token.Id), next),
            GrammarClass set => BuildClass(set.Set, next),
            GrammarSequence sequence => BuildSequence(sequence, next),
            GrammarChoice choice => AddSplit([.. choice.Options.Select(option => Build(option, next))]),
            GrammarRepeat repeat => BuildRepeat(repeat, next),
            GrammarRule rule => BuildRule(rule, next),
            GrammarMarked marked => BuildMarked(marked, next),
            GrammarCombination combination => Embed(DfaProduct.Combine(combination, budget), next),
            _ => throw new InvalidOperationException($"Unknown part {part.GetType().Name}."),
        };
        _built.Add((part, next, _marks), state);
        return state;
    }

    private int BuildBytes(ReadOnlySpan<byte> bytes, int next)
    {
        for (int i = bytes.Length - 1; i >= 0; i--)
        {
            // Only keys have marks on all of their bytes.
            KeyMarks here = KeyMarks.Key | (i == 0 ? KeyMarks.KeyEnds : 0) | (i == bytes.Length - 1 ? KeyMarks.Opens | KeyMarks.Closes : 0);
            next = AddRange(bytes[i], bytes[i], next, _marks & here);
        }

        return next;
    }

    private int BuildClass(CodePointSet set, int next)
    {
        var options = new List<int>();
        foreach ((int first, int last) in set.Ranges)
        {
            Utf8Ranges.Split(first, last, ranges =>
            {
                int state = next;
                for (int i = ranges.Length - 1; i >= 0; i--)
                {
                    state = AddRange(ranges[i].First, ranges[i].Last, state, _marks);
                }

                options.Add(state);
            });
        }

        return AddSplit(options);
    }

    private int BuildSequence(GrammarSequence sequence, int next)
    {
        for (int i = sequence.Parts.Length - 1; i >= 0; i--)
        {
            next = Build(sequence.Parts[i], next);
        }

        return next;
    }

    private int BuildRepeat(GrammarRepeat repeat, int next)
    {
        int state;
        if (repeat.Max is int max)
        {
            // (x(x(x)?)?)?: whatever the count, one state more per possible repetition.
            state = next;
            for (int i = repeat.Min; i < max; i++)
            {
                state = AddSplit([Build(repeat.Body, state), next]);
            }
        }
        else
        {
            List<int> loop = [next];
            state = AddSplit(loop);
            loop.Add(Build(repeat.Body, state));
        }

        for (int i = 0; i < repeat.Min; i++)
        {
            budget.Work(1);
            state = Build(repeat.Body, state);
        }

        return state;
    }

    private int BuildRule(GrammarRule rule, int next)
    {
        if (rule.Body is null)
        {
            throw new GrammarException("", $"The rule '{rule.Name}' has no body.");
        }

        if (_marks == KeyMarks.None && calls(rule))
        {
            return Add(new NfaState { First = 1, Rule = rule, Next = next });
        }

        if (!_open.Add(rule))
        {
            throw new GrammarException("", $"The rule '{rule.Name}' refers to itself, where only a regular expression can stand (in an "
                + "intersection, a difference or the like).");
        }

        int state = Build(rule.Body, next);
        _open.Remove(rule);
        return state;
    }

    private int BuildMarked(GrammarMarked marked, int next)
    {
        KeyMarks around = _marks;
        _marks = marked.Marks;
        int state = Build(marked.Body, next);
        _marks = around;
        return state;
    }

    private int Embed(Dfa dfa, int next)
    {
        int[] states = [.. Enumerable.Range(0, dfa.Count).Select(_ => AddSplit([]))];
        for (int from = 0; from < dfa.Count; from++)
        {
            List<int> split = _states[states[from]].Split!;
            if (dfa.Accepts(from))
            {
                split.Add(next);
            }

            for (int first = 0; first < 256;)
            {
                int to = dfa.Next(from, (byte)first);
                int last = first;
                while (last < 255 && dfa.Next(from, (byte)(last + 1)) == to)
                {
                    last++;
                }

                if (to >= 0)
                {
                    split.Add(AddRange((byte)first, (byte)last, states[to], _marks));
                }

                first = last + 1;
            }
        }

        return states[0];
    }

    private int AddRange(byte first, byte last, int next, KeyMarks marks)
    {
        if (!_ranges.TryGetValue((first, last, next, marks), out int state))
        {
            state = Add(new NfaState { First = first, Last = last, Next = next, Marks = marks });
            _ranges.Add((first, last, next, marks), state);
        }

        return state;
    }

    private int AddSplit(List<int> states) => Add(new NfaState { First = 1, Split = states });

    private int Add(NfaState state)
    {
        budget.AddNfaState();
        budget.Work(4);
        _states.Add(state);
        return _states.Count - 1;
    }
}
