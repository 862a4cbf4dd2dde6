using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Understory.Models.Kernels.Cpu.Weights;

/// <summary>Rows of 32-bit words become lines of 16 words, one of each row.</summary>
internal static unsafe class WordTranspose
{
    private const int Lanes = CpuMatrix.BlockRows;

    /// <param name="rows">The first words of <paramref name="lanes"/> rows, at most 16.</param>
    /// <param name="target"><c>[words, 16]</c>; lanes without a row become 0.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(uint** rows, int lanes, int words, uint* target)
    {
        int word = 0;
        if (lanes == Lanes && (Sse2.IsSupported || AdvSimd.Arm64.IsSupported))
        {
            // Lines are written whole, four at a time: 4 x 4 words of four groups of rows.
            for (; word <= words - 4; word += 4)
            {
                for (int lane = 0; lane < Lanes; lane += 4)
                {
                    Four(rows + lane, word, target + (word * Lanes) + lane);
                }
            }
        }

        for (; word < words; word++)
        {
            for (int lane = 0; lane < Lanes; lane++)
            {
                target[((long)word * Lanes) + lane] = lane < lanes ? rows[lane][word] : 0u;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four(uint** rows, int word, uint* target)
    {
        Vector128<uint> a = Vector128.Load(rows[0] + word);
        Vector128<uint> b = Vector128.Load(rows[1] + word);
        Vector128<uint> c = Vector128.Load(rows[2] + word);
        Vector128<uint> d = Vector128.Load(rows[3] + word);
        // a0 b0 a1 b1 and c0 d0 c1 d1 make a0 b0 c0 d0 and a1 b1 c1 d1.
        Vector128<ulong> abLow = ZipLow(a, b);
        Vector128<ulong> abHigh = ZipHigh(a, b);
        Vector128<ulong> cdLow = ZipLow(c, d);
        Vector128<ulong> cdHigh = ZipHigh(c, d);
        Vector128.Create(abLow.GetLower(), cdLow.GetLower()).AsUInt32().Store(target);
        Vector128.Create(abLow.GetUpper(), cdLow.GetUpper()).AsUInt32().Store(target + Lanes);
        Vector128.Create(abHigh.GetLower(), cdHigh.GetLower()).AsUInt32().Store(target + (2 * Lanes));
        Vector128.Create(abHigh.GetUpper(), cdHigh.GetUpper()).AsUInt32().Store(target + (3 * Lanes));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> ZipLow(Vector128<uint> a, Vector128<uint> b) =>
        (Sse2.IsSupported ? Sse2.UnpackLow(a, b) : AdvSimd.Arm64.ZipLow(a, b)).AsUInt64();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> ZipHigh(Vector128<uint> a, Vector128<uint> b) =>
        (Sse2.IsSupported ? Sse2.UnpackHigh(a, b) : AdvSimd.Arm64.ZipHigh(a, b)).AsUInt64();
}
