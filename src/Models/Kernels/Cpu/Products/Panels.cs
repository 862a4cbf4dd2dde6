using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;

namespace Understory.Models.Kernels.Cpu.Products;

/// <summary>
/// Sixteen outputs, or a multiple, of one pair of inputs: the weights as they are read, or the sums that one row has in registers. Every
/// sum is two chains of multiply-adds, one over the even inputs and one over the odd ones, added to each other at the end: the order of a
/// dot product, whatever the rows, the tile and the threads.
/// </summary>
internal unsafe interface IPanel<TSelf, T>
    where T : unmanaged, ILanes<T>
{
    static abstract int Blocks { get; }

    /// <param name="blockStride">Bytes from one block of 16 outputs to the next.</param>
    /// <param name="oddStride">Bytes from the even to the odd input, where the layout does not say.</param>
    static abstract TSelf Load<TWeights>(byte* pair, nint blockStride, nint oddStride)
        where TWeights : struct, IWeightType;

    /// <summary>Asks for the lines of one pair of inputs.</summary>
    /// <param name="stride">Bytes from one block's lines to the next one's.</param>
    static abstract void Prefetch<TWeights>(byte* pair, nint stride)
        where TWeights : struct, IWeightType;

    void MultiplyAdd(in TSelf weights, T even, T odd);

    /// <summary>Writes the sums, 16 floats per block.</summary>
    void Store(float* sums);

    /// <summary>The scales of 32 inputs (see <see cref="ByteScales"/>).</summary>
    static abstract TSelf LoadScales(byte* scales, nint blockStride);

    /// <summary>Adds the sums times the scales to what stands in memory, 16 floats per block.</summary>
    void AddScaled(in TSelf scales, float* sums);

    /// <summary>Takes up the chains that <see cref="StoreChains"/> left.</summary>
    static abstract TSelf LoadChains(float* chains);

    /// <summary>Writes the two chains of each block, 32 floats per block, to go on with them later.</summary>
    void StoreChains(float* chains);
}

/// <summary>One block of 16 outputs.</summary>
internal unsafe struct Block<T> : IPanel<Block<T>, T>
    where T : unmanaged, ILanes<T>
{
    private T _even;
    private T _odd;

    public static int Blocks
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Block<T> Load<TWeights>(byte* pair, nint blockStride, nint oddStride)
        where TWeights : struct, IWeightType
    {
        Block<T> block;
        TWeights.Decode(pair, oddStride, out block._even, out block._odd);
        return block;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch<TWeights>(byte* pair, nint stride)
        where TWeights : struct, IWeightType
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch1(pair);
            if (TWeights.PairBytes > 64)
            {
                Sse.Prefetch1(pair + 64);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(in Block<T> weights, T even, T odd)
    {
        _even = T.MultiplyAdd(weights._even, even, _even);
        _odd = T.MultiplyAdd(weights._odd, odd, _odd);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(float* sums) => (_even + _odd).Store(sums);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Block<T> LoadScales(byte* scales, nint blockStride)
    {
        Block<T> block;
        block._even = block._odd = ByteScales.Load<T>(scales);
        return block;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void AddScaled(in Block<T> scales, float* sums) => T.MultiplyAdd(_even + _odd, scales._even, T.Load(sums)).Store(sums);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Block<T> LoadChains(float* chains)
    {
        Block<T> block;
        block._even = T.Load(chains);
        block._odd = T.Load(chains + CpuMatrix.BlockRows);
        return block;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void StoreChains(float* chains)
    {
        _even.Store(chains);
        _odd.Store(chains + CpuMatrix.BlockRows);
    }
}

/// <summary>Two panels, one after the other.</summary>
internal unsafe struct Wide<TPanel, T> : IPanel<Wide<TPanel, T>, T>
    where TPanel : struct, IPanel<TPanel, T>
    where T : unmanaged, ILanes<T>
{
    private TPanel _first;
    private TPanel _second;

    public static int Blocks
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TPanel.Blocks;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Wide<TPanel, T> Load<TWeights>(byte* pair, nint blockStride, nint oddStride)
        where TWeights : struct, IWeightType
    {
        Wide<TPanel, T> panel;
        panel._first = TPanel.Load<TWeights>(pair, blockStride, oddStride);
        panel._second = TPanel.Load<TWeights>(pair + (TPanel.Blocks * blockStride), blockStride, oddStride);
        return panel;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch<TWeights>(byte* pair, nint stride)
        where TWeights : struct, IWeightType
    {
        TPanel.Prefetch<TWeights>(pair, stride);
        TPanel.Prefetch<TWeights>(pair + (TPanel.Blocks * stride), stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(in Wide<TPanel, T> weights, T even, T odd)
    {
        _first.MultiplyAdd(weights._first, even, odd);
        _second.MultiplyAdd(weights._second, even, odd);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* sums)
    {
        _first.Store(sums);
        _second.Store(sums + (TPanel.Blocks * CpuMatrix.BlockRows));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Wide<TPanel, T> LoadScales(byte* scales, nint blockStride)
    {
        Wide<TPanel, T> panel;
        panel._first = TPanel.LoadScales(scales, blockStride);
        panel._second = TPanel.LoadScales(scales + (TPanel.Blocks * blockStride), blockStride);
        return panel;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddScaled(in Wide<TPanel, T> scales, float* sums)
    {
        _first.AddScaled(scales._first, sums);
        _second.AddScaled(scales._second, sums + (TPanel.Blocks * CpuMatrix.BlockRows));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Wide<TPanel, T> LoadChains(float* chains)
    {
        Wide<TPanel, T> panel;
        panel._first = TPanel.LoadChains(chains);
        panel._second = TPanel.LoadChains(chains + (2 * TPanel.Blocks * CpuMatrix.BlockRows));
        return panel;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreChains(float* chains)
    {
        _first.StoreChains(chains);
        _second.StoreChains(chains + (2 * TPanel.Blocks * CpuMatrix.BlockRows));
    }
}
