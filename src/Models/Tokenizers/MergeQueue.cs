namespace Understory.Models.Tokenizers;

/// <summary>
/// Pairs that wait to be merged, by rank and then by place in the word: a list for each rank, and a stack for the rank at hand.
/// Cheaper than a heap, since most pairs of a rank come in order. Empty between words; its memory stays.
/// </summary>
/// <param name="ranks">Ranks are less than this.</param>
internal sealed class MergeQueue(int ranks)
{
    private const int KeptEntries = 1 << 16;

    private readonly int[] _lastOfRank = new int[ranks];     // index + 1 into _entries of the one added last; 0: none
    private readonly RankSet _waiting = new(ranks);           // ranks with a list
    private (int Place, int Before)[] _entries = new (int, int)[64];
    private int _entryCount;
    private ulong[] _stack = new ulong[64];                   // rank and place, the least on top
    private int _stackCount;

    /// <summary>Adds the pair at <paramref name="place"/>.</summary>
    public void Push(int rank, int place)
    {
        // What a merge makes stands at or before it: it may go straight onto the stack of its own rank.
        ulong entry = ((ulong)(uint)rank << 32) | (uint)place;
        if (_stackCount > 0 && (int)(_stack[_stackCount - 1] >> 32) == rank && entry < _stack[_stackCount - 1])
        {
            PushOnStack(entry);
            return;
        }

        if (_entryCount == _entries.Length)
        {
            Array.Resize(ref _entries, _entryCount * 2);
        }

        _entries[_entryCount++] = (place, _lastOfRank[rank]);
        if (_lastOfRank[rank] == 0)
        {
            _waiting.Add(rank);
        }

        _lastOfRank[rank] = _entryCount;
    }

    /// <summary>Takes the pair of lowest rank, the leftmost of equal rank. False if there is none.</summary>
    public bool TryPop(out int rank, out int place)
    {
        int waiting = _waiting.Least;
        if (waiting >= 0 && (_stackCount == 0 || waiting <= (int)(_stack[_stackCount - 1] >> 32)))
        {
            MoveToStack(waiting);
        }

        if (_stackCount == 0)
        {
            _entryCount = 0;
            (rank, place) = (-1, -1);
            if (_entries.Length > KeptEntries)
            {
                _entries = new (int, int)[64];
                _stack = new ulong[64];
            }

            return false;
        }

        ulong least = _stack[--_stackCount];
        (rank, place) = ((int)(least >> 32), (int)least);
        return true;
    }

    /// <summary>The place that will come <paramref name="ahead"/> pops later, as far as is known.</summary>
    public bool TryPeek(int ahead, out int place)
    {
        bool isKnown = _stackCount > ahead;
        place = isKnown ? (int)_stack[_stackCount - 1 - ahead] : -1;
        return isKnown;
    }

    private void MoveToStack(int rank)
    {
        int first = _stackCount;
        while (first > 0 && (int)(_stack[first - 1] >> 32) == rank)
        {
            first--;
        }

        // From the last one added to the first: usually from right to left, as the stack wants it.
        bool isOrdered = first == _stackCount;
        for (int index = _lastOfRank[rank]; index != 0; index = _entries[index - 1].Before)
        {
            ulong entry = ((ulong)(uint)rank << 32) | (uint)_entries[index - 1].Place;
            isOrdered &= _stackCount == first || entry <= _stack[_stackCount - 1];
            PushOnStack(entry);
        }

        _lastOfRank[rank] = 0;
        _waiting.Remove(rank);
        if (!isOrdered)
        {
            Span<ulong> entries = _stack.AsSpan(first, _stackCount - first);
            entries.Sort();
            entries.Reverse();
        }
    }

    private void PushOnStack(ulong entry)
    {
        if (_stackCount == _stack.Length)
        {
            Array.Resize(ref _stack, _stackCount * 2);
        }

        _stack[_stackCount++] = entry;
    }
}
