namespace Understory.Decoding.Constraints;

/// <summary>
/// What making one constraint may cost, from reading its schema to its automaton: hostile input ends in a clear error, within a second,
/// instead of using up the machine. Counted, not timed: the same grammar is refused everywhere or nowhere.
/// </summary>
/// <param name="cancellation">Ends the work as soon as nobody waits for it.</param>
public sealed class GrammarBudget(CancellationToken cancellation = default)
{
    internal const int MaxNfaStates = 400_000;
    internal const int MaxStates = 60_000;
    internal const long MaxTransitions = 12_000_000;
    private const long MaxWork = 60_000_000;
    private const long LooksEvery = 1 << 17;

    private long _work;
    private long _nextLook = LooksEvery;
    private int _nfaStates;
    private int _states;

    /// <summary>What is being built, as errors name it: a JSON pointer into a schema; "" for the whole.</summary>
    internal string At { get; set; } = "";

    /// <summary>Units of work so far.</summary>
    internal long Done => _work;

    /// <summary>What may be used up before the work is refused.</summary>
    internal long Most { get; init; } = MaxWork;

    /// <summary>A unit of work is some fifteen nanoseconds.</summary>
    internal void Work(long units)
    {
        _work += units;
        if (_work >= _nextLook)
        {
            Look();
        }
    }

    internal void AddNfaState()
    {
        if (++_nfaStates > MaxNfaStates)
        {
            throw new GrammarException(At,
                $"The grammar is too large: more than {MaxNfaStates} states; use smaller repetition counts or fewer alternatives.");
        }
    }

    internal void AddState()
    {
        if (++_states > MaxStates)
        {
            throw new GrammarException(At, $"The grammar is too large: its automaton has more than {MaxStates} states; use smaller "
                + "repetition counts, or alternatives that differ at their beginnings.");
        }
    }

    private void Look()
    {
        cancellation.ThrowIfCancellationRequested();
        _nextLook = Math.Min(_work + LooksEvery, Most + 1);
        if (_work > Most)
        {
            throw new GrammarException(At, $"The grammar is too complex: building its automaton takes more than {Most} steps; use "
                + "smaller repetition counts, fewer alternatives or shorter enumerations.");
        }
    }
}
