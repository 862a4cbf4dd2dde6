using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels.Quantised;

/// <summary>A form, and how large the sub-scales and mins of its files are.</summary>
/// <param name="Name">Of the file type, or what it stands for.</param>
/// <param name="Low">Least sub-scale.</param>
/// <param name="High">Largest sub-scale, and min.</param>
/// <param name="FileBits">Of 256 weights in the file.</param>
internal sealed record FormCase(string Name, QuantisedForm Form, int Low, int High, int FileBits)
{
    public override string ToString() => Name;
}

/// <summary>Every kind of quantised weights that files have.</summary>
internal static class Forms
{
    private static readonly sbyte[] _iq4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    private static readonly sbyte[] _fp4 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
    private static readonly sbyte[] _iq1 = [-9, -7, -1, 1, 7, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    private static readonly sbyte[] _iq2 = [-43, -25, -8, 8, 25, 43, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    private static readonly sbyte[] _iq3 = [-62, -52, -44, -36, -28, -20, -12, -4, 4, 12, 20, 28, 36, 44, 52, 62];

    public static FormCase[] All { get; } =
    [
        new("Q4_0", new(4, 8, 32, 32), 0, 0, 8 * 144),
        new("Q4_1", new(4, 0, 32, 32, Mins: true), 0, 0, 8 * 160),
        new("Q5_0", new(5, 16, 32, 32), 0, 0, 8 * 176),
        new("Q5_1", new(5, 0, 32, 32, Mins: true), 0, 0, 8 * 192),
        new("Q8_0", new(8, 128, 32, 32), 0, 0, 8 * 272),
        new("Q2_K", new(2, 0, 16, 256, true, true, true), 0, 15, 8 * 84),
        new("Q3_K", new(3, 4, 16, 256, true), -32, 31, 8 * 110),
        new("Q4_K", new(4, 0, 32, 256, true, true, true), 0, 63, 8 * 144),
        new("Q5_K", new(5, 0, 32, 256, true, true, true), 0, 63, 8 * 176),
        new("Q6_K", new(6, 32, 16, 256, true), -128, 127, 8 * 210),
        new("IQ4_NL", new(4, 0, 32, 32, Values: _iq4), 0, 0, 8 * 144),
        new("IQ4_XS", new(4, 0, 32, 256, true, Values: _iq4), -32, 31, 8 * 136),
        new("MXFP4", new(4, 0, 32, 32, Scale: ScaleType.E8M0, ScaleFactor: 0.5f, Values: _fp4), 0, 0, 8 * 136),
        new("NVFP4", new(4, 0, 16, 16, Scale: ScaleType.UE4M3, ScaleFactor: 0.5f, Values: _fp4), 0, 0, 8 * 144),
        new("IQ1_S", new(4, 0, 32, 256, true, ScaleFactor: 0.125f, Values: _iq1), -15, 15, 0),
        new("IQ1_M", new(4, 0, 16, 256, true, ScaleFactor: 0.125f, Values: _iq1), -15, 15, 0),
        new("IQ2 32", new(4, 0, 32, 256, true, ScaleFactor: 0.125f, Values: _iq2), 1, 31, 0),
        new("IQ2 16", new(4, 0, 16, 256, true, ScaleFactor: 0.125f, Values: _iq2), 1, 31, 0),
        new("IQ3", new(4, 0, 32, 256, true, ScaleFactor: 0.25f, Values: _iq3), 1, 31, 0),
        new("TQ", new(2, 1, 32, 256), 0, 0, 0),
        new("AWQ", new(4, 0, 32, 128, Mins: true, SubMins: true), 0, 15, 0),
        new("GPTQ", new(4, 8, 32, 64, Scale: ScaleType.BF16), 0, 0, 0),
        new("AWQ 32", new(4, 0, 32, 32, Mins: true, Scale: ScaleType.F32), 0, 0, 0),
        new("int4", new(4, 8, 32, 128, Scale: ScaleType.F32), 0, 0, 0),
        new("int8", new(8, 128, 32, 128, Scale: ScaleType.BF16), 0, 0, 0),
        new("int8, zeros", new(8, 128, 32, 128, Mins: true, SubMins: true), -128, 127, 0),
        new("uint8", new(8, 0, 32, 64, Mins: true, SubMins: true), -128, 127, 0),
        new("int8, sub-blocks of 16", new(8, 128, 16, 256, true, true, true), -4, 4, 0),
        new("int4, mins of 16", new(4, 0, 16, 64, Mins: true, SubMins: true), -128, 127, 0),
        new("wide int8", new(8, 128, 32, 1152, Scale: ScaleType.F32), 0, 0, 0),
    ];

    public static TheoryData<string> Names => [.. All.Select(form => form.Name)];

    public static FormCase Of(string name) => All.First(form => form.Name == name);

    /// <summary>A multiple of the form's wide blocks, at or above the least that is asked for.</summary>
    public static int Columns(QuantisedForm form, int least) => (least + form.Wide - 1) / form.Wide * form.Wide;

    /// <summary>A row of random content, or of the extremes that the form's files can have.</summary>
    public static QuantisedRow Row(FormCase of, int columns, Random random, Content content)
    {
        QuantisedForm form = of.Form;
        var row = new QuantisedRow(form, columns);
        int codes = 1 << form.Bits;
        for (int i = 0; i < row.Codes.Length; i++)
        {
            row.Codes[i] = (byte)(content switch
            {
                Content.Zeros => 0,
                Content.Highest => Farthest(form, 1),
                Content.Lowest => Farthest(form, -1),
                _ => random.Next(codes),
            });
        }

        foreach (ref sbyte scale in row.Scales.AsSpan())
        {
            scale = (sbyte)(content switch { Content.Highest => of.High, Content.Lowest => of.Low, _ => random.Next(of.Low, of.High + 1) });
        }

        foreach (ref sbyte min in row.Mins.AsSpan())
        {
            min = (sbyte)(content is Content.Highest or Content.Lowest ? of.High : random.Next(of.Low, of.High + 1));
        }

        foreach (ref uint scale in row.WideScales.AsSpan())
        {
            scale = WideBits(form, random, content);
        }

        foreach (ref uint min in row.WideMins.AsSpan())
        {
            min = WideBits(form, random, content);
        }

        return row;
    }

    /// <summary>The code of the largest or the least value.</summary>
    private static int Farthest(QuantisedForm form, int sign) =>
        Enumerable.Range(0, 1 << form.Bits).MaxBy(code => sign * form.Value((byte)code));

    private static uint WideBits(QuantisedForm form, Random random, Content content)
    {
        float value = content switch
        {
            Content.Zeros => 0,
            // Among them subnormal numbers of 16 bits.
            Content.Tiny => random.NextSingle() * 1e-6f,
            Content.Huge => 60000f * (random.NextSingle() - 0.5f),
            Content.NotFinite => random.Next(4) switch
            {
                0 => float.PositiveInfinity,
                1 => float.NegativeInfinity,
                2 => float.NaN,
                _ => 0.01f,
            },
            _ => (random.NextSingle() - 0.3f) * 0.01f,
        };
        return form.Scale switch
        {
            ScaleType.F16 => Scalar.ToFloat16(value),
            ScaleType.BF16 => Scalar.ToBFloat16(value),
            ScaleType.F32 => BitConverter.SingleToUInt32Bits(value),
            ScaleType.E8M0 => (uint)(content switch
            {
                Content.Zeros or Content.Tiny => random.Next(3),
                Content.Huge => random.Next(200, 255),
                Content.NotFinite => random.Next(252, 256),
                _ => random.Next(110, 130),
            }),
            // 127 is NaN.
            _ => (uint)(content switch { Content.Zeros => 0, Content.NotFinite => random.Next(120, 128), _ => random.Next(127) }),
        };
    }
}

/// <summary>What rows are filled with.</summary>
internal enum Content
{
    Random,
    Zeros,
    Highest,
    Lowest,
    Tiny,
    Huge,
    NotFinite,
}
