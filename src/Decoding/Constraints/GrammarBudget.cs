namespace Understory.Decoding.Constraints.Automata;

/// <summary>What compiling one grammar may cost; hostile input ends in a clear error instead of using up the machine.</summary>
internal sealed class GrammarBudget
{
    public const int MaxNfaStates = 400_000;
    public const int MaxStates = 60_000;
    public const long MaxTransitions = 12_000_000;
    private const long MaxWork = 60_000_000;

    private long _work;
    private int _nfaStates;
    private int _states;

    /// <summary>A unit of work is some ten nanoseconds.</summary>
    public void Work(long units)
    {
        _work += units;
        if (_work > MaxWork)
        {
            throw new GrammarException("", $"The grammar is too complex: building its automaton takes more than {MaxWork} steps; use "
                + "smaller repetition counts, fewer alternatives or shorter enumerations.");
        }
    }

    public void AddNfaState()
    {
        if (++_nfaStates > MaxNfaStates)
        {
            throw new GrammarException("",
                $"The grammar is too large: more than {MaxNfaStates} states; use smaller repetition counts or fewer alternatives.");
        }
    }

    public void AddState()
    {
        if (++_states > MaxStates)
        {
            throw new GrammarException("", $"The grammar is too large: its automaton has more than {MaxStates} states; use smaller "
                + "repetition counts, or alternatives that differ at their beginnings.");
        }
    }
}
