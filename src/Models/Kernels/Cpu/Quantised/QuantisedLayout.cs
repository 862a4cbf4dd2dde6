using System.Runtime.Intrinsics;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>
/// Quantised weights as the CPU's kernels read them, front to back: blocks of 16 outputs (the last one padded with scales of 0); in a
/// block, chunks of up to <see cref="ChunkInputs"/> inputs; in a chunk a header padded to whole lines of 64 bytes, then the codes, 32
/// inputs after 32 inputs, in lines as <see cref="ICodes"/> says. The header has the wide scales <c>[wide blocks, 16]</c> as in the
/// file, the wide mins, the sub-scales <c>[32 inputs, 16 outputs, sub-blocks]</c> of 8 bits, the sub-mins. Two-bit codes with both have
/// them in the nibbles of one byte.
/// </summary>
internal sealed unsafe class QuantisedLayout
{
    /// <summary>Outputs of a block.</summary>
    public const int Outputs = 16;

    /// <summary>Inputs that share a scale of the input.</summary>
    public const int Inputs = 32;

    /// <summary>Bytes of a line.</summary>
    public const int Line = 64;

    /// <summary>Enough for any header to be whole lines, or nearly so.</summary>
    public const int MostChunkInputs = 512;

    /// <exception cref="ArgumentException">The columns are no multiple of 32 and of the form's wide blocks.</exception>
    /// <exception cref="NotSupportedException">The kernels have no such form.</exception>
    public QuantisedLayout(QuantisedForm form, int rows, int columns)
    {
        if (columns <= 0 || columns % Inputs != 0 || columns % form.Wide != 0)
        {
            throw new ArgumentException($"{columns} inputs are not a whole number of blocks of 32 and of {form.Wide}.", nameof(columns));
        }

        Form = form;
        Rows = rows;
        Columns = columns;
        SetCodes(form);
        if (form.Sub is not (16 or 32) || (form.Wide % Inputs != 0 && form.Wide != 16)
            || (form.Wide == 16 && (form.Mins || form.SubScales || WordSums == 0)))
        {
            throw new NotSupportedException($"The kernels have no sub-blocks of {form.Sub} in blocks of {form.Wide}: {form}.");
        }

        ScaleBytes = form.Scale switch { ScaleType.F32 => 4, ScaleType.F16 or ScaleType.BF16 => 2, _ => 1 };
        NibblePairs = form is { Bits: 2, SubScales: true, SubMins: true };
        SubBytes = Outputs * Inputs / form.Sub;
        CodeBytes = Line * form.Bits;
        ChunkInputs = form.Wide <= MostChunkInputs ? MostChunkInputs / form.Wide * form.Wide : LargestDivisor(form.Wide);
        Whole = new QuantisedChunk(this, Math.Min(ChunkInputs, columns));
        Last = columns % ChunkInputs == 0 ? Whole : new QuantisedChunk(this, columns % ChunkInputs);
        BlockBytes = ((long)((columns - 1) / ChunkInputs) * Whole.Bytes) + Last.Bytes;
    }

    public QuantisedForm Form { get; }

    /// <summary>Outputs of the matrix.</summary>
    public int Rows { get; }

    /// <summary>Inputs of the matrix.</summary>
    public int Columns { get; }

    public int Blocks => (Rows + Outputs - 1) / Outputs;

    /// <summary>From one block of 16 outputs to the next.</summary>
    public long BlockBytes { get; }

    /// <summary>Of the matrix.</summary>
    public long Bytes => Blocks * BlockBytes;

    public int ChunkInputs { get; }

    /// <summary>Chunks of <see cref="ChunkInputs"/>.</summary>
    public QuantisedChunk Whole { get; }

    /// <summary>The last chunk of each block.</summary>
    public QuantisedChunk Last { get; }

    /// <summary>Of a wide scale.</summary>
    public int ScaleBytes { get; }

    /// <summary>Of the sub-scales of 32 inputs of a block.</summary>
    public int SubBytes { get; }

    /// <summary>Of the codes of 32 inputs of a block.</summary>
    public int CodeBytes { get; }

    /// <summary>Sub-scales and sub-mins are nibbles.</summary>
    public bool NibblePairs { get; }

    /// <summary>What an unsigned code (or byte of the table) of value 0 is.</summary>
    public int Bias { get; private set; }

    /// <summary>The values of codes, the bias added.</summary>
    public Vector128<byte> Table { get; private set; }

    /// <summary>
    /// Products of bytes, two by two, whose sum certainly fits into a 16-bit word: 8, 4, 2 or 1; 0 where not even one does.
    /// </summary>
    public int WordSums { get; private set; }

    private void SetCodes(QuantisedForm form)
    {
        int largest = (1 << form.Bits) - 1;
        Bias = form.Offset;
        if (form.Values is not null)
        {
            int low = Math.Min(0, (int)form.Values.Min());
            // Bytes of 0 .. 255 are read by the kernels of 8-bit codes.
            Bias = form.Values.Max() - low <= 127 ? -low : 128;
            largest = form.Values.Max() + Bias;
            Table = Vector128.Create([.. form.Values.Select(value => (byte)(value + Bias))]);
        }

        WordSums = (short.MaxValue / (2 * QuantisedInput.Largest * largest)) switch { >= 8 => 8, >= 4 => 4, >= 2 => 2, 1 => 1, _ => 0 };
    }

    private static int LargestDivisor(int wide)
    {
        int inputs = MostChunkInputs;
        while (wide % inputs != 0)
        {
            inputs -= Inputs;
        }

        return inputs;
    }
}

/// <summary>Where the parts of a chunk begin.</summary>
internal readonly struct QuantisedChunk
{
    public QuantisedChunk(QuantisedLayout layout, int inputs)
    {
        QuantisedForm form = layout.Form;
        int blocks = inputs / QuantisedLayout.Inputs;
        int wideBytes = Math.Max(1, inputs / form.Wide) * QuantisedLayout.Outputs * layout.ScaleBytes;
        Blocks = blocks;
        WideMins = wideBytes;
        SubScales = WideMins + (form.Mins ? wideBytes : 0);
        SubMins = SubScales + (form.SubScales && !layout.NibblePairs ? blocks * layout.SubBytes : 0);
        int end = SubMins + (form.SubMins ? blocks * layout.SubBytes : 0);
        Codes = (end + QuantisedLayout.Line - 1) / QuantisedLayout.Line * QuantisedLayout.Line;
        Bytes = Codes + (blocks * layout.CodeBytes);
    }

    /// <summary>Blocks of 32 inputs.</summary>
    public int Blocks { get; }

    public int WideMins { get; }

    public int SubScales { get; }

    public int SubMins { get; }

    public int Codes { get; }

    public int Bytes { get; }
}
