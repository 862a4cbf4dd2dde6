using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Understory.Models.Tokenizers;

/// <summary>
/// Applies merges to the symbols of one word: always the pair of lowest rank, the leftmost of equal rank first. Short words
/// scan all pairs for each merge; long ones keep the pairs in a queue over a linked list, O(n log n). Not for several threads
/// at once.
/// </summary>
internal sealed class WordMerger(MergeTable merges)
{
    private const int ShortWord = 48;

    /// <summary>
    /// How many merges ahead memory is asked for: places of one rank lie far apart, and waiting for each costs as much as the merging.
    /// </summary>
    private const int Ahead = 12;

    private MergeQueue? _queue;

    /// <summary>Merges in place; returns how many symbols are left at the front of <paramref name="symbols"/>.</summary>
    public int Merge(Span<int> symbols) => symbols.Length <= ShortWord ? MergeShort(symbols) : MergeLong(symbols);

    private int MergeShort(Span<int> symbols)
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

    private int MergeLong(Span<int> symbols)
    {
        MergeQueue queue = _queue ??= new MergeQueue(merges.RankLimit);
        int count = symbols.Length;
        Node[] rented = ArrayPool<Node>.Shared.Rent(count);
        Span<Node> nodes = rented.AsSpan(0, count);
        for (int i = 0; i < count; i++)
        {
            ulong pair = i + 1 < count ? merges.Find(symbols[i], symbols[i + 1]) : MergeTable.None;
            nodes[i] = new Node { Symbol = symbols[i], Next = i + 1, Previous = i - 1 };
            Offer(queue, ref nodes[i], pair, i);
        }

        while (queue.TryPop(out int rank, out int at))
        {
            if (queue.TryPeek(Ahead, out int later))
            {
                Prefetch(ref nodes[later]);
            }

            ref Node node = ref nodes[at];
            if (node.Pair == MergeTable.None || (int)(node.Pair >> 32) != rank)
            {
                continue; // the pair has gone or changed since it was queued
            }

            ref Node merged = ref nodes[node.Next];
            merged.Pair = MergeTable.None;
            node.Symbol = (int)node.Pair;
            node.Pair = MergeTable.None;
            int after = node.Next = merged.Next;
            if (after < count)
            {
                nodes[after].Previous = at;
                Offer(queue, ref node, merges.Find(node.Symbol, nodes[after].Symbol), at);
            }

            int before = node.Previous;
            if (before >= 0)
            {
                Offer(queue, ref nodes[before], merges.Find(nodes[before].Symbol, node.Symbol), before);
            }
        }

        int left = 0;
        for (int i = 0; i < count; i = nodes[i].Next)
        {
            symbols[left++] = nodes[i].Symbol;
        }

        ArrayPool<Node>.Shared.Return(rented);
        return left;
    }

    private static unsafe void Prefetch(ref Node node)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(Unsafe.AsPointer(ref node));
        }
    }

    private static void Offer(MergeQueue queue, ref Node node, ulong pair, int at)
    {
        node.Pair = pair;
        if (pair != MergeTable.None)
        {
            queue.Push((int)(pair >> 32), at);
        }
    }

    /// <summary>A symbol in the linked list, and its pair with the next: rank and token made.</summary>
    private struct Node
    {
        public ulong Pair;
        public int Symbol;
        public int Next;
        public int Previous;
    }
}
