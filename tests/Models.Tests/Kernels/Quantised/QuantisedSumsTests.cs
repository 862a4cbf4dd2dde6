using Understory.Models.Kernels;
using Understory.Models.Kernels.Cpu.Quantised;

namespace Understory.Models.Tests.Kernels.Quantised;

public class QuantisedSumsTests
{
    public static TheoryData<string> Names => Forms.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_set_gives_the_bits_of_plain_loops_for_any_content_and_number_of_rows(string name)
    {
        FormCase form = Forms.Of(name);
        int seed = 1;
        foreach (int least in (int[])[32, 64, 576, 896, 2048 + 256])
        {
            using var bed = new QuantisedBed(form, outputs: least > 600 ? 16 : 37, Forms.Columns(form.Form, least), seed++);
            int[] counts = least > 600 ? [1, 8] : [.. Enumerable.Range(1, 17), 33];
            foreach (int rows in counts)
            {
                QuantisedInput input = bed.Quantise(bed.Inputs(rows));
                float[][] expected = bed.Sums(QuantisedSet.Reference, input, 0, rows);
                foreach (QuantisedSet set in QuantisedKernels.Available)
                {
                    AssertSame(expected, bed.Sums(set, input, 0, rows), $"{set}, {rows} rows of {bed.Layout.Columns}");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Plain_loops_give_the_formula_of_the_form(string name)
    {
        FormCase form = Forms.Of(name);
        using var bed = new QuantisedBed(form, outputs: 19, Forms.Columns(form.Form, 512), content: Content.Random);
        float[][] x = bed.Inputs(3);
        float[][] sums = bed.Sums(QuantisedSet.Reference, bed.Quantise(x), 0, 3);
        float[] weights = new float[bed.Layout.Columns];
        for (int output = 0; output < bed.Rows.Length; output++)
        {
            bed.Rows[output].Decode(weights);
            for (int row = 0; row < x.Length; row++)
            {
                double exact = 0;
                double error = 0;
                for (int first = 0; first < weights.Length; first += 32)
                {
                    double largest = x[row].AsSpan(first, 32).ToArray().Max(Math.Abs);
                    for (int i = first; i < first + 32; i++)
                    {
                        exact += (double)weights[i] * x[row][i];
                        // Each input is off by half a step at most.
                        error += Math.Abs(weights[i]) * largest / 127 * 0.501;
                    }
                }

                Assert.True(Math.Abs(exact - sums[row][output]) <= error + 1e-6, $"{exact} is not {sums[row][output]} within {error}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_row_has_the_same_bits_among_any_others(string name)
    {
        FormCase form = Forms.Of(name);
        using var bed = new QuantisedBed(form, outputs: 16, Forms.Columns(form.Form, 320));
        QuantisedInput all = bed.Quantise(bed.Inputs(23));
        foreach (QuantisedSet set in QuantisedKernels.Available)
        {
            float[][] together = bed.Sums(set, all, 0, 23);
            foreach ((int first, int rows) in new[] { (0, 1), (4, 1), (3, 7), (22, 1), (9, 12) })
            {
                AssertSame(together[first..(first + rows)], bed.Sums(set, all, first, rows), $"{set}, rows {first} .. {first + rows}");
            }
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void An_input_that_is_not_finite_makes_its_row_not_a_number_and_no_other(float bad)
    {
        foreach (FormCase form in Forms.All)
        {
            using var bed = new QuantisedBed(form, outputs: 16, Forms.Columns(form.Form, 96), content: Content.Random);
            float[][] x = bed.Inputs(3);
            x[1][77] = bad;
            QuantisedInput input = bed.Quantise(x);
            foreach (QuantisedSet set in QuantisedKernels.Available)
            {
                float[][] sums = bed.Sums(set, input, 0, 3);
                Assert.All(sums[1], sum => Assert.True(float.IsNaN(sum)));
                Assert.All(sums[0].Concat(sums[2]), sum => Assert.True(float.IsFinite(sum)));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Sums_of_32_products_stay_exact_as_floats(string name)
    {
        FormCase form = Forms.Of(name);
        long largestValue = Enumerable.Range(0, 1 << form.Form.Bits).Max(code => Math.Abs(form.Form.Value((byte)code)));
        long largestScale = form.Form.SubScales ? Math.Max(-form.Low, form.High) : 1;
        long largestMin = form.Form.SubMins ? Math.Max(-form.Low, form.High) : 1;
        Assert.True(32 * QuantisedInput.Largest * largestValue * largestScale < 1 << 24, "I");
        Assert.True(32 * QuantisedInput.Largest * largestMin < 1 << 24, "M");
    }

    [Theory]
    [InlineData("Q6_K", -32, -128, 16_646_144)]
    [InlineData("IQ4_XS", -127, -32, 16_516_096)]
    public void The_largest_sums_come_out_exactly(string name, int value, int scale, int total)
    {
        FormCase form = Forms.Of(name);
        using var bed = new QuantisedBed(form, outputs: 16, 256, content: Content.Lowest);
        Assert.Equal(value, form.Form.Value(bed.Rows[0].Codes[0]));
        Assert.Equal(scale, bed.Rows[0].Scales[0]);
        float[] x = new float[256];
        x.AsSpan(0, 32).Fill(127);
        QuantisedInput input = bed.Quantise([x]);
        float expected = total * form.Form.Wider(bed.Rows[0].WideScales[0]);
        foreach (QuantisedSet set in QuantisedKernels.Available)
        {
            Assert.Equal(expected, bed.Sums(set, input, 0, 1)[0][0]);
        }
    }

    [Fact]
    public void Each_set_of_kernels_has_sums_that_the_machine_can_run()
    {
        foreach (KernelSet set in KernelCatalog.Available)
        {
            QuantisedSet best = QuantisedKernels.Best(set.Name);
            Assert.Contains(best, QuantisedKernels.Available);
            Assert.Equal(set.Name == "reference", best == QuantisedSet.Reference);
        }
    }

    private static void AssertSame(float[][] expected, float[][] actual, string what)
    {
        for (int row = 0; row < expected.Length; row++)
        {
            for (int i = 0; i < expected[row].Length; i++)
            {
                // NaN is NaN, whatever its bits.
                bool same = BitConverter.SingleToInt32Bits(expected[row][i]) == BitConverter.SingleToInt32Bits(actual[row][i])
                    || (float.IsNaN(expected[row][i]) && float.IsNaN(actual[row][i]));
                Assert.True(same, $"{what}: {actual[row][i]:R} instead of {expected[row][i]:R} in row {row}, output {i}");
            }
        }
    }
}
