using System.Buffers;

namespace Understory.Models.Tokenizers;

/// <summary>A minimum queue of 64-bit entries: a heap with four children a node, in a pooled array.</summary>
internal struct MergeQueue(int capacity) : IDisposable
{
    private const int Children = 4;

    private ulong[] _entries = ArrayPool<ulong>.Shared.Rent(Math.Max(capacity, 16));
    private int _count = 0;

    /// <summary>Adds without keeping order; call <see cref="Order"/> before the first <see cref="TryPop"/>.</summary>
    public void Append(ulong entry)
    {
        if (_count == _entries.Length)
        {
            ulong[] larger = ArrayPool<ulong>.Shared.Rent(_count * 2);
            _entries.CopyTo(larger, 0);
            ArrayPool<ulong>.Shared.Return(_entries);
            _entries = larger;
        }

        _entries[_count++] = entry;
    }

    public readonly void Order()
    {
        for (int node = (_count - 2) / Children; node >= 0 && _count > 1; node--)
        {
            SiftDown(node, _entries[node]);
        }
    }

    public void Push(ulong entry)
    {
        Append(entry);
        int node = _count - 1;
        while (node > 0)
        {
            int parent = (node - 1) / Children;
            if (_entries[parent] <= entry)
            {
                break;
            }

            _entries[node] = _entries[parent];
            node = parent;
        }

        _entries[node] = entry;
    }

    public bool TryPop(out ulong least)
    {
        if (_count == 0)
        {
            least = 0;
            return false;
        }

        least = _entries[0];
        _count--;
        if (_count > 0)
        {
            SiftDown(0, _entries[_count]);
        }

        return true;
    }

    public readonly void Dispose() => ArrayPool<ulong>.Shared.Return(_entries);

    private readonly void SiftDown(int node, ulong entry)
    {
        Span<ulong> entries = _entries.AsSpan(0, _count);
        for (int child = (node * Children) + 1; child < entries.Length; child = (node * Children) + 1)
        {
            int least = child;
            int end = Math.Min(child + Children, entries.Length);
            for (int other = child + 1; other < end; other++)
            {
                if (entries[other] < entries[least])
                {
                    least = other;
                }
            }

            if (entries[least] >= entry)
            {
                break;
            }

            entries[node] = entries[least];
            node = least;
        }

        entries[node] = entry;
    }
}
