using System.Numerics;
using System.Runtime.CompilerServices;

namespace Understory.Models.Tokenizers;

/// <summary>
/// The merges of a byte-pair encoding: a pair of neighbouring tokens, the rank of their merge (lowest first), and the token made.
/// </summary>
internal sealed class MergeTable
{
    /// <summary>What <see cref="Find"/> gives for a pair that does not merge: later than any rank.</summary>
    public const ulong None = ulong.MaxValue;

    private readonly Slot[] _slots;
    private readonly int _shift;

    /// <param name="capacity">How many merges will be added at most.</param>
    public MergeTable(int capacity)
    {
        int bits = Math.Max(4, BitOperations.Log2((uint)(capacity + (capacity / 2) + 1)) + 1);
        _slots = new Slot[1 << bits];
        _shift = 64 - bits;
    }

    /// <summary>Highest rank + 1.</summary>
    public int RankLimit { get; private set; }

    /// <summary>Sets the merge of <paramref name="left"/> and <paramref name="right"/>; the last one set for a pair counts.</summary>
    public void Set(int left, int right, int rank, int merged)
    {
        ulong key = Key(left, right);
        int slot = First(key);
        while (_slots[slot].Key != 0 && _slots[slot].Key != key)
        {
            slot = (slot + 1) & (_slots.Length - 1);
        }

        RankLimit = Math.Max(RankLimit, rank + 1);
        _slots[slot] = new Slot(key, ((ulong)(uint)rank << 32) | (uint)merged);
    }

    /// <summary>Rank in the high half and the token made in the low half, or <see cref="None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Find(int left, int right)
    {
        Slot[] slots = _slots;
        ulong key = Key(left, right);
        for (int slot = First(key); ; slot = (slot + 1) & (slots.Length - 1))
        {
            ref readonly Slot found = ref slots[slot];
            if (found.Key == key)
            {
                return found.Value;
            }

            if (found.Key == 0)
            {
                return None;
            }
        }
    }

    private static ulong Key(int left, int right) => ((ulong)(uint)(left + 1) << 32) | (uint)right;

    private int First(ulong key) => (int)((key * 0x9E3779B97F4A7C15UL) >> _shift);

    private readonly record struct Slot(ulong Key, ulong Value);
}
