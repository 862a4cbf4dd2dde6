using System.Collections.Concurrent;

namespace Understory.Models.Tensors;

/// <summary>
/// Weights of eight bits, E4M3 (four bits of exponent with bias 7, three of mantissa, no infinity; 0x7F and 0xFF are NaN: OCP OFP8 1.0), so
/// many neighbours of a row under one F32 scale. A block: the scale, then a byte a weight. <c>w = scale * E4M3</c>, rounded to F32 once.
/// </summary>
public sealed unsafe class Float8Format : WeightFormat
{
    private static readonly ConcurrentDictionary<int, Float8Format> _all = new();

    private static readonly float[] _values = [.. Enumerable.Range(0, 256).Select(bits => ValueOf((byte)bits))];

    private Float8Format(int group)
        : base("F8_E4M3", group, sizeof(float) + group)
    {
    }

    /// <summary>The format with a scale for every <paramref name="group"/> weights.</summary>
    public static Float8Format Of(int group) => _all.GetOrAdd(group, static group => new Float8Format(group));

    /// <summary>A row of so many columns is one block: it has one scale.</summary>
    public bool IsOfRows(int columns) => BlockElements == columns;

    /// <summary>What a byte stands for.</summary>
    public static float Value(byte bits) => _values[bits];

    /// <summary>Some scale is NaN or infinite, or some weight NaN.</summary>
    public bool HasBadValue(byte* blocks, int elements)
    {
        for (int block = elements / BlockElements; block > 0; block--, blocks += BlockBytes)
        {
            var codes = new ReadOnlySpan<byte>(blocks + sizeof(float), BlockElements);
            if (!float.IsFinite(*(float*)blocks) || codes.ContainsAny<byte>(0x7F, 0xFF))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The scale of the block that begins at <paramref name="block"/>.</summary>
    public static float ScaleOf(byte* block) => *(float*)block;

    public override void Decode(byte* blocks, int elements, float* values)
    {
        for (int block = elements / BlockElements; block > 0; block--, blocks += BlockBytes, values += BlockElements)
        {
            float scale = ScaleOf(blocks);
            byte* codes = blocks + sizeof(float);
            for (int i = 0; i < BlockElements; i++)
            {
                values[i] = scale * _values[codes[i]];
            }
        }
    }

    /// <summary>The values of one block, not multiplied by its scale.</summary>
    public void DecodeUnscaled(byte* block, float* values)
    {
        for (int i = 0; i < BlockElements; i++)
        {
            values[i] = _values[block[sizeof(float) + i]];
        }
    }

    private static float ValueOf(byte bits)
    {
        int exponent = (bits >> 3) & 15;
        int mantissa = bits & 7;
        float size = (bits & 0x7F) == 0x7F ? float.NaN
            : exponent == 0 ? MathF.ScaleB(mantissa, -9)
            : MathF.ScaleB(8 + mantissa, exponent - 10);
        return bits > 127 ? -size : size;
    }
}
