using System.Runtime.Intrinsics.X86;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cpu.Vectors;

namespace Understory.Models.Tests.Kernels;

/// <summary>Elementary functions against double precision, and against themselves at other vector widths.</summary>
public unsafe class VectorMathTests
{
    private delegate void Function(float* x, float* y);

    [Fact]
    public void Exp_is_right_to_two_units_in_the_last_place()
    {
        Sweep(-87, 88.7f, Exp<Twice<Twice<Lanes4>>>, Math.Exp, 2);
    }

    [Fact]
    public void Exp_of_extremes_is_zero_or_infinity()
    {
        Assert.Equal(0, Apply(Exp<Twice<Twice<Lanes4>>>, float.NegativeInfinity));
        Assert.Equal(0, Apply(Exp<Twice<Twice<Lanes4>>>, -104));
        Assert.Equal(float.PositiveInfinity, Apply(Exp<Twice<Twice<Lanes4>>>, float.PositiveInfinity));
        Assert.Equal(float.PositiveInfinity, Apply(Exp<Twice<Twice<Lanes4>>>, 89));
        Assert.Equal(1, Apply(Exp<Twice<Twice<Lanes4>>>, -0f));
        Assert.InRange(Apply(Exp<Twice<Twice<Lanes4>>>, -100), 3.6e-44f, 3.8e-44f);
    }

    [Fact]
    public void Log_is_right_to_two_units_in_the_last_place()
    {
        Sweep(0.01f, 0.95f, Log<Twice<Twice<Lanes4>>>, Math.Log, 2);
        Sweep(1.05f, 1e6f, Log<Twice<Twice<Lanes4>>>, Math.Log, 2);
        Assert.Equal(0, Apply(Log<Twice<Twice<Lanes4>>>, 1));
        Assert.Equal((float)Math.Log(1.2e-38), Apply(Log<Twice<Twice<Lanes4>>>, 1.2e-38f));
    }

    [Fact]
    public void Activations_are_right_from_end_to_end()
    {
        Sweep(-80, 80, Silu<Twice<Twice<Lanes4>>>, x => x / (1 + Math.Exp(-x)), 4);
        Sweep(-4, 30, Gelu<Twice<Twice<Lanes4>>>, GeluTanh, 16);
        Assert.Equal(0, Apply(Gelu<Twice<Twice<Lanes4>>>, -1e20f));
        Assert.Equal(1e20f, Apply(Gelu<Twice<Twice<Lanes4>>>, 1e20f));
        Assert.Equal(0, Apply(Silu<Twice<Twice<Lanes4>>>, -1e20f));
    }

    [Fact]
    public void All_widths_with_fused_multiply_add_give_the_same_bits()
    {
        foreach (string set in Arena.FastNames)
        {
            foreach (float x in Points(-90, 90).Concat([0f, -0f, 1e-40f, float.MaxValue, float.NegativeInfinity]))
            {
                float expected = Apply(Exp<Twice<Twice<Lanes4>>>, x);
                if (set == "avx2")
                {
                    Assert.Equal(expected, Apply(Exp<Twice<Lanes8>>, x));
                }
                else if (set == "avx512")
                {
                    Assert.Equal(expected, Apply(Exp<Lanes16>, x));
                }
            }
        }
    }

    [Fact]
    public void Lanes_add_up_in_one_order_at_every_width()
    {
        Random random = new(3);
        float* values = stackalloc float[16];
        for (int trial = 0; trial < 1000; trial++)
        {
            for (int i = 0; i < 16; i++)
            {
                values[i] = (float)(random.NextDouble() - 0.5) * MathF.Pow(10, random.Next(-5, 5));
            }

            float sum = Twice<Twice<Lanes4>>.Load(values).Sum();
            float largest = Twice<Twice<Lanes4>>.Load(values).Largest();
            Assert.Equal(new ReadOnlySpan<float>(values, 16).ToArray().Max(), largest);
            if (Avx2.IsSupported)
            {
                Assert.Equal(sum, Twice<Lanes8>.Load(values).Sum());
                Assert.Equal(largest, Twice<Lanes8>.Load(values).Largest());
            }

            if (Arena.FastNames.Contains("avx512"))
            {
                Assert.Equal(sum, Lanes16.Load(values).Sum());
                Assert.Equal(largest, Lanes16.Load(values).Largest());
            }
        }
    }

    [Fact]
    public void Rounding_to_sixteen_bits_is_to_the_nearest_even()
    {
        Random random = new(5);
        ushort* rounded = stackalloc ushort[16];
        float* values = stackalloc float[16];
        for (int trial = 0; trial < 200_000; trial++)
        {
            float value = BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32));
            value = trial % 3 == 0 ? (float)(random.NextDouble() - 0.5) * 1e-4f : value;
            new Span<float>(values, 16).Fill(value);
            Float16Cache.Store(Twice<Twice<Lanes4>>.Load(values), (byte*)rounded);
            if (float.IsNaN(value))
            {
                Assert.True(Half.IsNaN(BitConverter.UInt16BitsToHalf(rounded[7])));
                continue;
            }

            Assert.Equal(BitConverter.HalfToUInt16Bits((Half)value), rounded[7]);
            BFloat16Cache.Store(Twice<Twice<Lanes4>>.Load(values), (byte*)rounded);
            float back = BitConverter.UInt32BitsToSingle((uint)rounded[7] << 16);
            uint next = BitConverter.SingleToUInt32Bits(value);
            uint even = (next + 0x7FFF + ((next >> 16) & 1)) & 0xFFFF0000;
            Assert.Equal(BitConverter.UInt32BitsToSingle(even), back);
        }
    }

    [Fact]
    public void Noise_is_exact_from_the_smallest_to_the_largest_draw()
    {
        uint[] draws =
        [
            0, 1, 2, 1000, 1u << 24, (1u << 24) + 1, 1u << 30, 1_257_966_796, 1u << 31, 2_714_937_127, uint.MaxValue - 1000, uint.MaxValue
                - 1, uint.MaxValue,
        ];
        foreach (uint bits in draws)
        {
            double u = (bits + 0.5) / 4294967296.0;
            double inner = u < 0.5 ? -LogOnePlus(-u) : -Math.Log((uint.MaxValue - bits + 0.5) / 4294967296.0);
            double expected = -Math.Log(inner);
            double tolerance = 3e-7 * Math.Max(1, Math.Abs(expected));
            Assert.InRange(Apply(Gumbel<Twice<Twice<Lanes4>>>, BitConverter.UInt32BitsToSingle(bits)) - expected, -tolerance, tolerance);
        }

        Assert.True(Apply(Gumbel<Twice<Twice<Lanes4>>>, 0) < GumbelNoise.Max);
    }

    private static double LogOnePlus(double x)
    {
        double sum = 1 + x;
        return sum == 1 ? x : Math.Log(sum) * (x / (sum - 1));
    }

    private static double GeluTanh(double x)
    {
        double a = Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x));
        return x / (1 + Math.Exp(-2 * a));
    }

    private static void Exp<T>(float* x, float* y)
        where T : unmanaged, ILanes<T> => VectorMath.Exp(T.Load(x)).Store(y);

    private static void Log<T>(float* x, float* y)
        where T : unmanaged, ILanes<T> => VectorMath.Log(T.Load(x)).Store(y);

    private static void Silu<T>(float* x, float* y)
        where T : unmanaged, ILanes<T> => VectorMath.Silu(T.Load(x)).Store(y);

    private static void Gelu<T>(float* x, float* y)
        where T : unmanaged, ILanes<T> => VectorMath.GeluTanh(T.Load(x)).Store(y);

    private static void Gumbel<T>(float* x, float* y)
        where T : unmanaged, ILanes<T> => VectorMath.Gumbel(T.Load(x)).Store(y);

    private static float Apply(Function function, float x)
    {
        float* memory = stackalloc float[32];
        for (int i = 0; i < 16; i++)
        {
            *(uint*)(memory + i) = BitConverter.SingleToUInt32Bits(x);
        }

        function(memory, memory + 16);
        Assert.All(Enumerable.Range(0, 16), i => Assert.Equal(memory[16], memory[16 + i]));
        return memory[16];
    }

    private static void Sweep(float from, float to, Function function, Func<double, double> exact, double units)
    {
        foreach (float x in Points(from, to))
        {
            double expected = exact(x);
            double unit = MathF.BitIncrement(MathF.Abs((float)expected)) - MathF.Abs((float)expected);
            Assert.InRange((Apply(function, x) - expected) / unit, -units, units);
        }
    }

    private static IEnumerable<float> Points(float from, float to) =>
        Enumerable.Range(0, 20_001).Select(i => from + ((to - from) * (i / 20_000f)));
}
