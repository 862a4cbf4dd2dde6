using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>The kernels for a kind of vectors: which one a form needs, one of its traits after the other.</summary>
internal static unsafe class SumTable<T>
    where T : unmanaged, IQuads<T>
{
    /// <param name="dot">Use <see cref="IQuads{T}.Dot"/>.</param>
    public static SumKernel Choose(QuantisedLayout layout, bool dot) =>
        layout.Form switch
        {
            { Values: not null } => Codes<LookupCodes>(layout, dot),
            { Bits: 2 } => Codes<Codes2>(layout, dot),
            { Bits: 3 } => Codes<Codes3>(layout, dot),
            { Bits: 4 } => Codes<Codes4>(layout, dot),
            { Bits: 5 } => Codes<Codes5>(layout, dot),
            { Bits: 6 } => Codes<Codes6>(layout, dot),
            _ => Codes<Codes8>(layout, dot),
        };

    private static SumKernel Codes<TCodes>(QuantisedLayout layout, bool dot)
        where TCodes : struct, ICodes => layout switch
        {
            { Form.Wide: < QuantisedLayout.Inputs, WordSums: >= 4 } => Wide<FineStep<TCodes, Four>>(layout),
            { Form.Wide: < QuantisedLayout.Inputs, WordSums: 2 } => Wide<FineStep<TCodes, Two>>(layout),
            { Form.Wide: < QuantisedLayout.Inputs } => Wide<FineStep<TCodes, One>>(layout),
            _ => Scales<TCodes>(layout, dot),
        };

    private static SumKernel Scales<TCodes>(QuantisedLayout layout, bool dot)
        where TCodes : struct, ICodes => layout switch
        {
            { NibblePairs: true } => Step<TCodes, LowNibbles, HighNibbles>(layout, dot),
            { Form.SubScales: false } => Mins<TCodes, NoSubScale>(layout, dot),
            { Form.Sub: 32 } => Mins<TCodes, OneSubScale>(layout, dot),
            _ => Mins<TCodes, TwoSubScales>(layout, dot),
        };

    private static SumKernel Mins<TCodes, TScales>(QuantisedLayout layout, bool dot)
        where TCodes : struct, ICodes
        where TScales : struct, ISubScales => layout.Form switch
        {
            { Mins: false } => Step<TCodes, TScales, NoMin>(layout, dot),
            { SubMins: false } => Step<TCodes, TScales, NoSubScale>(layout, dot),
            { Sub: 32 } => Step<TCodes, TScales, OneSubScale>(layout, dot),
            _ => Step<TCodes, TScales, TwoSubScales>(layout, dot),
        };

    private static SumKernel Step<TCodes, TScales, TMins>(QuantisedLayout layout, bool dot)
        where TCodes : struct, ICodes
        where TScales : struct, ISubScales
        where TMins : struct, ISubScales => layout switch
        {
            _ when dot => Wide<DotStep<TCodes, TScales, TMins>>(layout),
            { WordSums: 0 } => Wide<WordStep<TCodes, TScales, TMins>>(layout),
            { WordSums: 8 } => Bias<TCodes, Eight, TScales, TMins>(layout),
            { WordSums: 4 } => Bias<TCodes, Four, TScales, TMins>(layout),
            { WordSums: 2 } => Bias<TCodes, Two, TScales, TMins>(layout),
            _ => Bias<TCodes, One, TScales, TMins>(layout),
        };

    private static SumKernel Bias<TCodes, TCount, TScales, TMins>(QuantisedLayout layout)
        where TCodes : struct, ICodes
        where TCount : struct, INumber
        where TScales : struct, ISubScales
        where TMins : struct, ISubScales =>
        layout.Bias == 0
            ? Wide<ByteStep<TCodes, TCount, Zero, TScales, TMins>>(layout)
            : Wide<ByteStep<TCodes, TCount, One, TScales, TMins>>(layout);

    private static SumKernel Wide<TStep>(QuantisedLayout layout)
        where TStep : struct, IStep => layout.Form.Scale switch
        {
            ScaleType.F16 => new(&QuantisedSums.Sum<T, TStep, Float16Scale>),
            ScaleType.BF16 => new(&QuantisedSums.Sum<T, TStep, BFloat16Scale>),
            ScaleType.F32 => new(&QuantisedSums.Sum<T, TStep, Float32Scale>),
            ScaleType.E8M0 => new(&QuantisedSums.Sum<T, TStep, E8M0Scale>),
            _ => new(&QuantisedSums.Sum<T, TStep, UE4M3Scale>),
        };
}
