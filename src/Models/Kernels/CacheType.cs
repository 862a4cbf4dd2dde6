using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>In what keys and values are kept: plain numbers, or signed bytes that share a scale.</summary>
public enum CacheType
{
    F32,
    F16,
    BF16,

    /// <summary>
    /// q8_0: signed bytes <c>q</c> and an F16 scale <c>d</c> for each slot, head and block of 32 dimensions (the last may be shorter).
    /// <c>a = max |x|</c> of a block; <c>d = a / 127</c>, rounded to F16; <c>q = x / d</c>, ties to even, at most 127 either way, 0 where
    /// <c>d</c> is. Read back is <c>q d</c>, exact in F32. Where a number, or <c>d</c>, is not finite, <c>d</c> is NaN, and so is
    /// what is read.
    /// </summary>
    Q8,
}

public static class CacheTypes
{
    /// <summary>Dimensions that share a scale.</summary>
    public const int ScaledDims = 32;

    /// <summary>Bytes of one slot of a head: of its keys, and as many of its values.</summary>
    public static int Bytes(this CacheType type, int headDim) =>
        type == CacheType.Q8 ? headDim + (sizeof(ushort) * type.Scales(headDim)) : headDim * type.Elements().Size();

    /// <summary>Scales of one slot of a head.</summary>
    public static int Scales(this CacheType type, int headDim) => type == CacheType.Q8 ? (headDim + ScaledDims - 1) / ScaledDims : 0;

    /// <summary>As options and files spell it: "q8_0".</summary>
    public static string Name(this CacheType type) => type == CacheType.Q8 ? "q8_0" : type.ToString().ToLowerInvariant();

    /// <summary>The plain numbers that it is.</summary>
    /// <exception cref="ArgumentException">It is none.</exception>
    public static DType Elements(this CacheType type) => type switch
    {
        CacheType.F32 => DType.F32,
        CacheType.F16 => DType.F16,
        CacheType.BF16 => DType.BF16,
        _ => throw new ArgumentException($"Keys and values in {type.Name()} are no plain numbers.", nameof(type)),
    };

    public static CacheType Of(DType type) => type switch
    {
        DType.F32 => CacheType.F32,
        DType.F16 => CacheType.F16,
        _ => CacheType.BF16,
    };
}
