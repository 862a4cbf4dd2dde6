namespace Understory.Models.Tensors;

/// <summary>How the wide scales of quantised weights are written.</summary>
public enum ScaleType
{
    F16,
    BF16,
    F32,

    /// <summary>An exponent alone: 2^(bits - 127) (OCP Microscaling formats, E8M0). 255 is NaN.</summary>
    E8M0,

    /// <summary>The 8-bit float of NVFP4's scales, without a sign: 4 bits of exponent (bias 7), 3 of mantissa, 127 is NaN.</summary>
    UE4M3,
}

/// <summary>
/// The arithmetic of a kind of quantised weights; every file type is one of these, without loss:
/// <code>
/// w[i] = (d * sc) * v[i] - (dmin * mn)        v[i] = Values is null ? code[i] - Offset : Values[code[i]]
/// d = ScaleFactor * wide scale, dmin = ScaleFactor * wide min      one per Wide inputs
/// sc, mn                                                           one per Sub inputs; 1 where the form has none
/// </code>
/// </summary>
/// <param name="Bits">Of a code: 2, 3, 4, 5, 6 or 8, unsigned.</param>
/// <param name="Offset">What a code of value 0 is.</param>
/// <param name="Sub">Inputs of a sub-block: 16 or 32.</param>
/// <param name="Wide">Inputs under one wide scale: 16, or a multiple of 32.</param>
/// <param name="SubScales">Each sub-block has an 8-bit scale, signed.</param>
/// <param name="Mins">There is something to subtract.</param>
/// <param name="SubMins">Each sub-block has an 8-bit min, signed.</param>
/// <param name="ScaleFactor">A power of two.</param>
/// <param name="Values">16 values of a 4-bit code.</param>
public sealed record QuantisedForm(
    int Bits,
    int Offset,
    int Sub,
    int Wide,
    bool SubScales = false,
    bool Mins = false,
    bool SubMins = false,
    ScaleType Scale = ScaleType.F16,
    float ScaleFactor = 1,
    sbyte[]? Values = null)
{
    /// <summary>The number that the bits of a wide scale (or min) stand for, the factor included. All of them are exact in F32.</summary>
    public float Wider(uint bits) => ScaleFactor * (Scale switch
    {
        ScaleType.F16 => Scalar.FromFloat16((ushort)bits),
        ScaleType.BF16 => Scalar.FromBFloat16((ushort)bits),
        ScaleType.F32 => BitConverter.UInt32BitsToSingle(bits),
        // 2^-127 is a subnormal: 0x00400000.
        ScaleType.E8M0 => BitConverter.UInt32BitsToSingle(bits switch { 255 => 0x7FC00000, 0 => 0x00400000, _ => bits << 23 }),
        _ => bits == 0x7F ? float.NaN : bits < 8 ? bits / 512f
            : BitConverter.UInt32BitsToSingle(((bits >> 3) + 120 << 23) | ((bits & 7) << 20)),
    });

    /// <summary>
    /// Some of these bits of wide scales stand for no finite number: all bits of the exponent are set (UE4M3: of the mantissa too).
    /// </summary>
    internal bool HasBad(ReadOnlySpan<uint> scales)
    {
        uint exponent = Scale switch
        {
            ScaleType.F16 => 0x7C00,
            ScaleType.BF16 => 0x7F80,
            ScaleType.F32 => 0x7F800000,
            ScaleType.E8M0 => 0xFF,
            _ => 0x7F,
        };
        bool bad = false;
        foreach (uint bits in scales)
        {
            bad |= (bits & exponent) == exponent;
        }

        return bad;
    }

    /// <summary>What a code stands for.</summary>
    public int Value(byte code) => Values is null ? code - Offset : Values[code];
}

/// <summary>A row of quantised weights, taken apart: what a file's block type is read into and what kernels pack.</summary>
/// <param name="columns">Inputs, a multiple of 32.</param>
public sealed class QuantisedRow(QuantisedForm form, int columns)
{
    public QuantisedForm Form { get; } = form;

    /// <summary><c>[columns]</c></summary>
    public byte[] Codes { get; } = new byte[columns];

    /// <summary><c>[columns / Sub]</c>; empty where the form has none. So are the others.</summary>
    public sbyte[] Scales { get; } = new sbyte[form.SubScales ? columns / form.Sub : 0];

    /// <summary><c>[columns / Sub]</c></summary>
    public sbyte[] Mins { get; } = new sbyte[form.SubMins ? columns / form.Sub : 0];

    /// <summary><c>[columns / Wide]</c>: the bits of d, in the form's type.</summary>
    public uint[] WideScales { get; } = new uint[columns / form.Wide];

    /// <summary><c>[columns / Wide]</c>: the bits of dmin.</summary>
    public uint[] WideMins { get; } = new uint[form.Mins ? columns / form.Wide : 0];

    /// <summary>Some wide scale or min is NaN or infinite: no sound file has such a one.</summary>
    public bool HasBadScale => Form.HasBad(WideScales) || Form.HasBad(WideMins);

    /// <summary>The values by the form's own formula, each step rounded to F32.</summary>
    public void Decode(Span<float> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            float scale = Form.Wider(WideScales[i / Form.Wide]);
            scale = Form.SubScales ? scale * Scales[i / Form.Sub] : scale;
            float value = scale * Form.Value(Codes[i]);
            if (Form.Mins)
            {
                float min = Form.Wider(WideMins[i / Form.Wide]);
                value -= Form.SubMins ? min * Mins[i / Form.Sub] : min;
            }

            values[i] = value;
        }
    }
}

/// <summary>Weights in blocks that share scales.</summary>
public abstract unsafe class QuantisedFormat(string name, int blockElements, int blockBytes, QuantisedForm form)
    : WeightFormat(name, blockElements, blockBytes)
{
    public QuantisedForm Form { get; } = form;

    /// <summary>Takes a row's blocks apart.</summary>
    /// <param name="elements">Of the row: a whole number of blocks.</param>
    public abstract void Read(byte* blocks, int elements, QuantisedRow row);

    public override void Decode(byte* blocks, int elements, float* values)
    {
        var row = new QuantisedRow(Form, elements);
        Read(blocks, elements, row);
        row.Decode(new Span<float>(values, elements));
    }
}
