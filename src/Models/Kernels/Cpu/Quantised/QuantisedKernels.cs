using System.Runtime.CompilerServices;
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

    /// <summary>512-bit vectors. AVX-VNNI has but 256 bits: on Zen 5 it had 0.9 of the speed, for 8-bit codes too.</summary>
    Avx512,
}

/// <summary>A kernel of <see cref="QuantisedSums"/>, for one form.</summary>
internal readonly unsafe struct SumKernel(delegate*<QuantisedLayout, byte*, in QuantisedInput, int, int, float*, void> sum)
{
    private readonly delegate*<QuantisedLayout, byte*, in QuantisedInput, int, int, float*, void> _sum = sum;

    /// <summary>
    /// The sums of a block of 16 outputs for some rows of the inputs. One pass over the weights serves all the rows; as their records
    /// (40 bytes for 32 inputs) are read for every block of outputs, no more rows at a time than the caches hold: 32 to 128.
    /// </summary>
    /// <param name="layout">Of the matrix that the kernel was chosen for, or one of the same form.</param>
    /// <param name="block">The packed block.</param>
    /// <param name="sums"><c>[rows, 16]</c>, written.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Sum(QuantisedLayout layout, byte* block, in QuantisedInput input, int firstRow, int rows, float* sums) =>
        _sum(layout, block, input, firstRow, rows, sums);
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
        "avx512" => Available[0],
        "avx2" => Available.First(set => set is QuantisedSet.Avx2Dot or QuantisedSet.Avx2),
        "portable" => QuantisedSet.Portable,
        _ => QuantisedSet.Reference,
    };

    /// <summary>The kernel for a layout's form.</summary>
    public static SumKernel Choose(QuantisedLayout layout, QuantisedSet set) => set switch
    {
        QuantisedSet.Avx512 => SumTable<Quads16>.Choose(layout, dot: false),
        // Where 16 inputs have a wide scale there is only one kernel.
        QuantisedSet.Avx2Dot => SumTable<Quads8>.Choose(layout, dot: true),
        QuantisedSet.Avx2 => SumTable<Quads8>.Choose(layout, dot: false),
        QuantisedSet.Portable => SumTable<Quads4>.Choose(layout, dot: false),
        _ => new(&ReferenceSums.Sum),
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
