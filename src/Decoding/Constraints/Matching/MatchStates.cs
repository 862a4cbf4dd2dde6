using Understory.Decoding.Constraints.Automata;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// Where a text may stand in a grammar, hash-consed: a state is a set of automaton states, each with its set of call stacks, and equal
/// ones have one number. States never change, so the nodes of a tree share them; transitions are found once. Made as they are met; used
/// from one thread.
/// </summary>
internal sealed class MatchStates
{
    /// <summary>No text of the grammar begins so.</summary>
    public const int Dead = -1;

    private const int NotKnown = -2;
    private const int AcceptsFlag = 1;
    private const int ReturnsFlag = 2;
    private const int FirstFlag = 4;

    /// <summary>Ways through an ambiguous grammar that are followed side by side.</summary>
    private const int MaxConfigurations = 20_000;

    private readonly GrammarAutomaton _automaton;
    private readonly StackTable _stacks;
    private readonly List<int[]> _keys = [];
    private readonly List<int[]?> _next = [];
    private readonly Dictionary<int[], int> _known = new(IntArrayComparer.Instance);
    private readonly Dictionary<int, int> _afterReturn = [];
    private readonly Dictionary<int, int> _closure = [];
    private readonly Stack<(int State, int Stacks)> _open = new();
    private readonly int[] _classSize;

    public MatchStates(GrammarAutomaton automaton)
    {
        _automaton = automaton;
        _stacks = new StackTable(automaton);
        _classSize = new int[automaton.Classes];
        foreach (byte c in automaton.ClassOf)
        {
            _classSize[c]++;
        }

        _open.Push((GrammarAutomaton.Start, StackTable.Bottom));
        Start = Close(FirstFlag);
    }

    /// <summary>Before any text. Never met again, so that what holds for first tokens alone can be held against it.</summary>
    public int Start { get; }

    public int Count => _keys.Count;

    /// <summary>The text may end here.</summary>
    public bool Accepts(int state) => (_keys[state][0] & AcceptsFlag) != 0;

    /// <summary>A rule that was followed without its caller has ended here.</summary>
    public bool Returns(int state) => (_keys[state][0] & ReturnsFlag) != 0;

    /// <summary>More text may follow.</summary>
    public bool Continues(int state) => _keys[state].Length > 1;

    /// <summary>Automaton states with their stacks, in pairs.</summary>
    public ReadOnlySpan<int> Configurations(int state) => _keys[state].AsSpan(1);

    /// <summary>The state after one more byte, or <see cref="Dead"/>.</summary>
    public int Next(int state, byte value)
    {
        int c = _automaton.ClassOf[value];
        int[]? row = _next[state];
        if (row is null)
        {
            row = _next[state] = new int[_automaton.Classes];
            Array.Fill(row, NotKnown);
        }

        return row[c] != NotKnown ? row[c] : row[c] = Advance(state, c);
    }

    /// <summary>What one more byte means for the keys of objects: the same in all ways through the grammar that it leaves open.</summary>
    public KeyMarks Marks(int state, byte value)
    {
        int c = _automaton.ClassOf[value];
        KeyMarks marks = KeyMarks.None;
        ReadOnlySpan<int> configurations = Configurations(state);
        for (int i = 0; i < configurations.Length; i += 2)
        {
            marks |= _automaton.Next(configurations[i], c) >= 0 ? _automaton.Marks(configurations[i], c) : KeyMarks.None;
        }

        return marks;
    }

    /// <summary>One automaton state whose caller is not known, not yet having called anything.</summary>
    public int Alone(int automatonState) => Intern([0, automatonState, StackTable.Unknown]);

    /// <summary>One automaton state and its stacks, not yet having called anything.</summary>
    public int Alone(int automatonState, int stacks) => Intern([0, automatonState, stacks]);

    /// <summary>Where a rule's end leads to.</summary>
    public int AfterReturn(int stacks)
    {
        if (!_afterReturn.TryGetValue(stacks, out int state))
        {
            PushReturns(stacks, out int flags);
            state = Close(flags);
            _afterReturn.Add(stacks, state);
        }

        return state;
    }

    /// <summary>The only byte that may follow; -1 where several may, or none, or the text may end.</summary>
    public int OnlyByte(int state)
    {
        if (Accepts(state))
        {
            return -1;
        }

        int only = -1;
        ReadOnlySpan<int> configurations = Configurations(state);
        for (int i = 0; i < configurations.Length; i += 2)
        {
            for (int c = 0; c < _automaton.Classes; c++)
            {
                if (c != only && _automaton.Next(configurations[i], c) >= 0)
                {
                    if (only >= 0 || _classSize[c] > 1)
                    {
                        return -1;
                    }

                    only = c;
                }
            }
        }

        return only < 0 ? -1 : Array.IndexOf(_automaton.ClassOf, (byte)only);
    }

    private int Advance(int state, int c)
    {
        ReadOnlySpan<int> configurations = Configurations(state);
        for (int i = 0; i < configurations.Length; i += 2)
        {
            int to = _automaton.Next(configurations[i], c);
            if (to >= 0)
            {
                _open.Push((to, configurations[i + 1]));
            }
        }

        return _open.Count == 0 ? Dead : Close(0);
    }

    /// <summary>Follows calls and returns from what is open.</summary>
    private int Close(int flags)
    {
        _closure.Clear();
        while (_open.TryPop(out (int State, int Stacks) at))
        {
            int stacks = at.Stacks;
            if (_closure.TryGetValue(at.State, out int before))
            {
                stacks = _stacks.Union(before, stacks);
                if (stacks == before)
                {
                    continue;
                }
            }

            _closure[at.State] = stacks;
            if (_closure.Count > MaxConfigurations)
            {
                _open.Clear();
                throw new GrammarException("", $"The grammar is too ambiguous: more than {MaxConfigurations} ways through it are open at "
                    + "once; make its alternatives differ earlier.");
            }

            foreach ((int start, int back) in _automaton.Calls(at.State))
            {
                _open.Push((start, _stacks.Push(back, stacks)));
            }

            if (_automaton.Accepts(at.State))
            {
                PushReturns(stacks, out int more);
                flags |= more;
            }
        }

        return Intern(Key(flags));
    }

    private void PushReturns(int stacks, out int flags)
    {
        flags = 0;
        ReadOnlySpan<int> frames = _stacks.Frames(stacks);
        for (int i = 0; i < frames.Length; i += 2)
        {
            if (frames[i] >= 0)
            {
                _open.Push((frames[i], frames[i + 1]));
            }
            else
            {
                flags |= frames[i] == StackTable.ReturnsToEnd ? AcceptsFlag : ReturnsFlag;
            }
        }
    }

    /// <summary>Flags, then the states that take input, sorted, with their stacks.</summary>
    private int[] Key(int flags)
    {
        int count = 0;
        foreach (int state in _closure.Keys)
        {
            count += TakesInput(state) ? 1 : 0;
        }

        int[] states = new int[count];
        count = 0;
        foreach (int state in _closure.Keys)
        {
            if (TakesInput(state))
            {
                states[count++] = state;
            }
        }

        Array.Sort(states);
        int[] key = new int[1 + (2 * count)];
        key[0] = flags;
        for (int i = 0; i < count; i++)
        {
            key[1 + (2 * i)] = states[i];
            key[2 + (2 * i)] = _closure[states[i]];
        }

        return key;
    }

    private bool TakesInput(int state) => _automaton.TakesInput(state);

    private int Intern(int[] key)
    {
        if (!_known.TryGetValue(key, out int state))
        {
            state = _keys.Count;
            _keys.Add(key);
            _next.Add(null);
            _known.Add(key, state);
        }

        return state;
    }
}
