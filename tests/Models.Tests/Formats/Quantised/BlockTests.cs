using System.Globalization;
using System.Text.Json;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats.Quantised;

public sealed unsafe class BlockTests
{
    public static TheoryData<string> Types => [.. GgufTypes.All.Values.Select(format => format.Name)];

    public static TheoryData<string> QuantisedTypes => [.. GgufTypes.All.Values.OfType<QuantisedFormat>().Select(format => format.Name)];

    [SharedDataTheory("quants/index.json")]
    [MemberData(nameof(Types))]
    public void Every_type_decodes_to_the_bits_of_the_reference_library(string name)
    {
        WeightFormat format = Named(name);
        JsonElement entry = JsonElement.Parse(File.ReadAllBytes(SharedData.PathOf("quants/index.json"))).GetProperty(name);
        Assert.Same(format, GgufTypes.Find(entry.GetProperty("type").GetUInt32()));
        Assert.Equal(entry.GetProperty("block").GetInt32(), format.BlockElements);
        Assert.Equal(entry.GetProperty("bytes").GetInt32(), format.BlockBytes);
        int columns = entry.GetProperty("columns").GetInt32();
        byte[] blocks = File.ReadAllBytes(SharedData.PathOf($"quants/{name}.bin"));
        byte[] expected = File.ReadAllBytes(SharedData.PathOf($"quants/{name}.f32"));
        float[] values = new float[expected.Length / 4];
        Assert.Equal(format.Bytes(values.Length), blocks.Length);
        fixed (byte* from = blocks)
        fixed (float* to = values)
        {
            for (int row = 0; row < values.Length / columns; row++)
            {
                format.Decode(from + (row * format.Bytes(columns)), columns, to + (row * columns));
            }
        }

        for (int i = 0; i < values.Length; i++)
        {
            int bits = BitConverter.ToInt32(expected, 4 * i);
            bool same = BitConverter.SingleToInt32Bits(values[i]) == bits;
            Assert.True(same, $"{i}: {values[i]:R} instead of {BitConverter.Int32BitsToSingle(bits):R}");
        }
    }

    /// <summary>Hashes of what these bytes decode to, taken while every type gave the bits of the reference library.</summary>
    [Theory]
    [InlineData("Q4_0", 0x3EA4E43D6BC1E725)]
    [InlineData("Q4_1", 0x986974896AA9C265)]
    [InlineData("Q5_0", 0x314697BC71D4E925)]
    [InlineData("Q5_1", 0xDFB454C0E453B301)]
    [InlineData("Q8_0", 0x34CBBE21DF3DF925)]
    [InlineData("Q2_K", 0x0DD86872F1A2431C)]
    [InlineData("Q3_K", 0xAA96A0C72BC8AA65)]
    [InlineData("Q4_K", 0xDAE17BEE6EA701BF)]
    [InlineData("Q5_K", 0x10D1DD3644DDDBE0)]
    [InlineData("Q6_K", 0x7A4ED4A3F177A223)]
    [InlineData("IQ2_XXS", 0x8FD55830B12DB991)]
    [InlineData("IQ2_XS", 0x1A780433AFD1280D)]
    [InlineData("IQ2_S", 0x98F3CF16A1D25731)]
    [InlineData("IQ3_XXS", 0x28CB0F64F7568695)]
    [InlineData("IQ3_S", 0x17486B29DEE18535)]
    [InlineData("IQ1_S", 0x7FAF2B8508749AE5)]
    [InlineData("IQ1_M", 0x7C94638D6CDCF9A5)]
    [InlineData("IQ4_NL", 0x21E6DE98F76ADA65)]
    [InlineData("IQ4_XS", 0xA91140717ACE7529)]
    [InlineData("TQ1_0", 0x5C82FD246C93E325)]
    [InlineData("TQ2_0", 0x12BE3D36BBBBE325)]
    [InlineData("MXFP4", 0x39EDEFF52FDB6325)]
    [InlineData("NVFP4", 0x9B97DA6DD0376325)]
    public void Every_type_decodes_the_same_bytes_to_the_same_values(string name, ulong expected)
    {
        WeightFormat format = Named(name);
        const int columns = 4096;
        byte[] blocks = new byte[format.Bytes(columns)];
        uint state = 1;
        foreach (ref byte value in blocks.AsSpan())
        {
            // Numerical Recipes' linear congruential generator.
            state = (state * 1664525) + 1013904223;
            value = (byte)(state >> 24);
        }

        ulong hash = 0xCBF29CE484222325;
        foreach (float value in Decode(format, blocks, columns))
        {
            // FNV-1a over words; all NaNs are one.
            hash = (hash ^ (float.IsNaN(value) ? 0x7FC00000 : BitConverter.SingleToUInt32Bits(value))) * 0x100000001B3;
        }

        Assert.True(hash == expected, $"{name}: 0x{hash:X16}");
    }

    [SharedDataTheory("quants/books.json")]
    [InlineData("IQ1_S", 0)]
    [InlineData("IQ2_XXS", 1)]
    [InlineData("IQ2_XS", 2)]
    [InlineData("IQ2_S", 3)]
    [InlineData("IQ3_XXS", 4)]
    [InlineData("IQ3_S", 5)]
    public void Books_have_the_points_of_the_reference_library_in_its_order(string name, int index)
    {
        ulong[][] books = [CodeBooks.Iq1S, CodeBooks.Iq2Xxs, CodeBooks.Iq2Xs, CodeBooks.Iq2S, Wide(CodeBooks.Iq3Xxs), Wide(CodeBooks.Iq3S)];
        ulong[] book = books[index];
        JsonElement reference = JsonElement.Parse(File.ReadAllBytes(SharedData.PathOf("quants/books.json")));
        double[][] points = reference.GetProperty(name).Deserialize<double[][]>()!;
        double[] levels = [.. points.SelectMany(point => point).Distinct().Order()];
        Assert.Equal(points.Length, book.Length);
        for (int i = 0; i < book.Length; i++)
        {
            Assert.Equal(points[i], Enumerable.Range(0, points[i].Length).Select(j => levels[(book[i] >> (8 * j)) & 0xFF]));
        }

        static ulong[] Wide(uint[] narrow) => Array.ConvertAll(narrow, point => (ulong)point);
    }

    [Theory]
    [MemberData(nameof(QuantisedTypes))]
    public void Any_bytes_give_codes_that_the_form_allows(string name)
    {
        QuantisedFormat format = (QuantisedFormat)Named(name);
        QuantisedForm form = format.Form;
        byte[] blocks = new byte[format.Bytes(2048)];
        var row = new QuantisedRow(form, 2048);
        var random = new Random(name.Length);
        for (int trial = 0; trial < 20; trial++)
        {
            random.NextBytes(blocks);
            fixed (byte* from = blocks)
            {
                format.Read(from, 2048, row);
            }

            Assert.InRange(row.Codes.Max(), 0, (1 << form.Bits) - 1);
            if (form.Values is { } values && form.SubScales && form.ScaleFactor != 1)
            {
                Assert.All(row.Codes, code => Assert.NotEqual(0, values[code]));
            }
        }
    }

    [Theory]
    [MemberData(nameof(QuantisedTypes))]
    public void A_row_s_blocks_are_read_one_by_one(string name)
    {
        QuantisedFormat format = (QuantisedFormat)Named(name);
        const int columns = 1024;
        byte[] blocks = new byte[format.Bytes(columns)];
        new Random(1).NextBytes(blocks);
        float[] whole = Decode(format, blocks, columns);
        for (int at = 0; at < columns; at += format.BlockElements)
        {
            byte[] one = blocks.AsSpan((int)format.Bytes(at), format.BlockBytes).ToArray();
            float[] values = Decode(format, one, format.BlockElements);
            Assert.Equal(Bits(whole[at..(at + format.BlockElements)]), Bits(values));
        }
    }

    [Theory]
    [MemberData(nameof(QuantisedTypes))]
    public void A_block_s_products_with_inputs_of_eight_bits_stay_below_2_to_24(string name)
    {
        QuantisedForm form = ((QuantisedFormat)Named(name)).Form;
        int largest = Enumerable.Range(0, 1 << form.Bits).Max(code => Math.Abs(form.Value((byte)code)));
        // Sub-scales have eight bits in Q6_K, six with a sign in Q3_K and IQ4_XS, six without in Q4_K and Q5_K; others are below 32.
        int scale = !form.SubScales ? 1 : name switch { "Q6_K" => 128, "Q3_K" or "IQ4_XS" => 32, "Q4_K" or "Q5_K" => 63, _ => 31 };
        Assert.InRange(32L * 127 * largest * scale, 1, (1 << 24) - 1);
    }

    [Theory]
    [MemberData(nameof(QuantisedTypes))]
    public void Scales_that_are_no_numbers_are_seen_wherever_they_stand(string name)
    {
        QuantisedFormat format = (QuantisedFormat)Named(name);
        const int columns = 1024;
        var row = new QuantisedRow(format.Form, columns);
        Assert.False(row.HasBadScale);
        uint[] bad = format.Form.Scale switch { ScaleType.E8M0 => [255], ScaleType.UE4M3 => [127], _ => [0x7C00, 0xFC00, 0x7E01] };
        foreach (uint[] scales in (uint[][])[row.WideScales, row.WideMins])
        {
            for (int i = 0; i < scales.Length; i++)
            {
                foreach (uint bits in bad)
                {
                    scales[i] = bits;
                    Assert.True(row.HasBadScale, i.ToString(CultureInfo.InvariantCulture));
                }

                scales[i] = format.Form.Scale switch { ScaleType.E8M0 => 254, ScaleType.UE4M3 => 126, _ => 0xFBFF };
                Assert.False(row.HasBadScale);
            }
        }
    }

    [Theory]
    [InlineData("F32")]
    [InlineData("F16")]
    [InlineData("BF16")]
    public void Plain_weights_that_are_no_numbers_are_seen_wherever_they_stand(string name)
    {
        var format = (DenseFormat)Named(name);
        const int columns = 77;
        byte[] data = new byte[columns * format.BlockBytes];
        fixed (byte* at = data)
        {
            Assert.False(format.HasBadValue(at, columns));
            for (int i = 0; i < columns; i++)
            {
                foreach (float bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
                {
                    Scalar.Write(format.Type, (nint)at, i, bad);
                    Assert.True(format.HasBadValue(at, columns));
                    Assert.False(format.HasBadValue(at, i));
                }

                Scalar.Write(format.Type, (nint)at, i, -60000);
                Assert.False(format.HasBadValue(at, columns));
            }
        }
    }

    [Theory]
    [MemberData(nameof(QuantisedTypes))]
    public void Reading_a_row_allocates_nothing(string name)
    {
        QuantisedFormat format = (QuantisedFormat)Named(name);
        byte[] blocks = new byte[format.Bytes(1024)];
        var row = new QuantisedRow(format.Form, 1024);
        fixed (byte* from = blocks)
        {
            format.Read(from, 1024, row);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 10; i++)
            {
                format.Read(from, 1024, row);
            }

            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        }
    }

    [Fact]
    public void Types_without_a_reader_have_a_name_and_say_what_works()
    {
        Assert.Null(GgufTypes.Find(31));
        Assert.Equal("Q4_0_4_4", GgufTypes.NameOf(31));
        Assert.EndsWith("Q4_0", GgufTypes.InsteadOf(31), StringComparison.Ordinal);
        Assert.Null(GgufTypes.Find(4711));
        Assert.Equal("number 4711", GgufTypes.NameOf(4711));
        Assert.Contains("Q4_K", GgufTypes.InsteadOf(4711), StringComparison.Ordinal);
    }

    private static int[] Bits(float[] values) => Array.ConvertAll(values, BitConverter.SingleToInt32Bits);

    private static WeightFormat Named(string name) => GgufTypes.All.Values.Single(format => format.Name == name);

    private static float[] Decode(WeightFormat format, byte[] blocks, int elements)
    {
        float[] values = new float[elements];
        fixed (byte* from = blocks)
        fixed (float* to = values)
        {
            format.Decode(from, elements, to);
        }

        return values;
    }
}
