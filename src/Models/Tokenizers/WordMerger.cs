using System.Buffers;

namespace Understory.Models.Tokenizers;

/// <summary>
/// Applies merges to the symbols of one word: always the pair of lowest rank, the leftmost of equal rank first. Short words
/// scan all pairs for each merge; long ones keep the pairs in a heap over a linked list, O(n log n).
/// </summary>
internal static class WordMerger
{
    private const int ShortWord = 48;

    /// <summary>Merges in place; returns how many symbols are left at the front of <paramref name="symbols"/>.</summary>
    public static int Merge(MergeTable merges, Span<int> symbols) =>
        symbols.Length <= ShortWord ? MergeShort(merges, symbols) : MergeLong(merges, symbols);

    private static int MergeShort(MergeTable merges, Span<int> symbols)
    {
        int count = symbols.Length;
        Span<ulong> pairs = stackalloc ulong[ShortWord];
        for (int i = 0; i + 1 < count; i++)
        {
            pairs[i] = merges.Find(symbols[i], symbols[i + 1]);
        }

        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
            {
                // Ranks alone: pairs of equal rank may make different tokens, and then the left one goes first.
                if (pairs[i] >> 32 < pairs[best] >> 32)
                {
                    best = i;
                }
            }

            if (pairs[best] == MergeTable.None)
            {
                break;
            }

            symbols[best] = (int)pairs[best];
            symbols[(best + 2)..count].CopyTo(symbols[(best + 1)..]);
            count--;
            if (best + 1 < count)
            {
                pairs[(best + 2)..count].CopyTo(pairs[(best + 1)..]);
                pairs[best] = merges.Find(symbols[best], symbols[best + 1]);
            }

            if (best > 0)
            {
                pairs[best - 1] = merges.Find(symbols[best - 1], symbols[best]);
            }
        }

        return count;
    }

    private static int MergeLong(MergeTable merges, Span<int> symbols)
    {
        int count = symbols.Length;
        int[] next = ArrayPool<int>.Shared.Rent(count);
        int[] previous = ArrayPool<int>.Shared.Rent(count);
        ulong[] pairs = ArrayPool<ulong>.Shared.Rent(count);
        var queue = new MergeQueue(count);
        for (int i = 0; i < count; i++)
        {
            next[i] = i + 1;
            previous[i] = i - 1;
            pairs[i] = i + 1 < count ? merges.Find(symbols[i], symbols[i + 1]) : MergeTable.None;
            if (pairs[i] != MergeTable.None)
            {
                queue.Append(Entry(pairs[i], i));
            }
        }

        queue.Order();
        while (queue.TryPop(out ulong entry))
        {
            int at = (int)entry;
            if (entry != Entry(pairs[at], at))
            {
                continue; // the pair has gone or changed since it was queued
            }

            int merged = next[at];
            symbols[at] = (int)pairs[at];
            int after = next[at] = next[merged];
            pairs[merged] = MergeTable.None;
            pairs[at] = MergeTable.None;
            if (after < count)
            {
                previous[after] = at;
                Offer(merges.Find(symbols[at], symbols[after]), at);
            }

            int before = previous[at];
            if (before >= 0)
            {
                Offer(merges.Find(symbols[before], symbols[at]), before);
            }
        }

        int left = 0;
        for (int i = 0; i < count; i = next[i])
        {
            symbols[left++] = symbols[i];
        }

        queue.Dispose();
        ArrayPool<int>.Shared.Return(next);
        ArrayPool<int>.Shared.Return(previous);
        ArrayPool<ulong>.Shared.Return(pairs);
        return left;

        void Offer(ulong pair, int at)
        {
            pairs[at] = pair;
            if (pair != MergeTable.None)
            {
                queue.Push(Entry(pair, at));
            }
        }
    }

    /// <summary>Orders by rank, then by place in the word.</summary>
    private static ulong Entry(ulong pair, int at) => (pair & 0xFFFF_FFFF_0000_0000UL) | (uint)at;
}
