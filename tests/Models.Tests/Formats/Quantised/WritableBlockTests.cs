using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats.Quantised;

public unsafe class WritableBlockTests
{
    private readonly Random _random = new(5);

    [Fact]
    public void Q8_0_takes_the_nearest_of_255_steps_to_the_largest_size_ties_to_even()
    {
        byte[] block = new byte[Q8_0.Bytes];
        for (int round = 0; round < 500; round++)
        {
            float[] values = Normal(32, (float)Math.Pow(10, _random.Next(-4, 5)));
            if (round % 2 == 0)
            {
                // With a largest value of 127 x / d is x itself: halves are ties.
                values = [.. Enumerable.Range(0, 32).Select(i => i == 7 ? -127 : _random.Next(-253, 254) / 2f)];
            }

            Write<Q8_0>(values, block);
            float d = values.Max(Math.Abs) / 127;
            Assert.Equal(Scalar.ToFloat16(d), BitConverter.ToUInt16(block));
            for (int i = 0; i < 32; i++)
            {
                Assert.Equal((sbyte)MathF.Round(values[i] * (1 / d)), (sbyte)block[2 + i]);
            }
        }
    }

    [Fact]
    public void Q4_K_takes_the_nearest_code_of_each_sub_block()
    {
        byte[] block = new byte[Q4_K.Bytes];
        foreach (float[] values in Rows())
        {
            Write<Q4_K>(values, block);
            QuantisedRow row = Read(block);
            (float d, float min) = (row.Form.Wider(row.WideScales[0]), row.Form.Wider(row.WideMins[0]));
            for (int i = 0; i < values.Length; i++)
            {
                (float s, float m) = (d * row.Scales[i / 32], min * row.Mins[i / 32]);
                float value = (s * row.Codes[i]) - m;
                float nearest = Math.Clamp(values[i], -m, (15 * s) - m);
                bool near = Math.Abs(value - nearest) <= (0.5001f * s) + (1e-6f * m);
                Assert.True(near, $"{values[i]} is {value}, with steps of {s} from {-m}");
            }
        }
    }

    [Fact]
    public void Q4_K_leaves_clearly_less_error_than_steps_from_the_smallest_to_the_largest_value()
    {
        byte[] block = new byte[Q4_K.Bytes];
        double[] own = new double[2];
        double[] plain = new double[2];
        for (int round = 0; round < 400; round++)
        {
            float[] values = Normal(256, 0.02f);
            Write<Q4_K>(values, block);
            float[] read = new float[256];
            Read(block).Decode(read);
            Add(own, values, read);
            Add(plain, values, MinMax(values));
        }

        // Measured over a million such numbers: 0.818 and 0.821 of the plain error, by llama.cpp's search 0.828 and 0.834.
        Assert.InRange(own[0] / plain[0], 0.5, 0.835);
        Assert.InRange(own[1] / plain[1], 0.5, 0.835);
    }

    [Fact]
    public void Q4_K_keeps_zeros_and_equal_values_and_sub_blocks_of_one_sign()
    {
        byte[] block = new byte[Q4_K.Bytes];
        Write<Q4_K>(new float[256], block);
        Assert.All(block, part => Assert.Equal(0, part));
        foreach ((float value, double error) in ((float, double)[])[(0.5f, 0.001), (-0.5f, 0.001), (1e-5f, 0.05), (3e5f, 0.001)])
        {
            Write<Q4_K>([.. Enumerable.Repeat(value, 256)], block);
            float[] read = new float[256];
            Read(block).Decode(read);
            Assert.All(read, actual => Assert.InRange(actual / value, 1 - error, 1 + error));
        }

        float[] mixed = [.. Enumerable.Range(0, 256).Select(i => i < 96 ? 1 + (i % 16 / 15f) : i < 192 ? -1 - (i % 16 / 15f) : 0)];
        Write<Q4_K>(mixed, block);
        float[] back = new float[256];
        Read(block).Decode(back);
        Assert.All(mixed.Zip(back), pair => Assert.InRange(pair.Second - pair.First, -0.07, 0.07));
        Assert.All(back[192..], value => Assert.Equal(0, value));
    }

    [Fact]
    public void Q4_1_leaves_clearly_less_error_than_steps_from_the_smallest_to_the_largest_value_and_takes_nearest_codes()
    {
        byte[] block = new byte[Q4_1.Bytes];
        double own = 0;
        double plain = 0;
        foreach (float[] row in Rows())
        {
            float[] values = row[..32];
            Write<Q4_1>(values, block);
            float[] read = new float[32];
            Read<Q4_1>(block).Decode(read);
            float d = Scalar.FromFloat16(BitConverter.ToUInt16(block));
            float m = Scalar.FromFloat16(BitConverter.ToUInt16(block, 2));
            float step = (values.Max() - values.Min()) / 15;
            for (int i = 0; i < 32; i++)
            {
                float nearest = Math.Clamp(values[i], m, m + (15 * d));
                Assert.InRange(read[i] - nearest, (-0.5001f * d) - (1e-6f * Math.Abs(m)), (0.5001f * d) + (1e-6f * Math.Abs(m)));
                float even = step == 0 ? values[i] : values.Min() + (step * MathF.Round((values[i] - values.Min()) / step));
                // Each row counts alike, whatever its size.
                own += Math.Pow((values[i] - read[i]) / Math.Max(step, 1e-30f), 2);
                plain += Math.Pow((values[i] - even) / Math.Max(step, 1e-30f), 2);
            }
        }

        Assert.InRange(own / plain, 0.5, 0.95);
    }

    [Fact]
    public void Q4_1_keeps_zeros_and_equal_values_of_either_sign()
    {
        byte[] block = new byte[Q4_1.Bytes];
        foreach (float value in (float[])[0, 0.5f, -0.5f, 1e-4f, 6e4f])
        {
            Write<Q4_1>([.. Enumerable.Repeat(value, 32)], block);
            float[] read = new float[32];
            Read<Q4_1>(block).Decode(read);
            Assert.All(read, actual => Assert.InRange(actual - value, -0.001 * Math.Abs(value), 0.001 * Math.Abs(value)));
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    [InlineData(1e30f)]
    public void A_number_that_no_block_can_hold_makes_a_scale_that_is_refused(float bad)
    {
        foreach (int place in (int[])[0, 31, 100, 255])
        {
            float[] values = Normal(256, 1);
            values[place] = bad;
            byte[] block = new byte[Q4_K.Bytes];
            Write<Q4_K>(values, block);
            Assert.True(Read(block).HasBadScale);
            byte[] eight = new byte[Q8_0.Bytes];
            Write<Q8_0>(values[(place / 32 * 32)..], eight);
            Assert.False(Half.IsFinite(BitConverter.ToHalf(eight)));
            byte[] four = new byte[Q4_1.Bytes];
            Write<Q4_1>(values[(place / 32 * 32)..], four);
            Assert.True(Read<Q4_1>(four).HasBadScale);
        }
    }

    private static void Write<TBlock>(float[] values, byte[] block)
        where TBlock : struct, IWritableBlock
    {
        fixed (float* from = values)
        fixed (byte* to = block)
        {
            TBlock.Write(from, to);
        }
    }

    private static QuantisedRow Read(byte[] block) => Read<Q4_K>(block);

    private static QuantisedRow Read<TBlock>(byte[] block)
        where TBlock : struct, IWritableBlock
    {
        var row = new QuantisedRow(TBlock.Form, TBlock.Elements);
        fixed (byte* from = block)
        {
            BlockFormat<TBlock>.Instance.Read(from, TBlock.Elements, row);
        }

        return row;
    }

    private static void Add(double[] sums, float[] values, float[] read)
    {
        for (int sub = 0; sub < values.Length; sub += 32)
        {
            double rms = Math.Sqrt(values.AsSpan(sub, 32).ToArray().Average(x => (double)x * x));
            for (int i = sub; i < sub + 32; i++)
            {
                double square = Math.Pow(values[i] - read[i], 2);
                sums[0] += square;
                sums[1] += square * (rms + Math.Abs(values[i]));
            }
        }
    }

    /// <summary>The plain way: 16 steps over each sub-block, its step and its least value then rounded to steps of six bits.</summary>
    private static float[] MinMax(float[] values)
    {
        float[] lowest = [.. values.Chunk(32).Select(sub => Math.Min(0, sub.Min()))];
        float[] steps = [.. values.Chunk(32).Select((sub, i) => (sub.Max() - lowest[i]) / 15)];
        (float d, float min) = (steps.Max() / 63, -lowest.Min() / 63);
        return [.. values.Select((value, i) =>
        {
            float s = d * MathF.Round(steps[i / 32] / d);
            float m = min * MathF.Round(-lowest[i / 32] / min);
            return (s * Math.Clamp(MathF.Round((value + m) / s), 0, 15)) - m;
        })];
    }

    private IEnumerable<float[]> Rows()
    {
        for (int round = 0; round < 200; round++)
        {
            float[] values = Normal(256, (float)Math.Pow(10, _random.Next(-3, 4)));
            yield return (round % 4) switch
            {
                0 => values,
                1 => Array.ConvertAll(values, Math.Abs),
                2 => [.. values.Select((value, i) => i / 32 % 3 == 0 ? 0 : i / 32 % 3 == 1 ? value / 100 : value)],
                _ => [.. values.Select((value, i) => i % 50 == 0 ? 20 * value : value - 1)],
            };
        }
    }

    private float[] Normal(int count, float deviation) => [.. Enumerable.Range(0, count).Select(_ =>
        (float)(deviation * Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble())))];
}
