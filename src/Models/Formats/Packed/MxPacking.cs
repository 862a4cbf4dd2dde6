using System.Runtime.Intrinsics;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Packed;

/// <summary>
/// MXFP4 as gpt-oss has its experts: NAME <c>[experts, outputs, inputs]</c> lies in NAME<c>_blocks</c> U8 <c>[experts, outputs, inputs /
/// 32, 16]</c>, of two 4-bit floats a byte the first one low, and NAME<c>_scales</c> U8 <c>[experts, outputs, inputs / 32]</c>, exponents
/// (transformers, integrations/mxfp4.py). It becomes GGUF's MXFP4, which has the same numbers in another order.
/// </summary>
internal sealed unsafe class MxPacking(Safetensors source) : Packing(source)
{
    private const int Block = 32;

    public override string End => "";

    public override IReadOnlyList<string> Suffixes => ["_blocks", "_scales"];

    public override bool Holds(string layer) => Optional(layer + "_blocks") is not null;

    public override (int Rows, int Columns) Size(string layer, ReadOnlySpan<int> shape)
    {
        if (shape is not [int experts, int outputs, int inputs] || inputs % Block != 0)
        {
            string given = $"[{string.Join(", ", shape.ToArray())}]";
            throw Refused(layer, $"holds [experts, outputs, inputs], inputs a multiple of {Block}, and not {given}");
        }

        _ = Part(layer + "_blocks", ["U8"], [experts, outputs, inputs / Block, Block / 2]);
        _ = Part(layer + "_scales", ["U8"], [experts, outputs, inputs / Block]);
        return (checked(experts * outputs), inputs);
    }

    public override WeightFormat FormatOf(string layer, int rows, int columns) => BlockFormat<MXFP4>.Instance;

    public override void Unpack(string layer, int rows, int columns, (int Start, int End) band, byte* to)
    {
        byte* codes = (byte*)Optional(layer + "_blocks")!.Data;
        byte* scales = (byte*)Optional(layer + "_scales")!.Data;
        for (long block = (long)band.Start * (columns / Block); block < (long)band.End * (columns / Block); block++)
        {
            byte* target = to + (block * MXFP4.Bytes);
            *target = scales[block];
            GroupedFormat.FromSequence(Vector128.Load(codes + (block * Block / 2))).Store(target + 1);
        }
    }
}
