using System.Numerics;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Packed;

/// <summary>
/// Weights of eight bits with scales to multiply by: <c>weight</c> F8_E4M3 <c>[outputs, inputs]</c> and <c>weight_scale</c> [outputs, 1],
/// [outputs] or [1] (compressed-tensors "float-quantized", fbgemm_fp8), or a scale for every block of rows and columns:
/// <c>weight_scale_inv</c> (DeepSeek's and transformers' "fp8", of which the name means the inverse of what quantising multiplied by) or
/// <c>weight_scale</c> (compressed-tensors, strategy "block"), <c>[outputs / 128, inputs / 128]</c>, both rounded up: the last blocks may
/// be cut.
/// </summary>
internal sealed unsafe class Float8Packing(Safetensors source, int blockRows, int blockColumns) : Packing(source)
{
    public override IReadOnlyList<string> Suffixes =>
        [".weight_scale", ".weight_scale_inv", ".input_scale", ".activation_scale", ".input_scale_ub"];

    public override bool Holds(string layer) => Optional(layer + Weight)?.Type.Name == "F8_E4M3";

    public override WeightFormat FormatOf(string layer, int rows, int columns)
    {
        _ = Part(layer + Weight, ["F8_E4M3"], [rows, columns]);
        TensorEntry scales = Scales(layer, rows, columns);
        // A row that ends within a block of columns is cut into smaller pieces, each with the scale again.
        return Float8Format.Of(InBlocks(scales, rows) ? (int)BigInteger.GreatestCommonDivisor(columns, blockColumns) : columns);
    }

    public override void Unpack(string layer, int rows, int columns, (int Start, int End) band, byte* to)
    {
        WeightFormat format = FormatOf(layer, rows, columns);
        TensorEntry scales = Scales(layer, rows, columns);
        byte* from = (byte*)Optional(layer + Weight)!.Data + ((long)band.Start * columns);
        to += band.Start * format.Bytes(columns);
        for (int row = band.Start; row < band.End; row++)
        {
            for (int column = 0; column < columns; column += format.BlockElements, to += format.BlockBytes, from += format.BlockElements)
            {
                *(float*)to = Number(scales, Index(scales, rows, row, column));
                Buffer.MemoryCopy(from, to + sizeof(float), format.BlockElements, format.BlockElements);
            }
        }
    }

    private TensorEntry Scales(string layer, int rows, int columns)
    {
        string name = layer + (Optional(layer + ".weight_scale_inv") is null ? ".weight_scale" : ".weight_scale_inv");
        long[] blocks = [((long)rows + blockRows - 1) / blockRows, ((long)columns + blockColumns - 1) / blockColumns];
        return Part(name, ScaleTypes, blocks, [rows, 1], [rows], [1], []);
    }

    /// <summary>
    /// Scales are of blocks, not of rows or the whole: a matrix of one block, or of one column of them, may be taken either way.
    /// </summary>
    private static bool InBlocks(TensorEntry scales, int rows) =>
        scales.Shape.Length == 2 && !(scales.Shape[1] == 1 && (scales.Shape[0] == rows || scales.Shape[0] == 1));

    private long Index(TensorEntry scales, int rows, int row, int column) =>
        TensorEntry.Elements(scales.Shape) == 1 ? 0
        : InBlocks(scales, rows) ? ((long)(row / blockRows) * scales.Shape[1]) + (column / blockColumns)
        : row;
}
