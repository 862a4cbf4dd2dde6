using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Formats.Packed;

/// <summary>
/// Whole numbers of four or eight bits, so many neighbours of a row under one scale: what the packings of safetensors become. A block: the
/// bits of the scale and the zero point (four bytes each), then the codes; of four bits, the low halves of each 16 bytes are the first 16
/// of 32 weights. <c>w = scale * (code - zero)</c>, which is <c>scale * code - scale * zero</c> in the neutral form: exact in F32 where
/// scales have 16 bits.
/// </summary>
internal sealed unsafe class GroupedFormat : QuantisedFormat
{
    /// <summary>Bytes before a block's codes.</summary>
    public const int Head = 8;

    private static readonly ConcurrentDictionary<(int Bits, int Group, ScaleType Scale, bool Zeros), GroupedFormat> _all = new();

    private GroupedFormat(int bits, int group, QuantisedForm form)
        : base($"INT{bits}", group, Head + (group * bits / 8), form)
    {
    }

    /// <param name="bits">4 or 8.</param>
    /// <param name="group">Weights under one scale, a multiple of 32.</param>
    /// <param name="zeros">Groups have zero points; else the middle code is zero.</param>
    public static GroupedFormat Of(int bits, int group, ScaleType scale, bool zeros) => _all.GetOrAdd(
        (bits, group, scale, zeros),
        static key =>
        {
            int offset = key.Zeros && key.Bits == 4 ? 0 : 1 << (key.Bits - 1);
            var form = new QuantisedForm(key.Bits, offset, Sub: 32, key.Group, Mins: key.Zeros, SubMins: key.Zeros, Scale: key.Scale);
            return new GroupedFormat(key.Bits, key.Group, form);
        });

    /// <summary>Where in a row the codes of inputs <paramref name="input"/> to <paramref name="input"/> + 31 are, of four bits.</summary>
    public long ChunkOffset(int input) => ((long)(input / Form.Wide) * BlockBytes) + Head + (input % Form.Wide / 2);

    /// <summary>The codes of 32 neighbours, four bits each and the first one lowest, in the order of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> FromSequence(Vector128<byte> nibbles)
    {
        (Vector128<ushort> first, Vector128<ushort> second) = Vector128.Widen(nibbles);
        return Apart(first).AsByte() | (Apart(second) << 4).AsByte();

        // A byte's two halves become two bytes.
        static Vector128<ushort> Apart(Vector128<ushort> bytes) => (bytes | (bytes << 4)) & Vector128.Create((ushort)0x0F0F);
    }

    public override void Read(byte* blocks, int elements, QuantisedRow row)
    {
        int subs = Form.Wide / Form.Sub;
        fixed (byte* start = row.Codes)
        {
            byte* codes = start;
            for (int group = 0; group < elements / Form.Wide; group++, blocks += BlockBytes, codes += Form.Wide)
            {
                row.WideScales[group] = *(uint*)blocks;
                if (Form.Mins)
                {
                    row.WideMins[group] = *(uint*)blocks;
                    row.Mins.AsSpan(group * subs, subs).Fill((sbyte)*(int*)(blocks + 4));
                }

                if (Form.Bits == 8)
                {
                    Buffer.MemoryCopy(blocks + Head, codes, Form.Wide, Form.Wide);
                    continue;
                }

                for (int i = 0; i < Form.Wide; i += 32)
                {
                    Unpack.Nibbles(blocks + Head + (i / 2), codes + i);
                }
            }
        }
    }
}
