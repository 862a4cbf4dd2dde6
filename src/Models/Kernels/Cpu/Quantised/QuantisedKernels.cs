using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Kinds of instructions that <see cref="QuantisedSums"/> is compiled for.</summary>
internal enum QuantisedSet
{
    /// <summary>Plain loops.</summary>
    Reference,

    /// <summary>128-bit vectors, on any machine.</summary>
    Portable,

    /// <summary>256-bit vectors.</summary>
    Avx2,

    /// <summary>256-bit vectors whose bytes are multiplied and added up to integers in one instruction (AVX-VNNI).</summary>
    Avx2Dot,

    /// <summary>512-bit vectors. AVX-VNNI has but 256 bits and was slower, for 8-bit codes too (Zen 5: 0.9 of the speed from 8 rows on).</summary>
    Avx512,
}

/// <summary>Which kernel sums what.</summary>
internal static unsafe class QuantisedKernels
{
    /// <summary>Those that this machine can run, best first.</summary>
    public static IReadOnlyList<QuantisedSet> Available { get; } = [.. List()];

    /// <summary>The best set of the vectors that the other kernels use.</summary>
    /// <param name="name">Of a set of <see cref="KernelCatalog"/>.</param>
    public static QuantisedSet Best(string name) => name switch
    {
        "avx512" => QuantisedSet.Avx512,
        "avx2" => Available.First(set => set is QuantisedSet.Avx2Dot or QuantisedSet.Avx2),
        "portable" => QuantisedSet.Portable,
        _ => QuantisedSet.Reference,
    };

    /// <summary><see cref="QuantisedSums.Sum"/> for a layout's form.</summary>
    public static delegate*<QuantisedLayout, byte*, in QuantisedInput, int, int, float*, void> Choose(QuantisedLayout layout, QuantisedSet set) => set switch
    {
        QuantisedSet.Avx512 => SumTable<Quads16>.Choose(layout, dot: false),
        // Where 16 inputs have a wide scale there is only one kernel.
        QuantisedSet.Avx2Dot => SumTable<Quads8>.Choose(layout, dot: true),
        QuantisedSet.Avx2 => SumTable<Quads8>.Choose(layout, dot: false),
        QuantisedSet.Portable => SumTable<Quads4>.Choose(layout, dot: false),
        _ => &ReferenceSums.Sum,
    };

    private static IEnumerable<QuantisedSet> List()
    {
        if (Vector512.IsHardwareAccelerated && Avx512BW.IsSupported && Fma.IsSupported)
        {
            yield return QuantisedSet.Avx512;
        }

        if (Avx2.IsSupported && Fma.IsSupported)
        {
            if (AvxVnni.IsSupported)
            {
                yield return QuantisedSet.Avx2Dot;
            }

            yield return QuantisedSet.Avx2;
        }

        yield return QuantisedSet.Portable;
        yield return QuantisedSet.Reference;
    }
}
