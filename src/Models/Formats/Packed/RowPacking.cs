using System.Runtime.Intrinsics;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Packed;

/// <summary>
/// Whole numbers along the rows (compressed-tensors, compressors/quantized_compressors/): <c>weight_scale</c> [outputs, groups], [outputs,
/// 1] or [1], and perhaps <c>weight_zero_point</c>. <c>w = (q - zero) scale</c>, both signed.
/// </summary>
internal abstract unsafe class RowPacking(Safetensors source) : Packing(source)
{
    /// <summary>The number of scales in a row: one for a scale of the row or of the whole matrix.</summary>
    protected (TensorEntry Entry, int Groups) Scales(string layer, int rows)
    {
        string name = layer + ".weight_scale";
        TensorEntry scales = Optional(name) ?? Part(name, ScaleTypes);
        long groups = scales.Shape.Length == 2 ? scales.Shape[1] : 1;
        return (Part(name, ScaleTypes, [rows, groups], [rows], [1], [1, 1], []), (int)Math.Min(groups, int.MaxValue));
    }

    /// <summary>Where the scale of a row's group is.</summary>
    protected static long ScaleIndex(TensorEntry scales, int groups, int row, int group) =>
        TensorEntry.Elements(scales.Shape) == 1 ? 0 : ((long)row * groups) + group;

    protected void RefuseOrder(string layer)
    {
        if (Optional(layer + ".weight_g_idx") is not null)
        {
            const string why = "has groups in activation order (actorder \"group\"), which cannot be read; \"weight\" and \"static\" can";
            throw Refused(layer + ".weight_g_idx", why);
        }
    }
}

/// <summary>
/// "pack-quantized": <c>weight_packed [outputs, inputs bits / 32]</c>, words of 32 bits with the first input lowest, of four or eight bits,
/// each plus half their range; <c>weight_zero_point [outputs bits / 32, groups]</c> likewise, outputs going along the word;
/// <c>weight_shape</c>: outputs, inputs.
/// </summary>
internal sealed unsafe class WordPacking(Safetensors source) : RowPacking(source)
{
    public override IReadOnlyList<string> Suffixes =>
        [".weight_packed", ".weight_scale", ".weight_zero_point", ".weight_shape", ".weight_g_idx"];

    private static string Mark => ".weight_packed";

    public override bool Holds(string layer) => Optional(layer + Mark) is not null;

    public override WeightFormat FormatOf(string layer, int rows, int columns)
    {
        RefuseOrder(layer);
        int bits = Optional(layer + Mark) is { Shape: [_, var words] } && words == columns / 4 ? 8 : 4;
        _ = Part(layer + Mark, ["I32"], [rows, (long)columns * bits / 32]);
        (TensorEntry scales, int groups) = Scales(layer, rows);
        bool zeros = Optional(layer + ".weight_zero_point") is not null;
        if (zeros)
        {
            _ = Part(layer + ".weight_zero_point", ["I32"], [((long)rows * bits + 31) / 32, groups]);
        }

        return GroupedFormat.Of(bits, Group(layer + ".weight_scale", columns, groups), ScaleTypeOf(scales), zeros);
    }

    public override void Unpack(string layer, int rows, int columns, (int Start, int End) band, byte* to)
    {
        var format = (GroupedFormat)FormatOf(layer, rows, columns);
        int bits = format.Form.Bits;
        (TensorEntry scales, int groups) = Scales(layer, rows);
        TensorEntry? zeros = Optional(layer + ".weight_zero_point");
        byte* from = (byte*)Optional(layer + Mark)!.Data + ((long)band.Start * columns * bits / 8);
        to += (long)band.Start * groups * format.BlockBytes;
        // Four bits without an offset in the form: zero points are as they are stored. Eight bits: the form's offset is theirs.
        int zeroOffset = bits == 8 ? 128 : 0;
        for (int row = band.Start; row < band.End; row++)
        {
            for (int group = 0; group < groups; group++, to += format.BlockBytes)
            {
                *(uint*)to = Bits(scales, ScaleIndex(scales, groups, row, group));
                *(int*)(to + 4) = zeros is null ? 0 : Field((uint*)zeros.Data + group, groups, row, bits) - zeroOffset;
                int bytes = format.BlockBytes - GroupedFormat.Head;
                for (int i = 0; i < bytes; i += 16)
                {
                    var codes = Vector128.Load(from + i);
                    (bits == 8 ? codes : GroupedFormat.FromSequence(codes)).Store(to + GroupedFormat.Head + i);
                }

                from += bytes;
            }
        }
    }

    /// <summary>The zero point of an output: its bits in a column of words, <paramref name="stride"/> words apart.</summary>
    private static int Field(uint* column, int stride, int row, int bits)
    {
        int perWord = 32 / bits;
        return (int)(column[(long)(row / perWord) * stride] >> (bits * (row % perWord))) & ((1 << bits) - 1);
    }
}

/// <summary>"int-quantized": <c>weight</c> I8 <c>[outputs, inputs]</c>, <c>weight_zero_point</c> I8 of the scales' shape.</summary>
internal sealed unsafe class BytePacking(Safetensors source) : RowPacking(source)
{
    public override IReadOnlyList<string> Suffixes =>
        [".weight_scale", ".weight_zero_point", ".weight_g_idx", ".input_scale", ".input_zero_point"];

    public override bool Holds(string layer) => Optional(layer + Weight)?.Type.Name == "I8";

    public override WeightFormat FormatOf(string layer, int rows, int columns)
    {
        RefuseOrder(layer);
        _ = Part(layer + Weight, ["I8"], [rows, columns]);
        (TensorEntry scales, int groups) = Scales(layer, rows);
        bool zeros = Optional(layer + ".weight_zero_point") is not null;
        if (zeros)
        {
            _ = Part(layer + ".weight_zero_point", ["I8"], scales.Shape);
        }

        return GroupedFormat.Of(8, Group(layer + ".weight_scale", columns, groups), ScaleTypeOf(scales), zeros);
    }

    public override void Unpack(string layer, int rows, int columns, (int Start, int End) band, byte* to)
    {
        var format = (GroupedFormat)FormatOf(layer, rows, columns);
        (TensorEntry scales, int groups) = Scales(layer, rows);
        TensorEntry? zeros = Optional(layer + ".weight_zero_point");
        byte* from = (byte*)Optional(layer + Weight)!.Data + ((long)band.Start * columns);
        to += (long)band.Start * groups * format.BlockBytes;
        for (int row = band.Start; row < band.End; row++)
        {
            for (int group = 0; group < groups; group++, to += format.BlockBytes)
            {
                long index = ScaleIndex(scales, groups, row, group);
                *(uint*)to = Bits(scales, index);
                *(int*)(to + 4) = zeros is null ? 0 : ((sbyte*)zeros.Data)[index];
                for (int i = 0; i < format.BlockElements; i += 32, from += 32)
                {
                    (Vector256.Load(from) ^ Vector256.Create((byte)0x80)).Store(to + GroupedFormat.Head + i);
                }
            }
        }
    }
}
