using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels.Quantised;

public unsafe class QuantisedPackerTests
{
    public static TheoryData<string> Names => Forms.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void A_packed_row_is_read_back_as_it_was(string name)
    {
        FormCase form = Forms.Of(name);
        foreach (int least in (int[])[32, 576, 2048 + 256])
        {
            using var bed = new QuantisedBed(form, outputs: 37, Forms.Columns(form.Form, least));
            for (int output = 0; output < bed.Rows.Length; output++)
            {
                var row = new QuantisedRow(form.Form, bed.Layout.Columns);
                QuantisedPacker.Unpack(bed.Layout, bed.Weights, output, row);
                Assert.Equal(bed.Rows[output].Codes, row.Codes);
                Assert.Equal(bed.Rows[output].Scales, row.Scales);
                Assert.Equal(bed.Rows[output].Mins, row.Mins);
                Assert.Equal(bed.Rows[output].WideScales, row.WideScales);
                Assert.Equal(bed.Rows[output].WideMins, row.WideMins);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Values_are_those_of_the_row_to_the_bit(string name)
    {
        FormCase form = Forms.Of(name);
        using var bed = new QuantisedBed(form, outputs: 37, Forms.Columns(form.Form, 896));
        float[] expected = new float[bed.Layout.Columns];
        float[] values = new float[bed.Layout.Columns];
        for (int output = 0; output < bed.Rows.Length; output++)
        {
            bed.Rows[output].Decode(expected);
            fixed (float* to = values)
            {
                QuantisedPacker.Decode(bed.Layout, bed.Weights, output, to);
            }

            for (int i = 0; i < values.Length; i++)
            {
                // NaN is NaN, whatever its bits.
                Assert.True(
                    (float.IsNaN(expected[i]) && float.IsNaN(values[i]))
                    || BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(values[i]));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Packing_writes_its_own_bytes_and_no_others(string name)
    {
        FormCase form = Forms.Of(name);
        using var bed = new QuantisedBed(form, outputs: 16, Forms.Columns(form.Form, 96));
        Assert.True(new Span<byte>(bed.Weights + bed.Layout.Bytes, 64).IndexOfAnyExcept((byte)0xA5) < 0);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Packed_matrices_are_at_most_four_percent_larger_than_their_files(string name)
    {
        FormCase form = Forms.Of(name);
        foreach (int columns in (int[])[512, 576, 896, 2048 + 256, 2880, 4096])
        {
            if (form.FileBits == 0 || columns % form.Form.Wide != 0)
            {
                continue;
            }

            double file = columns / 256.0 * form.FileBits / 8 * QuantisedLayout.Outputs;
            double extra = (new QuantisedLayout(form.Form, QuantisedLayout.Outputs, columns).BlockBytes / file) - 1;
            double most = name switch
            {
                "Q3_K" => 0.0364,
                "Q4_K" => 0.0278,
                "Q5_K" => 0.0228,
                "IQ4_XS" => 0.0148,
                _ => 0,
            };
            // A header is padded to whole lines, which shows in the last chunk where that is not a whole one.
            Assert.InRange(extra, 0, most + (columns % 512 == 0 ? 0 : 0.0066));
        }
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        QuantisedForm form = Forms.Of("Q4_K").Form;
        Assert.Throws<ArgumentException>(() => new QuantisedLayout(form, 16, 128));
        Assert.Throws<ArgumentException>(() => new QuantisedLayout(Forms.Of("Q8_0").Form, 16, 48));
        Assert.Throws<NotSupportedException>(() => new QuantisedLayout(form with { Sub = 64 }, 16, 256));
        var layout = new QuantisedLayout(form, 16, 256);
        Assert.Throws<ArgumentException>(() => Pack(layout, new QuantisedRow(form, 512)));
        QuantisedForm nibbles = Forms.Of("Q2_K").Form;
        var row = new QuantisedRow(nibbles, 256);
        row.Mins[3] = 16;
        Assert.Throws<NotSupportedException>(() => Pack(new QuantisedLayout(nibbles, 16, 256), row));
    }

    private static void Pack(QuantisedLayout layout, QuantisedRow row)
    {
        byte[] block = new byte[layout.BlockBytes];
        fixed (byte* to = block)
        {
            QuantisedPacker.Pack(layout, [row], to);
        }
    }
}
