using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>
/// Sums of products of a packed block of 16 outputs and some rows of inputs. Per 32 inputs, ascending, <c>I = sum of sc v q</c> and
/// <c>M = sum of mn q</c> are exact integers; then <c>y = fma(I, d s, y)</c> and, where there are mins, <c>y = fma(M, -(dmin s), y)</c>
/// (where 16 inputs have a wide scale: per 16 inputs). Only this order is fixed, so every kind of vectors, any number of rows and any
/// division among threads give the same bits.
/// </summary>
internal static unsafe class QuantisedSums
{
    /// <summary>
    /// Bytes from what is read to what memory is asked for. At 40 GB/s and 100 ns 4 KB are under way: with 8 KB one core reached 95 % of a
    /// bare read, with 2 KB 60 to 75 %.
    /// </summary>
    private const int Ahead = 8192;

    /// <inheritdoc cref="SumKernel.Sum"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sum<T, TStep, TWide>(
        QuantisedLayout layout, byte* block, in QuantisedInput input, int firstRow, int rows, float* sums)
        where T : unmanaged, IQuads<T>
        where TStep : struct, IStep
        where TWide : struct, IWideScale
    {
        new Span<float>(sums, rows * QuantisedLayout.Outputs).Clear();
        float* wide = stackalloc float[2 * QuantisedLayout.Outputs];
        byte* records = input.RecordsOf(firstRow);
        byte* words = input.WordsOf(firstRow);
        nint recordStride = input.BlockStride;
        nint wordStride = input.WordStride;
        T factor = T.Floats(layout.Form.ScaleFactor);
        int wideBlocks = Math.Max(1, layout.Form.Wide / QuantisedLayout.Inputs);
        nint wideBytes = QuantisedLayout.Outputs * layout.ScaleBytes;
        bool fine = layout.Form.Wide < QuantisedLayout.Inputs;
        bool mins = layout.Form.Mins;
        nint subBytes = layout.SubBytes;
        nint codeBytes = TStep.Lines * QuantisedLayout.Line;
        for (int left = layout.Columns; left > 0; left -= layout.ChunkInputs)
        {
            QuantisedChunk chunk = left > layout.ChunkInputs ? layout.Whole : layout.Last;
            for (int line = 0; line < chunk.Codes; line += QuantisedLayout.Line)
            {
                Prefetch(block + line);
            }

            byte* scales = block;
            byte* second = block + (fine ? wideBytes : chunk.WideMins);
            sbyte* subScales = (sbyte*)block + chunk.SubScales;
            sbyte* subMins = (sbyte*)block + chunk.SubMins;
            byte* codes = block + chunk.Codes;
            int wideLeft = 1;
            for (int i = 0; i < chunk.Blocks; i++)
            {
                if (--wideLeft == 0)
                {
                    wideLeft = wideBlocks;
                    Expand<T, TWide>(scales, factor, wide);
                    if (mins || fine)
                    {
                        Expand<T, TWide>(second, factor, wide + QuantisedLayout.Outputs);
                    }

                    scales += fine ? 2 * wideBytes : wideBytes;
                    second += fine ? 2 * wideBytes : wideBytes;
                }

                PrefetchCodes(codes, TStep.Lines);

                for (int output = 0; output < QuantisedLayout.Outputs; output += T.Outputs)
                {
                    TStep.Run<T>(
                        new StepWeights(layout, codes + (4 * output), subScales, subMins, wide + output, output),
                        new StepRows(records, words, rows, sums + output));
                }

                codes += codeBytes;
                subScales += subBytes;
                subMins += subBytes;
                records += recordStride;
                words += wordStride;
            }

            block += chunk.Bytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Expand<T, TWide>(byte* scales, T factor, float* target)
        where T : unmanaged, IQuads<T>
        where TWide : struct, IWideScale
    {
        int bytes = TWide.Bytes;
        for (int output = 0; output < QuantisedLayout.Outputs; output += T.Outputs)
        {
            T.MultiplyFloats(TWide.Load<T>(scales + (output * bytes)), factor).Store(target + output);
        }
    }

    /// <summary>The lines of 32 inputs, of 2 up to 8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrefetchCodes(byte* codes, int lines)
    {
        Prefetch(codes);
        Prefetch(codes + 64);
        if (lines > 2)
        {
            Prefetch(codes + 128);
        }

        if (lines > 3)
        {
            Prefetch(codes + 192);
        }

        if (lines > 4)
        {
            Prefetch(codes + 256);
        }

        if (lines > 5)
        {
            Prefetch(codes + 320);
        }

        if (lines > 6)
        {
            Prefetch(codes + 384);
            Prefetch(codes + 448);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* line)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(line + Ahead);
        }
    }
}
