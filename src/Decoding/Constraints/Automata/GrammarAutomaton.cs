namespace Understory.Decoding.Constraints.Automata;

/// <summary>
/// A compiled grammar: one deterministic automaton over bytes per recursive or large rule, which may call each other. Immutable.
/// From every state some text leads to the end of its rule, so a text that has not failed can always be completed.
/// </summary>
internal sealed class GrammarAutomaton
{
    private const int InlineSize = 24;

    private readonly int[] _next;
    private readonly bool[] _accepts;
    private readonly int[] _firstCall;
    private readonly (int Start, int Return)[] _calls;
    private readonly bool[] _isEnd;
    private readonly bool[] _takesInput;
    private readonly Lazy<StateClasses> _alike;

    /// <summary>Of each state; null: it has none.</summary>
    private readonly KeyMarks[]?[] _marks;

    private GrammarAutomaton(byte[] classOf, int classes, List<RuleState> states, Dictionary<GrammarRule, int> starts)
    {
        ClassOf = classOf;
        Classes = classes;
        _next = [.. states.SelectMany(state => state.Next)];
        _accepts = [.. states.Select(state => state.Accepts)];
        _firstCall = new int[states.Count + 1];
        var calls = new List<(int, int)>();
        for (int s = 0; s < states.Count; s++)
        {
            calls.AddRange(states[s].Calls.Select(call => (starts[call.Rule], call.Return)));
            _firstCall[s + 1] = calls.Count;
        }

        _calls = [.. calls];
        _takesInput = [.. states.Select(state => Array.Exists(state.Next, to => to >= 0))];
        _alike = new Lazy<StateClasses>(() => new StateClasses(this));
        _marks = [.. states.Select(state => state.Marks)];
        bool[] ends = new bool[classes];
        for (int s = 0; s < states.Count; s++)
        {
            for (int c = 0; _marks[s] is { } marks && c < classes; c++)
            {
                ends[c] |= (marks[c] & KeyMarks.KeyEnds) != 0;
            }
        }

        KeyEnds = [.. Enumerable.Range(0, 256).Where(value => ends[classOf[value]]).Select(value => (byte)value)];
        _isEnd = [.. states.Select(state => state.Accepts && state.Calls.Count == 0 && Array.TrueForAll(state.Next, to => to < 0))];
    }

    /// <summary>Bytes that no rule tells apart have one class.</summary>
    public byte[] ClassOf { get; }

    public int Classes { get; }

    public int Count => _accepts.Length;

    /// <summary>Bytes that end keys which must differ; empty: no text holds such keys.</summary>
    public byte[] KeyEnds { get; }

    /// <summary>The first state of the whole.</summary>
    public static int Start => 0;

    /// <summary>Which states allow the same short texts.</summary>
    public StateClasses Alike => _alike.Value;

    /// <summary>-1: nowhere.</summary>
    public int Next(int state, int byteClass) => _next[(state * Classes) + byteClass];

    /// <summary>What bytes of a class mean for the keys of objects.</summary>
    public KeyMarks Marks(int state, int byteClass) => _marks[state] is { } marks ? marks[byteClass] : KeyMarks.None;

    /// <summary>Some byte leads on from here.</summary>
    public bool TakesInput(int state) => _takesInput[state];

    /// <summary>The rule may end here.</summary>
    public bool Accepts(int state) => _accepts[state];

    /// <summary>The rule can do nothing but end here.</summary>
    public bool IsEnd(int state) => _isEnd[state];

    /// <summary>Rules that may be called here: their first states, and where they return to.</summary>
    public ReadOnlySpan<(int Start, int Return)> Calls(int state) => _calls.AsSpan(_firstCall[state].._firstCall[state + 1]);

    /// <exception cref="GrammarException">It is left-recursive, too large, or allows no text.</exception>
    public static GrammarAutomaton Compile(Grammar grammar, GrammarBudget budget)
    {
        var shape = new GrammarShape(grammar, budget);
        var nfa = new NfaBuilder(budget, rule => shape.IsRecursive(rule) || shape.Size(rule) > InlineSize);

        // Bodies are built until no new rule is called; the classes of bytes are then known.
        GrammarRule root = Grammar.Rule("the whole grammar", grammar);
        var entries = new List<(GrammarRule Rule, int Entry)> { (root, nfa.Build(grammar, NfaBuilder.Accept)) };
        var seen = new HashSet<GrammarRule> { root };
        for (int i = 0, state = 0; i < entries.Count; i++)
        {
            for (; state < nfa.Count; state++)
            {
                if (nfa[state].Rule is { } rule && seen.Add(rule))
                {
                    budget.At = Place(rule);
                    entries.Add((rule, nfa.Build(rule.Body, NfaBuilder.Accept)));
                }
            }
        }

        var determinizer = new Determinizer(nfa, budget);
        var states = new List<RuleState>();
        var starts = new Dictionary<GrammarRule, int>();
        foreach ((GrammarRule rule, int entry) in entries)
        {
            int first = states.Count;
            starts.Add(rule, first);
            budget.At = Place(rule);
            foreach (RuleState state in determinizer.Run(entry))
            {
                Shift(state, first);
                states.Add(state);
            }

            if ((long)states.Count * determinizer.ClassCount > GrammarBudget.MaxTransitions)
            {
                throw new GrammarException(budget.At,
                    $"The grammar is too large: its automaton has more than {GrammarBudget.MaxTransitions} "
                    + "transitions; use smaller repetition counts or fewer alternatives.");
            }
        }

        budget.At = "";
        AutomatonTrimmer.Trim(states, starts, root);
        LeftRecursion.Refuse(states, starts);
        return new GrammarAutomaton(determinizer.ClassOf, determinizer.ClassCount, states, starts);
    }

    /// <summary>Rules of a schema have its paths as names.</summary>
    private static string Place(GrammarRule rule) => rule.Name.StartsWith('#') ? rule.Name : "";

    /// <summary>States of a rule are numbered from <paramref name="first"/> on.</summary>
    private static void Shift(RuleState state, int first)
    {
        for (int c = 0; c < state.Next.Length; c++)
        {
            state.Next[c] += state.Next[c] >= 0 ? first : 0;
        }

        for (int i = 0; i < state.Calls.Count; i++)
        {
            state.Calls[i] = state.Calls[i] with { Return = state.Calls[i].Return + first };
        }
    }
}
