using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Codes of 8 bits: as 16-bit words, the bias taken off, times the inputs as words.</summary>
internal readonly unsafe struct WordStep<TCodes, TScales, TMins> : IStep
    where TCodes : struct, ICodes
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
        T bias = T.Words((short)weights.Layout.Bias);
        Widen(q0, bias, out T even0, out T odd0);
        Widen(q1, bias, out T even1, out T odd1);
        Widen(q2, bias, out T even2, out T odd2);
        Widen(q3, bias, out T even3, out T odd3);
        Widen(q4, bias, out T even4, out T odd4);
        Widen(q5, bias, out T even5, out T odd5);
        Widen(q6, bias, out T even6, out T odd6);
        Widen(q7, bias, out T even7, out T odd7);
        SubScales<T, TScales>.Ints(weights.SubScales, weights.Output, out T sc0, out T sc1);
        T mins = TMins.PerBlock >= 0 ? TMins.Load<T>(weights.SubMins, weights.Output) : default;
        T d = T.Load(weights.Wide);
        T dmin = TMins.PerBlock >= 0 ? T.Load(weights.Wide + QuantisedLayout.Outputs) : default;
        byte* records = rows.Records;
        byte* words = rows.Words;
        float* sums = rows.Sums;
        for (int row = 0; row < rows.Count; row++)
        {
            T first = T.AddInts(Add(even0, even1, even2, even3, words), Add(odd0, odd1, odd2, odd3, words + 32));
            T second = T.AddInts(Add(even4, even5, even6, even7, words + 16), Add(odd4, odd5, odd6, odd7, words + 48));
            T total = SubScales<T, TScales>.Apply(first, second, sc0, sc1);
            T scale = T.Quad(records + QuantisedInput.Scale);
            T sum = T.MultiplyAdd(T.ToFloats(total), T.MultiplyFloats(d, scale), T.Load(sums));
            if (TMins.PerBlock >= 0)
            {
                T pairSums = T.Quad(records + QuantisedInput.Sums);
                sum = T.MultiplySubtract(T.ToFloats(T.MultiplyWords(mins, pairSums)), T.MultiplyFloats(dmin, scale), sum);
            }

            sum.Store(sums);
            records += QuantisedInput.Record;
            words += QuantisedInput.WordRecord;
            sums += QuantisedLayout.Outputs;
        }
    }

    /// <summary>Bytes 0 and 2, and bytes 1 and 3, as words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Widen<T>(T bytes, T bias, out T even, out T odd)
        where T : unmanaged, IQuads<T>
    {
        even = T.SubtractWords(bytes & T.Words(0xFF), bias);
        odd = T.SubtractWords(T.ShiftRight(bytes, 8), bias);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Add<T>(T a, T b, T c, T d, byte* words)
        where T : unmanaged, IQuads<T> =>
        T.AddInts(
            T.AddInts(T.MultiplyWords(T.Quad(words), a), T.MultiplyWords(T.Quad(words + 4), b)),
            T.AddInts(T.MultiplyWords(T.Quad(words + 8), c), T.MultiplyWords(T.Quad(words + 12), d)));
}
