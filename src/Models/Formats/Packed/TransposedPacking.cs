using System.Runtime.Intrinsics;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Packed;

/// <summary>
/// Four bits in words of 32, inputs going down: <c>qweight</c>, <c>qzeros</c> and <c>scales [groups, outputs]</c>. Both layouts are read 32
/// inputs at a time, across all outputs, so that the files' rows are read in order.
/// </summary>
internal abstract unsafe class TransposedPacking(Safetensors source) : Packing(source)
{
    public override IReadOnlyList<string> Suffixes => [".qweight", ".qzeros", ".scales", ".g_idx"];

    protected static string Mark => ".qweight";

    public override bool Holds(string layer) => Optional(layer + Mark) is not null;

    /// <summary>The middle code is the zero of all groups.</summary>
    protected virtual bool Symmetric => false;

    /// <summary>Checks the tensors of a layer and gives its scales.</summary>
    protected TensorEntry Check(string layer, int rows, int columns, long[] words)
    {
        if (rows % 8 != 0 || columns % 32 != 0)
        {
            throw Refused(layer + Mark, $"is packed four bits to a weight, and {rows} x {columns} weights cannot be");
        }

        _ = Part(layer + Mark, ["I32"], words);
        TensorEntry scales = Optional(layer + ".scales") ?? Part(layer + ".scales", ScaleTypes);
        long groups = scales.Shape.Length == 2 ? scales.Shape[0] : 0;
        _ = Part(layer + ".scales", ScaleTypes, [groups, rows]);
        _ = Part(layer + ".qzeros", ["I32"], [groups, rows / 8]);
        return scales;
    }

    protected GroupedFormat Grouped(string layer, int columns, TensorEntry scales) =>
        GroupedFormat.Of(4, Group(layer + ".scales", columns, scales.Shape[0]), ScaleTypeOf(scales), zeros: !Symmetric);

    /// <summary>The heads of a band's blocks.</summary>
    protected void WriteHeads(string layer, int rows, GroupedFormat format, int groups, (int Start, int End) band, byte* to)
    {
        TensorEntry scales = Optional(layer + ".scales")!;
        var words = (uint*)Optional(layer + ".qzeros")!.Data;
        long rowBytes = (long)groups * format.BlockBytes;
        for (int group = 0; group < groups; group++)
        {
            for (int row = band.Start; row < band.End; row++)
            {
                byte* head = to + (row * rowBytes) + ((long)group * format.BlockBytes);
                *(uint*)head = Bits(scales, ((long)group * rows) + row);
                int zero = Zero(words[((long)group * rows / 8) + (row / 8)], row % 8);
                *(int*)(head + 4) = zero;
                if (Symmetric && zero != 8)
                {
                    throw Refused(layer + ".qzeros", $"has a zero point of {zero}, where \"sym\": true in quantization_config promises 8");
                }
            }
        }
    }

    /// <summary>The zero point of output <paramref name="output"/> of the eight in a word.</summary>
    protected abstract int Zero(uint word, int output);
}

/// <summary>
/// AWQ (autoawq, version "gemm"): <c>qweight [inputs, outputs / 8]</c>, <c>qzeros [groups, outputs / 8]</c>; a word has outputs 0, 2, 4, 6,
/// 1, 3, 5, 7 of its eight, the first lowest. <c>w = (code - zero) scale</c>. (autoawq, awq/modules/linear/gemm.py and
/// awq/utils/packing_utils.py.)
/// </summary>
internal sealed unsafe class AwqPacking(Safetensors source) : TransposedPacking(source)
{
    /// <summary>The output that is at each place of a word.</summary>
    private static readonly int[] _order = [0, 2, 4, 6, 1, 3, 5, 7];

    public override WeightFormat FormatOf(string layer, int rows, int columns) =>
        Grouped(layer, columns, Check(layer, rows, columns, [columns, rows / 8]));

    public override void Unpack(string layer, int rows, int columns, (int Start, int End) band, byte* to)
    {
        var format = (GroupedFormat)FormatOf(layer, rows, columns);
        int groups = columns / format.BlockElements;
        WriteHeads(layer, rows, format, groups, band, to);
        long rowBytes = (long)groups * format.BlockBytes;
        int wide = rows / 8;
        // The bytes of four words by place instead of by word.
        var byPlace = Vector128.Create((byte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        var low = Vector128.Create(0x0F0F0F0Fu);
        for (int input = 0; input < columns; input += 32)
        {
            uint* words = (uint*)Optional(layer + Mark)!.Data + ((long)input * wide);
            byte* chunk = to + format.ChunkOffset(input) + (band.Start * rowBytes);
            words += band.Start / 8;
            for (int word = band.Start / 8; word < band.End / 8; word++, words++, chunk += 8 * rowBytes)
            {
                for (int i = 0; i < 16; i += 4)
                {
                    Vector128<uint> first = Column(words + ((long)i * wide), wide);
                    Vector128<uint> second = Column(words + ((long)(i + 16) * wide), wide);
                    Vector128<uint> even = Vector128.Shuffle(((first & low) | ((second & low) << 4)).AsByte(), byPlace).AsUInt32();
                    Vector128<uint> odd = Vector128.Shuffle((((first >>> 4) & low) | (second & ~low)).AsByte(), byPlace).AsUInt32();
                    for (int place = 0; place < 4; place++)
                    {
                        *(uint*)(chunk + (_order[2 * place] * rowBytes) + i) = even.GetElement(place);
                        *(uint*)(chunk + (_order[(2 * place) + 1] * rowBytes) + i) = odd.GetElement(place);
                    }
                }
            }
        }
    }

    protected override int Zero(uint word, int output) => (int)(word >> (4 * Array.IndexOf(_order, output))) & 15;

    /// <summary>Four words one below the other.</summary>
    private static Vector128<uint> Column(uint* top, int stride) => Vector128.Create(top[0], top[stride], top[2 * stride], top[3 * stride]);
}

/// <summary>
/// GPTQ: <c>qweight [inputs / 8, outputs]</c>, a word has eight inputs, the first lowest; <c>qzeros [groups, outputs / 8]</c>, the first
/// output lowest; <c>g_idx [inputs]</c>: each input's group. <c>w = (code - zero) scale</c>, where the first version of the format keeps
/// zero - 1. (AutoGPTQ, auto_gptq/nn_modules/qlinear/; GPTQModel for version 2.) Groups out of order (activation order) have no blocks:
/// such matrices are shown as F16, each weight rounded once, as the tool's own kernels round it.
/// </summary>
internal sealed unsafe class GptqPacking(Safetensors source, bool symmetric, int zeroOffset) : TransposedPacking(source)
{
    protected override bool Symmetric => symmetric;

    public override WeightFormat FormatOf(string layer, int rows, int columns)
    {
        TensorEntry scales = Check(layer, rows, columns, [columns / 8, rows]);
        GroupedFormat format = Grouped(layer, columns, scales);
        int[]? groups = Groups(layer, columns, (int)scales.Shape[0]);
        return groups is null || InOrder(groups, format.BlockElements) ? format : DenseFormat.F16;
    }

    public override void Unpack(string layer, int rows, int columns, (int Start, int End) band, byte* to)
    {
        if (FormatOf(layer, rows, columns) is not GroupedFormat format)
        {
            UnpackOutOfOrder(layer, rows, columns, band, (ushort*)to);
            return;
        }

        int groups = columns / format.BlockElements;
        WriteHeads(layer, rows, format, groups, band, to);
        long rowBytes = (long)groups * format.BlockBytes;
        for (int input = 0; input < columns; input += 32)
        {
            uint* words = (uint*)Optional(layer + Mark)!.Data + ((long)input / 8 * rows);
            byte* chunk = to + format.ChunkOffset(input) + (band.Start * rowBytes);
            words += band.Start;
            for (int row = band.Start; row < band.End; row++, words++, chunk += rowBytes)
            {
                var sequence = Vector128.Create(words[0], words[rows], words[2L * rows], words[3L * rows]);
                GroupedFormat.FromSequence(sequence.AsByte()).Store(chunk);
            }
        }
    }

    protected override int Zero(uint word, int output) => ((int)(word >> (4 * output)) & 15) + zeroOffset;

    /// <summary>Each input's group; null where the file does not say.</summary>
    private int[]? Groups(string layer, int columns, int groups)
    {
        if (Optional(layer + ".g_idx") is null)
        {
            return null;
        }

        int[] indices = new ReadOnlySpan<int>((void*)Part(layer + ".g_idx", ["I32"], [columns]).Data, columns).ToArray();
        return Array.TrueForAll(indices, index => (uint)index < (uint)groups)
            ? indices
            : throw Refused(layer + ".g_idx", $"names groups beyond the {groups} that have scales");
    }

    private static bool InOrder(int[] groups, int group)
    {
        bool ordered = true;
        for (int i = 0; i < groups.Length; i++)
        {
            ordered &= groups[i] == i / group;
        }

        return ordered;
    }

    private void UnpackOutOfOrder(string layer, int rows, int columns, (int Start, int End) band, ushort* to)
    {
        TensorEntry scales = Optional(layer + ".scales")!;
        var words = (uint*)Optional(layer + Mark)!.Data;
        var zeros = (uint*)Optional(layer + ".qzeros")!.Data;
        int[] groups = Groups(layer, columns, (int)scales.Shape[0])!;
        for (int input = 0; input < columns; input++)
        {
            long group = groups[input];
            for (int row = band.Start; row < band.End; row++)
            {
                int code = (int)(words[((long)input / 8 * rows) + row] >> (4 * (input % 8))) & 15;
                int zero = Zero(zeros[(group * rows / 8) + (row / 8)], row % 8);
                to[((long)row * columns) + input] = Scalar.ToFloat16((code - zero) * Number(scales, (group * rows) + row));
            }
        }
    }
}
