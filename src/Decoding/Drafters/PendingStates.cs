namespace Understory.Decoding.Drafters;

/// <summary>
/// A target's states, of one sequence, that a drafter has yet to take in: those of consecutive positions, and of a few earlier ones behind
/// which a later prompt may go on otherwise.
/// </summary>
/// <param name="size">Numbers of a state.</param>
/// <param name="capacity">Most consecutive states.</param>
public sealed class PendingStates(int size, int capacity)
{
    /// <summary>Chosen: as many as recurrent layers keep at most.</summary>
    private const int MostRemembered = 16;

    private readonly float[] _states = new float[size * capacity];
    private readonly List<(int Position, float[] State)> _remembered = [];

    /// <summary>Position of the first state that is held.</summary>
    public int First { get; private set; }

    public int Count { get; private set; }

    public bool IsFull => Count == capacity;

    /// <summary>Bytes held, but for what is remembered.</summary>
    public long Bytes => (long)_states.Length * sizeof(float);

    /// <summary>The next state. Where it does not follow the last one, that and all before it are dropped.</summary>
    public void Add(int position, ReadOnlySpan<float> state)
    {
        if (position != First + Count)
        {
            (First, Count) = (position, 0);
        }

        state[..size].CopyTo(_states.AsSpan(Count++ * size));
    }

    /// <summary>The state at a position; empty: it is not held.</summary>
    public ReadOnlySpan<float> At(int position)
    {
        if (position >= First && position < First + Count)
        {
            return _states.AsSpan((position - First) * size, size);
        }

        foreach ((int remembered, float[] state) in _remembered)
        {
            if (remembered == position)
            {
                return state;
            }
        }

        return [];
    }

    /// <summary>Drops the consecutive states before a position.</summary>
    public void DropBefore(int position)
    {
        int gone = Math.Clamp(position - First, 0, Count);
        _states.AsSpan(gone * size, (Count - gone) * size).CopyTo(_states);
        First += gone;
        Count -= gone;
    }

    /// <summary>Keeps the last state for prompts that go on behind it.</summary>
    public void Remember()
    {
        int position = First + Count - 1;
        if (Count == 0 || _remembered.Exists(one => one.Position == position))
        {
            return;
        }

        if (_remembered.Count == MostRemembered)
        {
            _remembered.RemoveAt(0);
        }

        _remembered.Add((position, At(position).ToArray()));
    }

    /// <summary>Keeps those of the first so many positions.</summary>
    public void Truncate(int positions)
    {
        Count = Math.Clamp(positions - First, 0, Count);
        _ = _remembered.RemoveAll(one => one.Position >= positions);
    }

    /// <summary>Takes over what another holds of the first so many positions.</summary>
    public void CopyFrom(PendingStates source, int positions)
    {
        (First, Count) = (source.First, source.Count);
        source._states.AsSpan(0, Count * size).CopyTo(_states);
        _remembered.Clear();
        _remembered.AddRange(source._remembered);
        Truncate(positions);
    }
}
