using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>
/// Products of unsigned bytes (the codes, 7 bits at most) and signed ones (the inputs), added up as 16-bit words as long as they surely
/// fit, then times the sub-scale, as integers. What the codes' bias adds is taken off as <c>(sc bias) * (sum of q)</c>.
/// </summary>
/// <typeparam name="TCount">Products that are added up as words: 1, 2, 4 or 8.</typeparam>
/// <typeparam name="TBias">1 where the codes have a bias, else 0.</typeparam>
internal readonly unsafe struct ByteStep<TCodes, TCount, TBias, TScales, TMins> : IStep
    where TCodes : struct, ICodes
    where TCount : struct, INumber
    where TBias : struct, INumber
    where TScales : struct, ISubScales
    where TMins : struct, ISubScales
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TCodes.Lines;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run<T>(in StepWeights weights, in StepRows rows)
        where T : unmanaged, IQuads<T>
    {
        TCodes.Load(weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7);
        T pairs = TScales.Load<T>(weights.SubScales, weights.Output);
        T first = TScales.PerBlock == 2 ? T.FirstTwice(pairs) : pairs;
        T second = TScales.PerBlock == 2 ? T.SecondTwice(pairs) : pairs;
        T biased = TBias.Value == 1 ? T.MultiplyWordsLow(pairs, T.Words((short)weights.Layout.Bias)) : default;
        T mins = TMins.PerBlock >= 0 ? TMins.Load<T>(weights.SubMins, weights.Output) : default;
        T d = T.Load(weights.Wide);
        T dmin = TMins.PerBlock >= 0 ? T.Load(weights.Wide + QuantisedLayout.Outputs) : default;
        byte* records = rows.Records;
        float* sums = rows.Sums;
        for (int row = 0; row < rows.Count; row++)
        {
            T p0 = T.MultiplyBytes(q0, T.Quad(records));
            T p1 = T.MultiplyBytes(q1, T.Quad(records + 4));
            T p2 = T.MultiplyBytes(q2, T.Quad(records + 8));
            T p3 = T.MultiplyBytes(q3, T.Quad(records + 12));
            T p4 = T.MultiplyBytes(q4, T.Quad(records + 16));
            T p5 = T.MultiplyBytes(q5, T.Quad(records + 20));
            T p6 = T.MultiplyBytes(q6, T.Quad(records + 24));
            T p7 = T.MultiplyBytes(q7, T.Quad(records + 28));
            T total;
            if (TCount.Value == 8 && TScales.PerBlock < 2)
            {
                total = T.MultiplyWords(T.AddWords(Quads.Sum(p0, p1, p2, p3), Quads.Sum(p4, p5, p6, p7)), first);
            }
            else if (TCount.Value >= 4)
            {
                total = T.AddInts(T.MultiplyWords(Quads.Sum(p0, p1, p2, p3), first), T.MultiplyWords(Quads.Sum(p4, p5, p6, p7), second));
            }
            else if (TCount.Value == 2)
            {
                T low = T.AddInts(T.MultiplyWords(T.AddWords(p0, p1), first), T.MultiplyWords(T.AddWords(p2, p3), first));
                total = T.AddInts(low, T.AddInts(T.MultiplyWords(T.AddWords(p4, p5), second), T.MultiplyWords(T.AddWords(p6, p7), second)));
            }
            else
            {
                total = T.AddInts(Quads.ScaledSum(p0, p1, p2, p3, first), Quads.ScaledSum(p4, p5, p6, p7, second));
            }

            T pairSums = T.Quad(records + QuantisedInput.Sums);
            if (TBias.Value == 1)
            {
                total = T.SubtractInts(total, T.MultiplyWords(biased, pairSums));
            }

            // y = fma(I, d s, y), y = fma(M, -(dmin s), y)
            T scale = T.Quad(records + QuantisedInput.Scale);
            T sum = T.MultiplyAdd(T.ToFloats(total), T.MultiplyFloats(d, scale), T.Load(sums));
            if (TMins.PerBlock >= 0)
            {
                sum = T.MultiplySubtract(T.ToFloats(T.MultiplyWords(mins, pairSums)), T.MultiplyFloats(dmin, scale), sum);
            }

            sum.Store(sums);
            records += QuantisedInput.Record;
            sums += QuantisedLayout.Outputs;
        }
    }
}

/// <summary>
/// Like <see cref="ByteStep{TCodes, TCount, TBias, TScales, TMins}"/>, where 16 inputs have a wide scale of their own and there is
/// nothing else.
/// </summary>
internal readonly unsafe struct FineStep<TCodes, TCount> : IStep
    where TCodes : struct, ICodes
    where TCount : struct, INumber
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TCodes.Lines;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run<T>(in StepWeights weights, in StepRows rows)
        where T : unmanaged, IQuads<T>
    {
        TCodes.Load(weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7);
        T firstBias = T.Ints(weights.Layout.Bias);
        T secondBias = T.Ints(weights.Layout.Bias << 16);
        T d0 = T.Load(weights.Wide);
        T d1 = T.Load(weights.Wide + QuantisedLayout.Outputs);
        byte* records = rows.Records;
        float* sums = rows.Sums;
        for (int row = 0; row < rows.Count; row++)
        {
            T pairSums = T.Quad(records + QuantisedInput.Sums);
            T first = T.SubtractInts(Four(q0, q1, q2, q3, records), T.MultiplyWords(firstBias, pairSums));
            T second = T.SubtractInts(Four(q4, q5, q6, q7, records + 16), T.MultiplyWords(secondBias, pairSums));
            T scale = T.Quad(records + QuantisedInput.Scale);
            T sum = T.MultiplyAdd(T.ToFloats(first), T.MultiplyFloats(d0, scale), T.Load(sums));
            sum = T.MultiplyAdd(T.ToFloats(second), T.MultiplyFloats(d1, scale), sum);
            sum.Store(sums);
            records += QuantisedInput.Record;
            sums += QuantisedLayout.Outputs;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Four<T>(T q0, T q1, T q2, T q3, byte* inputs)
        where T : unmanaged, IQuads<T>
    {
        T p0 = T.MultiplyBytes(q0, T.Quad(inputs));
        T p1 = T.MultiplyBytes(q1, T.Quad(inputs + 4));
        T p2 = T.MultiplyBytes(q2, T.Quad(inputs + 8));
        T p3 = T.MultiplyBytes(q3, T.Quad(inputs + 12));
        T one = T.Words(1);
        if (TCount.Value >= 4)
        {
            return T.MultiplyWords(Quads.Sum(p0, p1, p2, p3), one);
        }

        return TCount.Value == 2
            ? T.AddInts(T.MultiplyWords(T.AddWords(p0, p1), one), T.MultiplyWords(T.AddWords(p2, p3), one))
            : Quads.ScaledSum(p0, p1, p2, p3, one);
    }
}

/// <summary>Sums of the words of four vectors.</summary>
internal static class Quads
{
    /// <summary>As words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum<T>(T a, T b, T c, T d)
        where T : unmanaged, IQuads<T> => T.AddWords(T.AddWords(a, b), T.AddWords(c, d));

    /// <summary>Times a scale, as integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T ScaledSum<T>(T a, T b, T c, T d, T scale)
        where T : unmanaged, IQuads<T> => T.AddInts(
            T.AddInts(T.MultiplyWords(a, scale), T.MultiplyWords(b, scale)),
            T.AddInts(T.MultiplyWords(c, scale), T.MultiplyWords(d, scale)));
}
