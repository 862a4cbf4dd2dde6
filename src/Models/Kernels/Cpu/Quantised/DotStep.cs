using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Any codes, where the machine multiplies bytes and adds them up as integers in one instruction.</summary>
internal readonly unsafe struct DotStep<TCodes, TScales, TMins> : IStep
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
        // -bias * (sum of q) of the first and of the second 16 inputs.
        T firstBias = T.Ints(-weights.Layout.Bias & 0xFFFF);
        T secondBias = T.Ints(-weights.Layout.Bias << 16);
        SubScales<T, TScales>.Ints(weights.SubScales, weights.Output, out T sc0, out T sc1);
        T mins = TMins.PerBlock >= 0 ? TMins.Load<T>(weights.SubMins, weights.Output) : default;
        T d = T.Load(weights.Wide);
        T dmin = TMins.PerBlock >= 0 ? T.Load(weights.Wide + QuantisedLayout.Outputs) : default;
        byte* records = rows.Records;
        float* sums = rows.Sums;
        for (int row = 0; row < rows.Count; row++)
        {
            T pairSums = T.Quad(records + QuantisedInput.Sums);
            T first = T.MultiplyWords(firstBias, pairSums);
            first = T.Dot(first, q0, T.Quad(records));
            first = T.Dot(first, q1, T.Quad(records + 4));
            first = T.Dot(first, q2, T.Quad(records + 8));
            first = T.Dot(first, q3, T.Quad(records + 12));
            T second = T.MultiplyWords(secondBias, pairSums);
            second = T.Dot(second, q4, T.Quad(records + 16));
            second = T.Dot(second, q5, T.Quad(records + 20));
            second = T.Dot(second, q6, T.Quad(records + 24));
            second = T.Dot(second, q7, T.Quad(records + 28));
            T total = SubScales<T, TScales>.Apply(first, second, sc0, sc1);
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
