using System.Numerics;
using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;

namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>
/// Ways to find the few tokens that matter among many logits. Tokens gathered in the scratch stay in the order of their ids.
/// </summary>
internal static unsafe class Selection<T>
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    /// <summary>A logit as the rule reads it.</summary>
    public static float Clean(float logit) => float.IsNaN(logit) ? float.NegativeInfinity : MathF.Min(logit, float.MaxValue);

    /// <summary>Sixteen logits as the rule reads them; -infinity behind the last one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load(float* logits, int first, int vocabulary)
    {
        T value = first + Lanes <= vocabulary ? T.Load(logits + first) : LoadLast(logits + first, vocabulary - first);
        return T.Select(T.GreaterOrEqual(value, value), T.Min(value, T.Broadcast(float.MaxValue)), T.Broadcast(float.NegativeInfinity));
    }

    /// <summary>Fills the scratch's maxima: one of each lane of each of so many segments of the vocabulary. Returns the largest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Maxima(DecideScratch scratch, float* logits, int vocabulary, int segments)
    {
        T largest = T.Broadcast(float.NegativeInfinity);
        for (int segment = 0; segment < segments; segment++)
        {
            T max = T.Broadcast(float.NegativeInfinity);
            int end = SegmentBegin(segment + 1, segments, vocabulary);
            for (int i = SegmentBegin(segment, segments, vocabulary); i < end; i += Lanes)
            {
                max = T.Max(max, Load(logits, i, vocabulary));
            }

            max.Store(scratch.Maxima + (segment * Lanes));
            largest = T.Max(largest, max);
        }

        return largest.Largest();
    }

    /// <summary>Gathers the tokens whose logit is at least <paramref name="least"/>, -infinity excepted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gather(DecideScratch scratch, float* logits, int vocabulary, int segments, float least)
    {
        scratch.Count = 0;
        T bound = T.Broadcast(MathF.Max(least, float.MinValue));
        for (int segment = 0; segment < segments; segment++)
        {
            if (T.GreaterOrEqual(T.Load(scratch.Maxima + (segment * Lanes)), bound).TopBits() == 0)
            {
                continue;
            }

            int end = SegmentBegin(segment + 1, segments, vocabulary);
            for (int i = SegmentBegin(segment, segments, vocabulary); i < end; i += Lanes)
            {
                for (uint mask = T.GreaterOrEqual(Load(logits, i, vocabulary), bound).TopBits(); mask != 0; mask &= mask - 1)
                {
                    int token = i + BitOperations.TrailingZeroCount(mask);
                    scratch.Add(token, Clean(logits[token]));
                }
            }
        }
    }

    /// <summary>
    /// The k-th largest of <paramref name="count"/> values, a multiple of 16: the largest value that k of them reach, found bit by bit.
    /// -infinity where there are fewer than k numbers.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float KthLargest(float* values, int count, int k)
    {
        if (k == 1)
        {
            T largest = T.Load(values);
            for (int i = Lanes; i < count; i += Lanes)
            {
                largest = T.Max(largest, T.Load(values + i));
            }

            return largest.Largest();
        }

        uint found = 0;
        for (int bit = 31; bit >= 0; bit--)
        {
            uint candidate = found | (1u << bit);
            T bound = T.Broadcast(FromOrdered(candidate));
            int reached = 0;
            for (int i = 0; i < count; i += Lanes)
            {
                reached += BitOperations.PopCount(T.GreaterOrEqual(T.Load(values + i), bound).TopBits());
            }

            found = reached >= k ? candidate : found;
        }

        float kth = FromOrdered(found);
        return float.IsNaN(kth) ? float.NegativeInfinity : kth;
    }

    /// <summary>Sum of <c>e^((l' - max) / temperature)</c> over the tokens whose logit is at least <paramref name="least"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SumOfExponentials(float* logits, int vocabulary, float max, float temperature, float least)
    {
        T top = T.Broadcast(max);
        T scale = T.Broadcast(1 / temperature);
        T bound = T.Broadcast(least);
        T sum = default;
        for (int i = 0; i < vocabulary; i += Lanes)
        {
            T logit = Load(logits, i, vocabulary);
            sum += VectorMath.Exp((logit - top) * scale) & T.GreaterOrEqual(logit, bound);
        }

        return sum.Sum();
    }

    /// <summary>
    /// Gathers tokens that hold at least top_p of the probability, the most probable ones. Returns the whole sum of exponentials.
    /// </summary>
    public static double GatherMass(DecideScratch scratch, in DecisionParams rule, float* logits, int vocabulary, int segments, float max)
    {
        double total = SumOfExponentials(logits, vocabulary, max, rule.Temperature, float.MinValue);
        float least = float.MinValue;
        for (float reach = 3; reach <= 48; reach *= 2)
        {
            float tried = max - (reach * rule.Temperature);
            if (SumOfExponentials(logits, vocabulary, max, rule.Temperature, tried) > total * Math.Min(1, rule.TopP * 1.00001))
            {
                least = tried;
                break;
            }
        }

        Gather(scratch, logits, vocabulary, segments, least);
        return total;
    }

    /// <summary>Keeps the k largest of the gathered tokens; of equal ones the lower ids.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void KeepLargest(DecideScratch scratch, int k)
    {
        if (scratch.Count <= k)
        {
            return;
        }

        scratch.Pad();
        float kth = KthLargest(scratch.Logits, (scratch.Count + Lanes - 1) / Lanes * Lanes, k);
        int above = 0;
        for (int i = 0; i < scratch.Count; i++)
        {
            above += scratch.Logits[i] > kth ? 1 : 0;
        }

        int equals = k - above;
        int count = scratch.Count;
        scratch.Count = 0;
        for (int i = 0; i < count; i++)
        {
            if (scratch.Logits[i] > kth || (scratch.Logits[i] == kth && equals-- > 0))
            {
                scratch.Add(scratch.Tokens[i], scratch.Logits[i]);
            }
        }
    }

    /// <summary>Keeps the smallest set of the most probable gathered tokens whose probability reaches top_p.</summary>
    /// <param name="total">What makes the probabilities sum to 1; 0: the gathered tokens themselves.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void KeepMass(DecideScratch scratch, in DecisionParams rule, float max, double total)
    {
        Span<ulong> keys = new(scratch.Keys, scratch.Count);
        for (int i = 0; i < keys.Length; i++)
        {
            keys[i] = ((ulong)~ToOrdered(scratch.Logits[i]) << 32) | (uint)i;
        }

        keys.Sort();
        if (total == 0)
        {
            foreach (ulong key in keys)
            {
                total += Math.Exp((scratch.Logits[(uint)key] - max) / (double)rule.Temperature);
            }
        }

        double sum = 0;
        ulong last = 0;
        foreach (ulong key in keys)
        {
            last = key;
            sum += Math.Exp((scratch.Logits[(uint)key] - max) / (double)rule.Temperature);
            if (sum >= rule.TopP * total)
            {
                break;
            }
        }

        int count = scratch.Count;
        scratch.Count = 0;
        for (int i = 0; i < count; i++)
        {
            if ((((ulong)~ToOrdered(scratch.Logits[i]) << 32) | (uint)i) <= last)
            {
                scratch.Add(scratch.Tokens[i], scratch.Logits[i]);
            }
        }
    }

    /// <summary>Keeps the gathered tokens whose logit is at least <paramref name="least"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Keep(DecideScratch scratch, double least)
    {
        int count = scratch.Count;
        scratch.Count = 0;
        for (int i = 0; i < count; i++)
        {
            if (scratch.Logits[i] >= least)
            {
                scratch.Add(scratch.Tokens[i], scratch.Logits[i]);
            }
        }
    }

    private static int SegmentBegin(int segment, int segments, int vocabulary) =>
        (int)((long)((vocabulary + Lanes - 1) / Lanes) * segment / segments) * Lanes;

    /// <summary>Integers in the order of the floats.</summary>
    private static uint ToOrdered(float value)
    {
        // Adding 0 makes the two zeros equal.
        uint bits = BitConverter.SingleToUInt32Bits(value + 0f);
        return (bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000;
    }

    private static float FromOrdered(uint ordered) =>
        BitConverter.UInt32BitsToSingle((ordered & 0x80000000) != 0 ? ordered ^ 0x80000000 : ~ordered);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static T LoadLast(float* logits, int count)
    {
        float* part = stackalloc float[Lanes];
        new Span<float>(part, Lanes).Fill(float.NegativeInfinity);
        new ReadOnlySpan<float>(logits, count).CopyTo(new Span<float>(part, Lanes));
        return T.Load(part);
    }
}
