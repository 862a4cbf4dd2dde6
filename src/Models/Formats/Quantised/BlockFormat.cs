using Understory.Models.Tensors;

namespace Understory.Models.Formats.Quantised;

/// <summary>
/// A block type of GGUF. Implemented by empty structs, so that each gets a loop of its own (<see cref="BlockFormat{TBlock}"/>).
/// </summary>
internal unsafe interface IBlock
{
    static abstract string Name { get; }

    static abstract int Elements { get; }

    static abstract int Bytes { get; }

    static abstract QuantisedForm Form { get; }

    /// <summary>Takes the block at <paramref name="from"/> apart. Numbers in files are little endian, and so is the machine.</summary>
    static abstract void Read(byte* from, BlockParts to);
}

/// <summary>A block type that numbers can be brought into.</summary>
internal unsafe interface IWritableBlock : IBlock
{
    /// <summary>
    /// Writes the block of <see cref="IBlock.Elements"/> numbers: the same bytes on every machine. Where some number is NaN, infinite or
    /// too large for the format, a scale is NaN or infinite.
    /// </summary>
    static abstract void Write(float* values, byte* to);
}

/// <summary>Where the parts of one block go, in a <see cref="QuantisedRow"/>.</summary>
internal unsafe struct BlockParts
{
    public byte* Codes;
    public sbyte* Scales;
    public sbyte* Mins;
    public uint* WideScales;
    public uint* WideMins;
}

internal sealed unsafe class BlockFormat<TBlock> : QuantisedFormat
    where TBlock : struct, IBlock
{
    private BlockFormat()
        : base(TBlock.Name, TBlock.Elements, TBlock.Bytes, TBlock.Form)
    {
    }

    public static BlockFormat<TBlock> Instance { get; } = new();

    public override void Read(byte* blocks, int elements, QuantisedRow row)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(elements, row.Codes.Length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(elements % TBlock.Elements, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(row.Form, Form);
        int subs = TBlock.Elements / Form.Sub;
        int wides = TBlock.Elements / Form.Wide;
        fixed (byte* codes = row.Codes)
        fixed (sbyte* scales = row.Scales, mins = row.Mins)
        fixed (uint* wideScales = row.WideScales, wideMins = row.WideMins)
        {
            // Pointers into what the form does not have are null at first and never read.
            var parts = new BlockParts { Codes = codes, Scales = scales, Mins = mins, WideScales = wideScales, WideMins = wideMins };
            for (int block = elements / TBlock.Elements; block > 0; block--)
            {
                TBlock.Read(blocks, parts);
                blocks += TBlock.Bytes;
                parts.Codes += TBlock.Elements;
                parts.Scales += subs;
                parts.Mins += subs;
                parts.WideScales += wides;
                parts.WideMins += wides;
            }
        }
    }
}
