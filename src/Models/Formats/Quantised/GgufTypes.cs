using Understory.Models.Tensors;

namespace Understory.Models.Formats.Quantised;

/// <summary>GGUF's numbers for types of weights (ggml, include/ggml.h, enum ggml_type).</summary>
public static class GgufTypes
{
    private static readonly Dictionary<uint, WeightFormat> _formats = new()
    {
        [0] = DenseFormat.F32,
        [1] = DenseFormat.F16,
        [2] = BlockFormat<Q4_0>.Instance,
        [3] = BlockFormat<Q4_1>.Instance,
        [6] = BlockFormat<Q5_0>.Instance,
        [7] = BlockFormat<Q5_1>.Instance,
        [8] = BlockFormat<Q8_0>.Instance,
        [10] = BlockFormat<Q2_K>.Instance,
        [11] = BlockFormat<Q3_K>.Instance,
        [12] = BlockFormat<Q4_K>.Instance,
        [13] = BlockFormat<Q5_K>.Instance,
        [14] = BlockFormat<Q6_K>.Instance,
        [16] = BlockFormat<IQ2_XXS>.Instance,
        [17] = BlockFormat<IQ2_XS>.Instance,
        [18] = BlockFormat<IQ3_XXS>.Instance,
        [19] = BlockFormat<IQ1_S>.Instance,
        [20] = BlockFormat<IQ4_NL>.Instance,
        [21] = BlockFormat<IQ3_S>.Instance,
        [22] = BlockFormat<IQ2_S>.Instance,
        [23] = BlockFormat<IQ4_XS>.Instance,
        [29] = BlockFormat<IQ1_M>.Instance,
        [30] = DenseFormat.BF16,
        [34] = BlockFormat<TQ1_0>.Instance,
        [35] = BlockFormat<TQ2_0>.Instance,
        [39] = BlockFormat<MXFP4>.Instance,
        [40] = BlockFormat<NVFP4>.Instance,
    };

    /// <summary>Types that have a name but no reader, with what to use instead.</summary>
    private static readonly Dictionary<uint, (string Name, string Instead)> _others = new()
    {
        [4] = ("Q4_2", "it was removed from the format: quantise again, to Q4_0 or Q4_K"),
        [5] = ("Q4_3", "it was removed from the format: quantise again, to Q4_1 or Q4_K"),
        [9] = ("Q8_1", "it is no type of weights: quantise again, to Q8_0"),
        [15] = ("Q8_K", "it is no type of weights: quantise again, to Q8_0"),
        [24] = ("I8", Whole),
        [25] = ("I16", Whole),
        [26] = ("I32", Whole),
        [27] = ("I64", Whole),
        [28] = ("F64", "convert again, to F32"),
        [31] = ("Q4_0_4_4", Repacked + "Q4_0"),
        [32] = ("Q4_0_4_8", Repacked + "Q4_0"),
        [33] = ("Q4_0_8_8", Repacked + "Q4_0"),
        [36] = ("IQ4_NL_4_4", Repacked + "IQ4_NL"),
        [37] = ("IQ4_NL_4_8", Repacked + "IQ4_NL"),
        [38] = ("IQ4_NL_8_8", Repacked + "IQ4_NL"),
    };

    private const string Whole = "whole numbers are no weights";

    private const string Repacked = "it was removed from the format: take the same model in ";

    public static IReadOnlyDictionary<uint, WeightFormat> All => _formats;

    /// <summary>The format of a number; null where there is no reader for it.</summary>
    public static WeightFormat? Find(uint number) => _formats.GetValueOrDefault(number);

    /// <summary>As messages call the type: "Q4_K", "number 99".</summary>
    public static string NameOf(uint number) =>
        _formats.TryGetValue(number, out WeightFormat? format) ? format.Name
        : _others.TryGetValue(number, out (string Name, string Instead) other) ? other.Name
        : $"number {number}";

    /// <summary>What works instead of a type that has no reader.</summary>
    public static string InsteadOf(uint number) => _others.TryGetValue(number, out (string Name, string Instead) other)
        ? other.Instead
        : $"{string.Join(", ", _formats.Values.Select(format => format.Name))} are supported";
}
