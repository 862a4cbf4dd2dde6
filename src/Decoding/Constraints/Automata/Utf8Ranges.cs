namespace Understory.Decoding.Constraints.Automata;

/// <summary>
/// Writes a range of code points as alternatives of byte ranges, one per byte of their UTF-8 form: U+0800 to U+FFFF, for one, is
/// <c>E0 [A0-BF] [80-BF] | [E1-EF] [80-BF] [80-BF]</c> (surrogates aside).
/// </summary>
internal static class Utf8Ranges
{
    private static readonly int[] _lastOfLength = [0x7F, 0x7FF, 0xFFFF, 0x10FFFF];

    /// <summary>Calls <paramref name="add"/> with each alternative: its byte ranges from the first byte on.</summary>
    public static void Split(int first, int last, Action<(byte First, byte Last)[]> add)
    {
        foreach (int end in _lastOfLength)
        {
            if (first <= Math.Min(last, end))
            {
                SplitByBytes(first, Math.Min(last, end), add);
                first = end + 1;
            }
        }
    }

    /// <summary>Both ends have UTF-8 forms of one length.</summary>
    private static void SplitByBytes(int first, int last, Action<(byte, byte)[]> add)
    {
        Span<byte> low = stackalloc byte[4];
        Span<byte> high = stackalloc byte[4];
        int length = Encode(first, low);
        _ = Encode(last, high);

        // A range is one alternative where below the first byte that differs all continuation bytes are free.
        for (int tail = length - 1; tail > 0; tail--)
        {
            int block = (1 << (6 * tail)) - 1;
            if ((first & ~block) != (last & ~block))
            {
                if ((first & block) != 0)
                {
                    SplitByBytes(first, first | block, add);
                    SplitByBytes((first | block) + 1, last, add);
                    return;
                }

                if ((last & block) != block)
                {
                    SplitByBytes(first, (last & ~block) - 1, add);
                    SplitByBytes(last & ~block, last, add);
                    return;
                }
            }
        }

        var ranges = new (byte, byte)[length];
        for (int i = 0; i < length; i++)
        {
            ranges[i] = (low[i], high[i]);
        }

        add(ranges);
    }

    private static int Encode(int codePoint, Span<byte> bytes)
    {
        if (codePoint < 0x80)
        {
            bytes[0] = (byte)codePoint;
            return 1;
        }

        int length = codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
        for (int i = length - 1; i > 0; i--)
        {
            bytes[i] = (byte)(0x80 | (codePoint & 0x3F));
            codePoint >>= 6;
        }

        bytes[0] = (byte)((0xF00 >> length) | codePoint);
        return length;
    }
}
