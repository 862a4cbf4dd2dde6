using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;

namespace Understory.Models.Kernels.Cpu.Products;

/// <summary>
/// Where the weights of a panel are, and which lines to ask for meanwhile: memory is fastest when it is read front to back as one stream,
/// so while one panel is worked on the next one is fetched in that order.
/// </summary>
/// <param name="weights">First block.</param>
/// <param name="blockStride">Bytes from one block of the panel to the next.</param>
/// <param name="next">First line to fetch.</param>
/// <param name="nextStride">Bytes from one block's lines to the next one's, within a pair of inputs.</param>
/// <param name="nextStep">Bytes from one pair of inputs to the next.</param>
internal readonly unsafe struct PanelSource(byte* weights, nint blockStride, byte* next, nint nextStride, nint nextStep)
{
    public byte* Weights { get; } = weights;

    public nint BlockStride { get; } = blockStride;

    public byte* Next { get; } = next;

    public nint NextStride { get; } = nextStride;

    public nint NextStep { get; } = nextStep;

    /// <summary>Far enough to hide the way from memory, near enough for the lines to be there still.</summary>
    private const int Ahead = 16 << 10;

    /// <summary>Blocks that follow each other in memory, as do the next panels.</summary>
    public static PanelSource Adjacent(byte* weights, nint blockBytes, int blocks, int pairBytes)
    {
        // A single block is a stream by itself; several are one only if the panel asked for is a whole number of panels away.
        nint panelBytes = blocks * blockBytes;
        nint ahead = blocks == 1 ? Ahead : panelBytes * Math.Max(1, Ahead / panelBytes);
        return new(weights, blockBytes, weights + ahead, pairBytes, blocks * pairBytes);
    }

    /// <summary>Two blocks with their successors behind each of them.</summary>
    public static PanelSource Apart(byte* weights, nint stride, nint blockBytes, int pairBytes) =>
        new(weights, stride, weights + blockBytes, stride, pairBytes);
}

/// <summary>Where values are: in each of them 16 outputs after 16, and value after value.</summary>
/// <param name="first">First value.</param>
/// <param name="rowBytes">Bytes from one value to the next.</param>
/// <param name="blockStride">Bytes from 16 outputs to the next 16.</param>
/// <param name="gap">Bytes to leave out behind every 16 values.</param>
internal readonly unsafe struct ValueSource(byte* first, nint rowBytes, nint blockStride, nint gap = 0)
{
    public byte* First { get; } = first;

    public nint RowBytes { get; } = rowBytes;

    public nint BlockStride { get; } = blockStride;

    public nint Gap { get; } = gap;
}

/// <summary>The inner loops of every product: weights, keys and values alike.</summary>
internal static unsafe class Tile
{
    /// <summary>The sums of a tile's rows over all inputs.</summary>
    /// <param name="x">First row, <paramref name="stride"/> elements to the next.</param>
    /// <param name="sums">Out: <c>[rows, blocks * 16]</c>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sum<TTile, TPanel, TWeights, T>(in PanelSource panel, float* x, nint stride, int inputs, float* sums)
        where TTile : struct, ITile<TPanel, T>
        where TPanel : struct, IPanel<TPanel, T>
        where TWeights : struct, IWeightType
        where T : unmanaged, ILanes<T>
    {
        byte* weights = panel.Weights;
        nint blockStride = panel.BlockStride;
        byte* next = panel.Next;
        nint nextStride = panel.NextStride;
        nint nextStep = panel.NextStep;
        TTile tile = default;
        float* end = x + (inputs & ~1);
        while (x < end)
        {
            TPanel.Prefetch<TWeights>(next, nextStride);
            next += nextStep;
            tile.MultiplyAdd(TPanel.Load<TWeights>(weights, blockStride, 0), x, stride);
            weights += TWeights.PairBytes;
            x += 2;
        }

        tile.Store(sums);
        if ((inputs & 1) != 0)
        {
            AddLast<TWeights, T>(weights, blockStride, TPanel.Blocks, x, stride, TTile.Rows, sums);
        }
    }

    /// <summary>
    /// As <see cref="Sum"/>, where every 32 inputs have a scale: <c>y = sum over blocks of d (sum of q x)</c>. A block's sum is two chains;
    /// blocks are added in their order.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SumScaled<TTile, TPanel, TWeights, T>(in PanelSource panel, float* x, nint stride, int inputs, float* sums)
        where TTile : struct, ITile<TPanel, T>
        where TPanel : struct, IPanel<TPanel, T>
        where TWeights : struct, IWeightType
        where T : unmanaged, ILanes<T>
    {
        byte* weights = panel.Weights;
        nint blockStride = panel.BlockStride;
        byte* next = panel.Next;
        nint nextStride = panel.NextStride;
        nint nextStep = panel.NextStep;
        new Span<float>(sums, TTile.Rows * TPanel.Blocks * CpuMatrix.BlockRows).Clear();
        for (int left = inputs; left > 0; left -= CacheTypes.ScaledDims)
        {
            byte* scales = weights;
            weights += CpuMatrix.BlockRows * sizeof(ushort);
            TTile tile = default;
            float* end = x + (Math.Min(left, CacheTypes.ScaledDims) & ~1);
            while (x < end)
            {
                TPanel.Prefetch<TWeights>(next, nextStride);
                next += nextStep;
                tile.MultiplyAdd(TPanel.Load<TWeights>(weights, blockStride, 0), x, stride);
                weights += TWeights.PairBytes;
                x += 2;
            }

            tile.AddScaled(TPanel.LoadScales(scales, blockStride), sums);
            if (left < CacheTypes.ScaledDims && (left & 1) != 0)
            {
                AddLastScaled<TWeights, T>(weights, scales, blockStride, TPanel.Blocks, x, stride, TTile.Rows, sums);
            }
        }
    }

    /// <summary>Goes on with the chains of a tile's rows over some more inputs, whole pairs, which lie row by row in memory.</summary>
    /// <param name="chains">In and out, <paramref name="chainStride"/> floats from one row to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Continue<TTile, TPanel, TWeights, T>(
        in ValueSource values, float* x, nint stride, int count, float* chains, nint chainStride)
        where TTile : struct, ITile<TPanel, T>
        where TPanel : struct, IPanel<TPanel, T>
        where TWeights : struct, IWeightType
        where T : unmanaged, ILanes<T>
    {
        TTile tile = default;
        tile.LoadChains(chains, chainStride);
        byte* inputs = values.First;
        nint rowBytes = values.RowBytes;
        nint blockStride = values.BlockStride;
        nint gap = values.Gap;
        nint together = gap == 0 ? count : KvLayer.BlockSlots;
        float* end = x + count;
        while (x < end)
        {
            for (float* stop = x + together < end ? x + together : end; x < stop; x += 2)
            {
                tile.MultiplyAdd(TPanel.Load<TWeights>(inputs, blockStride, rowBytes), x, stride);
                inputs += 2 * rowBytes;
            }

            inputs += gap;
        }

        tile.StoreChains(chains, chainStride);
    }

    /// <summary>
    /// An odd last input is added when the chains are done. (Apart, so that the loops above keep all registers to themselves.)
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AddLast<TWeights, T>(byte* weights, nint blockStride, int blocks, float* x, nint stride, int rows, float* sums)
        where TWeights : struct, IWeightType
        where T : unmanaged, ILanes<T>
    {
        for (int row = 0; row < rows; row++)
        {
            for (int block = 0; block < blocks; block++)
            {
                TWeights.Decode(weights + (block * blockStride), 0, out T even, out T _);
                T.MultiplyAdd(even, T.Broadcast(x[row * stride]), T.Load(sums)).Store(sums);
                sums += CpuMatrix.BlockRows;
            }
        }
    }

    /// <inheritdoc cref="AddLast"/>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AddLastScaled<TWeights, T>(
        byte* weights, byte* scales, nint blockStride, int blocks, float* x, nint stride, int rows, float* sums)
        where TWeights : struct, IWeightType
        where T : unmanaged, ILanes<T>
    {
        for (int row = 0; row < rows; row++)
        {
            for (int block = 0; block < blocks; block++)
            {
                TWeights.Decode(weights + (block * blockStride), 0, out T even, out T _);
                T scaled = even * ByteScales.Load<T>(scales + (block * blockStride));
                T.MultiplyAdd(scaled, T.Broadcast(x[row * stride]), T.Load(sums)).Store(sums);
                sums += CpuMatrix.BlockRows;
            }
        }
    }
}
