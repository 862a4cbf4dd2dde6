using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Rows of quantised weights into blocks of a <see cref="QuantisedLayout"/>, and back.</summary>
internal static unsafe class QuantisedPacker
{
    private const int Outputs = QuantisedLayout.Outputs;
    private const int Inputs = QuantisedLayout.Inputs;

    /// <param name="rows">Up to 16 outputs; those that are missing get scales of 0.</param>
    /// <param name="block">Of <see cref="QuantisedLayout.BlockBytes"/>; all of it is written.</param>
    /// <exception cref="ArgumentException">A row has other columns than the layout.</exception>
    /// <exception cref="NotSupportedException">Sub-scales that must be nibbles are not.</exception>
    public static void Pack(QuantisedLayout layout, ReadOnlySpan<QuantisedRow> rows, byte* block)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows.Length, Outputs);
        foreach (QuantisedRow row in rows)
        {
            if (row.Codes.Length != layout.Columns || row.Form != layout.Form)
            {
                throw new ArgumentException(
                    $"A row of {row.Codes.Length} inputs of {row.Form} does not fit {layout.Columns} of {layout.Form}.", nameof(rows));
            }
        }

        for (int first = 0; first < layout.Columns; first += layout.ChunkInputs)
        {
            QuantisedChunk chunk = first + layout.ChunkInputs <= layout.Columns ? layout.Whole : layout.Last;
            new Span<byte>(block, chunk.Codes).Clear();
            for (int output = 0; output < rows.Length; output++)
            {
                WriteHeader(layout, chunk, rows[output], first, output, block);
            }

            WriteCodes(layout, chunk.Blocks, rows, first, block + chunk.Codes);
            block += chunk.Bytes;
        }
    }

    /// <summary>One output of a packed matrix, as it was before it was packed.</summary>
    /// <param name="matrix">The first block.</param>
    public static void Unpack(QuantisedLayout layout, byte* matrix, int output, QuantisedRow row)
    {
        QuantisedForm form = layout.Form;
        byte* block = matrix + (output / Outputs * layout.BlockBytes);
        int lane = output % Outputs;
        fixed (byte* codes = row.Codes)
        {
            for (int first = 0; first < layout.Columns; first += layout.ChunkInputs)
            {
                QuantisedChunk chunk = first + layout.ChunkInputs <= layout.Columns ? layout.Whole : layout.Last;
                for (int i = 0; i < chunk.Blocks; i++)
                {
                    CodeLines.Read(form.Bits, block + chunk.Codes + (i * layout.CodeBytes), lane, codes + first + (i * Inputs));
                }

                int perBlock = Inputs / form.Sub;
                for (int sub = 0; sub < chunk.Blocks * perBlock; sub++)
                {
                    int at = (sub / perBlock * layout.SubBytes) + (lane * perBlock) + (sub % perBlock);
                    int index = (first / form.Sub) + sub;
                    if (form.SubScales)
                    {
                        row.Scales[index] = (sbyte)(block[chunk.SubScales + at] & (layout.NibblePairs ? 15 : 255));
                    }

                    if (form.SubMins)
                    {
                        row.Mins[index] = layout.NibblePairs ? (sbyte)(block[chunk.SubMins + at] >> 4) : (sbyte)block[chunk.SubMins + at];
                    }
                }

                for (int wide = 0; wide < Wides(layout, chunk); wide++)
                {
                    int at = (wide * Outputs) + lane;
                    row.WideScales[(first / form.Wide) + wide] = ReadBits(layout.ScaleBytes, block, at);
                    if (form.Mins)
                    {
                        row.WideMins[(first / form.Wide) + wide] = ReadBits(layout.ScaleBytes, block + chunk.WideMins, at);
                    }
                }

                block += chunk.Bytes;
            }
        }
    }

    /// <summary>The values of one output, exactly those of <see cref="QuantisedRow.Decode"/>.</summary>
    /// <param name="matrix">The first block.</param>
    /// <param name="values"><c>[columns]</c></param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Decode(QuantisedLayout layout, byte* matrix, int output, float* values)
    {
        QuantisedForm form = layout.Form;
        byte* block = matrix + (output / Outputs * layout.BlockBytes);
        int lane = output % Outputs;
        byte* codes = stackalloc byte[Inputs];
        float* ofCode = stackalloc float[256];
        for (int code = 0; code < 1 << form.Bits; code++)
        {
            ofCode[code] = form.Value((byte)code);
        }

        // A step is what has scales of its own: a sub-block, or a smaller wide block.
        int step = Math.Min(form.Sub, form.Wide);
        int perBlock = Inputs / form.Sub;
        for (int first = 0; first < layout.Columns; first += layout.ChunkInputs)
        {
            QuantisedChunk chunk = first + layout.ChunkInputs <= layout.Columns ? layout.Whole : layout.Last;
            for (int input = 0; input < chunk.Blocks * Inputs; input += step)
            {
                if (input % Inputs == 0)
                {
                    CodeLines.Read(form.Bits, block + chunk.Codes + (input / Inputs * layout.CodeBytes), lane, codes);
                }

                int sub = (input / Inputs * layout.SubBytes) + (lane * perBlock) + (input % Inputs / form.Sub);
                int wide = (input / form.Wide * Outputs) + lane;
                float scale = form.Wider(ReadBits(layout.ScaleBytes, block, wide));
                if (form.SubScales)
                {
                    byte bits = block[chunk.SubScales + sub];
                    scale *= layout.NibblePairs ? bits & 15 : (sbyte)bits;
                }

                float min = form.Mins ? form.Wider(ReadBits(layout.ScaleBytes, block + chunk.WideMins, wide)) : 0;
                if (form.SubMins)
                {
                    byte bits = block[chunk.SubMins + sub];
                    min *= layout.NibblePairs ? bits >> 4 : (sbyte)bits;
                }

                for (int i = 0; i < step; i++)
                {
                    *values++ = (scale * ofCode[codes[(input % Inputs) + i]]) - min;
                }
            }

            block += chunk.Bytes;
        }
    }

    /// <summary>Wide scales of a chunk; a wider block's one is in each of its chunks.</summary>
    private static int Wides(QuantisedLayout layout, QuantisedChunk chunk) => Math.Max(1, chunk.Blocks * Inputs / layout.Form.Wide);

    private static void WriteHeader(QuantisedLayout layout, QuantisedChunk chunk, QuantisedRow row, int first, int lane, byte* block)
    {
        QuantisedForm form = layout.Form;
        for (int wide = 0; wide < Wides(layout, chunk); wide++)
        {
            int index = (first / form.Wide) + wide;
            WriteBits(layout.ScaleBytes, block, (wide * Outputs) + lane, row.WideScales[index]);
            if (form.Mins)
            {
                WriteBits(layout.ScaleBytes, block + chunk.WideMins, (wide * Outputs) + lane, row.WideMins[index]);
            }
        }

        int subs = chunk.Blocks * Inputs / form.Sub;
        if (layout.NibblePairs)
        {
            Span<sbyte> pairs = stackalloc sbyte[subs];
            JoinNibbles(row.Scales.AsSpan(first / form.Sub, subs), row.Mins.AsSpan(first / form.Sub, subs), pairs);
            WriteSubScales(pairs, form.Sub, lane, block + chunk.SubScales);
            return;
        }

        if (form.SubScales)
        {
            WriteSubScales(row.Scales.AsSpan(first / form.Sub, subs), form.Sub, lane, block + chunk.SubScales);
        }

        if (form.SubMins)
        {
            WriteSubScales(row.Mins.AsSpan(first / form.Sub, subs), form.Sub, lane, block + chunk.SubMins);
        }
    }

    private static void JoinNibbles(ReadOnlySpan<sbyte> scales, ReadOnlySpan<sbyte> mins, Span<sbyte> pairs)
    {
        for (int i = 0; i < pairs.Length; i++)
        {
            if (scales[i] is < 0 or > 15 || mins[i] is < 0 or > 15)
            {
                throw new NotSupportedException($"Sub-scale {scales[i]} or min {mins[i]} of 2-bit codes has more than 4 bits.");
            }

            pairs[i] = (sbyte)(scales[i] + (16 * mins[i]));
        }
    }

    private static void WriteSubScales(ReadOnlySpan<sbyte> scales, int sub, int lane, byte* target)
    {
        if (sub == Inputs)
        {
            for (int i = 0; i < scales.Length; i++)
            {
                target[(i * Outputs) + lane] = (byte)scales[i];
            }

            return;
        }

        ReadOnlySpan<ushort> pairs = MemoryMarshal.Cast<sbyte, ushort>(scales);
        for (int i = 0; i < pairs.Length; i++)
        {
            ((ushort*)target)[(i * Outputs) + lane] = pairs[i];
        }
    }

    /// <summary>
    /// Four codes at a time to their places, then those into lines: all of a chunk, so that nothing is read back at once.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WriteCodes(QuantisedLayout layout, int blocks, ReadOnlySpan<QuantisedRow> rows, int first, byte* lines)
    {
        const int BlockQuads = Outputs * Inputs / 4;
        uint* quads = stackalloc uint[QuantisedLayout.MostChunkInputs / Inputs * BlockQuads];
        new Span<uint>(quads, blocks * BlockQuads).Clear();
        for (int output = 0; output < rows.Length; output++)
        {
            fixed (byte* codes = &rows[output].Codes[first])
            {
                for (int quad = 0; quad < blocks * Inputs / 4; quad++)
                {
                    quads[(quad * Outputs) + output] = ((uint*)codes)[quad];
                }
            }
        }

        for (int i = 0; i < blocks; i++)
        {
            CodeLines.Write(layout.Form.Bits, (byte*)(quads + (i * BlockQuads)), lines + (i * layout.CodeBytes));
        }
    }

    private static uint ReadBits(int bytes, byte* source, int index) => bytes switch
    {
        1 => source[index],
        2 => ((ushort*)source)[index],
        _ => ((uint*)source)[index],
    };

    private static void WriteBits(int bytes, byte* target, int index, uint bits)
    {
        switch (bytes)
        {
            case 1:
                target[index] = (byte)bits;
                break;
            case 2:
                ((ushort*)target)[index] = (ushort)bits;
                break;
            default:
                ((uint*)target)[index] = bits;
                break;
        }
    }
}
