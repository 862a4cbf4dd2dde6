using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>The reference set's keys and values: one number at a time.</summary>
internal static unsafe class ReferenceCache
{
    public static float ReadKey(in KvLayer layer, int kvHead, int slot, int dim) => layer.Type == CacheType.Q8
        ? *(sbyte*)CacheLayout.Key(layer, kvHead, slot, dim) * Scalar.FromFloat16(*CacheLayout.KeyScale(layer, kvHead, slot, dim))
        : Scalar.Read(layer.Type.Elements(), (nint)CacheLayout.Key(layer, kvHead, slot, dim), 0);

    public static float ReadValue(in KvLayer layer, int kvHead, int slot, int dim) => layer.Type == CacheType.Q8
        ? *(sbyte*)CacheLayout.Value(layer, kvHead, slot, dim) * Scalar.FromFloat16(*CacheLayout.ValueScale(layer, kvHead, slot, dim))
        : Scalar.Read(layer.Type.Elements(), (nint)CacheLayout.Value(layer, kvHead, slot, dim), 0);

    /// <summary>Rounds and keeps a slot's key and value of one head.</summary>
    public static void Write(in KvLayer layer, int kvHead, int slot, ReadOnlySpan<float> key, ReadOnlySpan<float> value)
    {
        for (int dim = 0; dim < key.Length; dim++)
        {
            byte* keyAt = CacheLayout.Key(layer, kvHead, slot, dim);
            byte* valueAt = CacheLayout.Value(layer, kvHead, slot, dim);
            if (layer.Type == CacheType.Q8)
            {
                int first = dim / CacheTypes.ScaledDims * CacheTypes.ScaledDims;
                int count = Math.Min(CacheTypes.ScaledDims, key.Length - first);
                *(sbyte*)keyAt = Round(key[dim], *CacheLayout.KeyScale(layer, kvHead, slot, dim) = Scale(key.Slice(first, count)));
                *(sbyte*)valueAt = Round(value[dim], *CacheLayout.ValueScale(layer, kvHead, slot, dim) = Scale(value.Slice(first, count)));
            }
            else
            {
                Scalar.Write(layer.Type.Elements(), (nint)keyAt, 0, key[dim]);
                Scalar.Write(layer.Type.Elements(), (nint)valueAt, 0, value[dim]);
            }
        }
    }

    /// <summary><c>d = max |x| / 127</c> in F16; NaN where that is not finite.</summary>
    private static ushort Scale(ReadOnlySpan<float> block)
    {
        float largest = 0;
        foreach (float x in block)
        {
            // Math.Max hands NaN on.
            largest = Math.Max(largest, Math.Abs(x));
        }

        var scale = (Half)(largest / sbyte.MaxValue);
        return BitConverter.HalfToUInt16Bits(Half.IsFinite(scale) ? scale : Half.NaN);
    }

    /// <summary><c>q = x / d</c>, ties to even.</summary>
    private static sbyte Round(float x, ushort scale)
    {
        float d = Scalar.FromFloat16(scale);
        return d > 0 ? (sbyte)Math.Clamp(MathF.Round(x / d, MidpointRounding.ToEven), -sbyte.MaxValue, sbyte.MaxValue) : (sbyte)0;
    }
}
