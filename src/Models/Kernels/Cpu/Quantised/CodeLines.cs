using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Codes of 32 inputs of 16 outputs between one byte each and the lines that <see cref="ICodes"/> reads.</summary>
internal static unsafe class CodeLines
{
    /// <param name="quads"><c>[8, 16, 4]</c>: a byte for each code, four inputs of 16 outputs after four inputs.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Write(int bits, byte* quads, byte* lines)
    {
        // Part by part of a line, since bytes of different outputs have nothing to do with each other.
        for (int part = 0; part < QuantisedLayout.Line; part += Vector128<byte>.Count)
        {
            byte* from = quads + part;
            byte* to = lines + part;
            switch (bits)
            {
                case 2:
                    Join(from, to, shift: 0, bits: 2);
                    break;
                case 3:
                    Join(from, to, shift: 0, bits: 2);
                    Join(from, to + 128, shift: 2, bits: 1);
                    break;
                case 4:
                    Join(from, to, shift: 0, bits: 4);
                    break;
                case 5:
                    Join(from, to, shift: 0, bits: 4);
                    Join(from, to + 256, shift: 4, bits: 1);
                    break;
                case 6:
                    Join(from, to, shift: 0, bits: 4);
                    Join(from, to + 256, shift: 4, bits: 2);
                    break;
                default:
                    Join(from, to, shift: 0, bits: 8);
                    break;
            }
        }
    }

    /// <summary>The codes of one output.</summary>
    /// <param name="codes">32 bytes.</param>
    public static void Read(int bits, byte* lines, int output, byte* codes)
    {
        uint* quads = (uint*)codes;
        new Span<uint>(quads, 8).Clear();
        byte* from = lines + (4 * output);
        switch (bits)
        {
            case 2:
                Split(from, quads, shift: 0, bits: 2);
                break;
            case 3:
                Split(from, quads, shift: 0, bits: 2);
                Split(from + 128, quads, shift: 2, bits: 1);
                break;
            case 4:
                Split(from, quads, shift: 0, bits: 4);
                break;
            case 5:
                Split(from, quads, shift: 0, bits: 4);
                Split(from + 256, quads, shift: 4, bits: 1);
                break;
            case 6:
                Split(from, quads, shift: 0, bits: 4);
                Split(from + 256, quads, shift: 4, bits: 2);
                break;
            default:
                Split(from, quads, shift: 0, bits: 8);
                break;
        }
    }

    /// <summary>Some bits of each code into lines with the next quads' bits beside them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Join(byte* quads, byte* lines, int shift, int bits)
    {
        Vector128<byte> mask = Vector128.Create((byte)((1 << bits) - 1));
        for (int quad = 0; quad < 8; lines += QuantisedLayout.Line)
        {
            Vector128<byte> line = default;
            for (int place = 0; place < 8; place += bits, quad++)
            {
                Vector128<byte> part = (Vector128.Load(quads + (quad * QuantisedLayout.Line)) >>> shift) & mask;
                line |= part << place;
            }

            line.Store(lines);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(byte* lines, uint* quads, int shift, int bits)
    {
        uint mask = (uint)((1 << bits) - 1) * 0x01010101u;
        for (int quad = 0; quad < 8; lines += QuantisedLayout.Line)
        {
            uint line = *(uint*)lines;
            for (int place = 0; place < 8; place += bits, quad++)
            {
                quads[quad] |= ((line >> place) & mask) << shift;
            }
        }
    }
}
