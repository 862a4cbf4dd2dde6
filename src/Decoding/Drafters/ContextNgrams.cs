using System.Numerics;

namespace Understory.Decoding.Drafters;

/// <summary>
/// Guesses what follows from where the same tokens occurred before in the prompt and the output so far: the continuations of
/// the longest suffix, up to <see cref="MaxOrder"/> tokens, that occurred before, and of the shorter ones under it.
/// </summary>
/// <remarks>
/// The orders are blended as in prediction by partial matching (Cleary and Witten 1984, escape C of Moffat 1990): of N occurrences of
/// a suffix with T distinct continuations, one seen c times gets <c>c / (N + T)</c>, and <c>T / (N + T)</c> is left for the next shorter
/// suffix. So an estimate grows with every longer suffix that agrees. Of each suffix the most recent
/// <see cref="MaxOccurrences"/> occurrences count. Sums to less than 1: the rest is for tokens that did not occur.
/// </remarks>
public sealed class ContextNgrams
{
    public const int MaxOrder = 8;
    public const int MaxOccurrences = 32;

    /// <summary>Paths longer than this only take part in the suffix with their last tokens.</summary>
    public const int MaxPath = 64;

    private const int MaxCandidates = MaxOrder * MaxOccurrences;

    /// <summary>Once less than this is left for shorter suffixes they are not looked up.</summary>
    private const float Negligible = 1 / 1024f;

    private readonly int[] _tokens;

    /// <summary><c>[position, order - 1]</c>: the previous position + 1 in the same slot of that order's table, or 0.</summary>
    private readonly int[] _previous;

    /// <summary><c>[order - 1, slot]</c>: the last position + 1 whose preceding tokens hash to the slot, or 0.</summary>
    private readonly int[] _heads;
    private readonly int _slotBits;

    /// <param name="capacity">The most tokens that it will hold: the context length.</param>
    public ContextNgrams(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        _tokens = new int[capacity];
        _previous = new int[checked(capacity * MaxOrder)];
        _slotBits = Math.Max(BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)capacity)), 4);
        _heads = new int[checked(MaxOrder << _slotBits)];
    }

    /// <summary>Tokens held.</summary>
    public int Count { get; private set; }

    /// <exception cref="InvalidOperationException">The capacity is used up.</exception>
    public void Append(int token)
    {
        if (Count == _tokens.Length)
        {
            throw new InvalidOperationException($"The context holds {Count} tokens, its capacity.");
        }

        int position = Count;
        _tokens[position] = token;
        ulong hash = 0;
        for (int order = 1; order <= MaxOrder && order <= position; order++)
        {
            hash = Extend(hash, _tokens[position - order]);
            ref int head = ref _heads[Slot(order, hash)];
            _previous[(position * MaxOrder) + order - 1] = head;
            head = position + 1;
        }

        Count++;
    }

    /// <summary>Keeps the first <paramref name="count"/> tokens: as if no others had been appended.</summary>
    public void Truncate(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Count);
        while (Count > count)
        {
            // The last position is the head of its chains, so taking it out is putting its predecessors back.
            int position = --Count;
            ulong hash = 0;
            for (int order = 1; order <= MaxOrder && order <= position; order++)
            {
                hash = Extend(hash, _tokens[position - order]);
                _heads[Slot(order, hash)] = _previous[(position * MaxOrder) + order - 1];
            }
        }
    }

    public void Clear() => Truncate(0);

    /// <summary>The likeliest next tokens after the context and <paramref name="path"/>, as if the path had been appended.</summary>
    /// <param name="path">Hypothetical tokens that follow the context.</param>
    /// <param name="tokens">By falling estimate, the most recent first among equals.</param>
    /// <returns>How many were found: 0 where no suffix occurred before.</returns>
    public int Best(ReadOnlySpan<int> path, Span<int> tokens, Span<float> probabilities)
    {
        if (path.Length > MaxPath)
        {
            throw new ArgumentException($"A path has at most {MaxPath} tokens.", nameof(path));
        }

        int total = Count + path.Length;
        int longest = Math.Min(MaxOrder, total);
        Span<int> suffix = stackalloc int[MaxOrder];
        Span<int> slots = stackalloc int[MaxOrder];
        ulong hash = 0;
        for (int order = 1; order <= longest; order++)
        {
            // suffix[order - 1] is the order-th token from the end.
            suffix[order - 1] = TokenAt(total - order, path);
            hash = Extend(hash, suffix[order - 1]);
            slots[order - 1] = Slot(order, hash);
        }

        var candidates = new Candidates(stackalloc int[MaxCandidates], stackalloc float[MaxCandidates], stackalloc int[MaxCandidates]);
        Span<int> seen = stackalloc int[MaxOccurrences];
        float weight = 1;
        for (int order = longest; order >= 1 && weight > Negligible; order--)
        {
            int occurrences = Occurrences(suffix[..order], slots[order - 1], path, seen);
            if (occurrences == 0)
            {
                continue;
            }

            int distinct = 0;
            for (int i = 0; i < occurrences; i++)
            {
                distinct += candidates.Find(ref seen[i], order) ? 1 : 0;
            }

            float each = weight / (occurrences + distinct);
            foreach (int candidate in seen[..occurrences])
            {
                candidates.Add(candidate, each);
            }

            weight = each * distinct;
        }

        return candidates.TakeBest(tokens, probabilities);
    }

    /// <summary>The tokens that followed the suffix, most recent first.</summary>
    private int Occurrences(ReadOnlySpan<int> suffix, int slot, ReadOnlySpan<int> path, Span<int> continuations)
    {
        int order = suffix.Length;
        int found = 0;
        for (int position = Count + path.Length - 1; position >= Math.Max(Count, order) && found < MaxOccurrences; position--)
        {
            if (Precedes(suffix, position, path))
            {
                continuations[found++] = path[position - Count];
            }
        }

        for (int next = _heads[slot]; next > 0 && found < MaxOccurrences;)
        {
            int position = next - 1;
            if (Precedes(suffix, position, path))
            {
                continuations[found++] = _tokens[position];
            }

            next = _previous[(position * MaxOrder) + order - 1];
        }

        return found;
    }

    /// <summary>Whether the tokens before a position are the suffix, which stands last token first.</summary>
    private bool Precedes(ReadOnlySpan<int> suffix, int position, ReadOnlySpan<int> path)
    {
        if (position <= Count)
        {
            // All of them are committed tokens.
            ReadOnlySpan<int> before = _tokens.AsSpan(position - suffix.Length, suffix.Length);
            for (int i = 0; i < suffix.Length; i++)
            {
                if (before[before.Length - 1 - i] != suffix[i])
                {
                    return false;
                }
            }

            return true;
        }

        for (int i = 0; i < suffix.Length; i++)
        {
            if (TokenAt(position - 1 - i, path) != suffix[i])
            {
                return false;
            }
        }

        return true;
    }

    private int TokenAt(int position, ReadOnlySpan<int> path) => position < Count ? _tokens[position] : path[position - Count];

    private static ulong Extend(ulong hash, int token) => (hash ^ ((uint)token + 1UL)) * 0x9E3779B97F4A7C15;

    private int Slot(int order, ulong hash) =>
        ((order - 1) << _slotBits) + (int)((hash ^ (hash >> 29)) * 0xBF58476D1CE4E5B9 >> (64 - _slotBits));

    /// <summary>Distinct tokens with their estimates, in the order in which they were first seen.</summary>
    private ref struct Candidates(Span<int> tokens, Span<float> estimates, Span<int> orders)
    {
        private readonly Span<int> _tokens = tokens;
        private readonly Span<float> _estimates = estimates;

        /// <summary>The order in which a token was last seen.</summary>
        private readonly Span<int> _orders = orders;
        private int _count;

        /// <summary>Turns a token into its index.</summary>
        /// <returns>Whether it is the first time in this order.</returns>
        public bool Find(ref int token, int order)
        {
            int index = _tokens[.._count].IndexOf(token);
            if (index < 0)
            {
                index = _count++;
                _tokens[index] = token;
                _estimates[index] = 0;
                _orders[index] = 0;
            }

            bool first = _orders[index] != order;
            _orders[index] = order;
            token = index;
            return first;
        }

        public readonly void Add(int index, float estimate) => _estimates[index] += estimate;

        /// <summary>Moves the best out, one after the other.</summary>
        public readonly int TakeBest(Span<int> tokens, Span<float> probabilities)
        {
            int wanted = Math.Min(_count, Math.Min(tokens.Length, probabilities.Length));
            for (int i = 0; i < wanted; i++)
            {
                int best = 0;
                for (int j = 1; j < _count; j++)
                {
                    best = _estimates[j] > _estimates[best] ? j : best;
                }

                tokens[i] = _tokens[best];
                probabilities[i] = _estimates[best];
                _estimates[best] = -1;
            }

            return wanted;
        }
    }
}
