using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;

namespace Understory.Models.Kernels.Cpu.Products;

#pragma warning disable CS0649 // A tile's sums start at default, zero, and change through their own methods.

/// <summary>The sums of one or more rows against a panel of weights, all of them in registers.</summary>
internal unsafe interface ITile<TPanel, T>
{
    static abstract int Rows { get; }

    /// <param name="x">The pair of inputs of the first row.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    void MultiplyAdd(in TPanel weights, float* x, nint stride);

    /// <summary>Writes the sums: rows one after the other.</summary>
    void Store(float* sums);

    /// <summary>Adds the sums times the scales to what stands in memory: rows one after the other.</summary>
    void AddScaled(in TPanel scales, float* sums);

    /// <summary>Takes up the chains that <see cref="StoreChains"/> left.</summary>
    /// <param name="stride">Floats from one row's chains to the next.</param>
    void LoadChains(float* chains, nint stride);

    void StoreChains(float* chains, nint stride);
}

internal unsafe struct OneRow<TPanel, T> : ITile<TPanel, T>
    where TPanel : struct, IPanel<TPanel, T>
    where T : unmanaged, ILanes<T>
{
    private TPanel _sums;

    public static int Rows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(in TPanel weights, float* x, nint stride) => _sums.MultiplyAdd(weights, T.Broadcast(x[0]), T.Broadcast(x[1]));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* sums) => _sums.Store(sums);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddScaled(in TPanel scales, float* sums) => _sums.AddScaled(scales, sums);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void LoadChains(float* chains, nint stride) => _sums = TPanel.LoadChains(chains);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreChains(float* chains, nint stride) => _sums.StoreChains(chains);
}

/// <summary>The rows of two tiles.</summary>
internal unsafe struct Both<TFirst, TSecond, TPanel, T> : ITile<TPanel, T>
    where TFirst : struct, ITile<TPanel, T>
    where TSecond : struct, ITile<TPanel, T>
    where TPanel : struct, IPanel<TPanel, T>
    where T : unmanaged, ILanes<T>
{
    private TFirst _first;
    private TSecond _second;

    public static int Rows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TFirst.Rows + TSecond.Rows;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(in TPanel weights, float* x, nint stride)
    {
        _first.MultiplyAdd(weights, x, stride);
        _second.MultiplyAdd(weights, x + (TFirst.Rows * stride), stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* sums)
    {
        _first.Store(sums);
        _second.Store(sums + (TFirst.Rows * TPanel.Blocks * CpuMatrix.BlockRows));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddScaled(in TPanel scales, float* sums)
    {
        _first.AddScaled(scales, sums);
        _second.AddScaled(scales, sums + (TFirst.Rows * TPanel.Blocks * CpuMatrix.BlockRows));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void LoadChains(float* chains, nint stride)
    {
        _first.LoadChains(chains, stride);
        _second.LoadChains(chains + (TFirst.Rows * stride), stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreChains(float* chains, nint stride)
    {
        _first.StoreChains(chains, stride);
        _second.StoreChains(chains + (TFirst.Rows * stride), stride);
    }
}
