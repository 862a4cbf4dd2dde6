using Understory.Models.Kernels;
using Understory.Models.Kernels.Cpu;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

/// <summary>Keys and values as signed bytes with a scale for each slot, head and 32 dimensions.</summary>
public unsafe class ByteCacheTests
{
    private const int Heads = 2;

    private static readonly int[] _headDims = [8, 17, 20, 40, 64, 80, 128];

    public static TheoryData<string> Sets => Arena.FastSets;

    [Theory]
    [InlineData(8, 10)]
    [InlineData(17, 19)]
    [InlineData(20, 22)]
    [InlineData(40, 44)]
    [InlineData(64, 68)]
    [InlineData(80, 86)]
    [InlineData(128, 136)]
    public void A_slot_of_a_head_takes_its_bytes_and_two_for_every_32_dimensions_begun(int headDim, int bytes)
    {
        Assert.Equal(bytes, CacheType.Q8.Bytes(headDim));
        Assert.Equal(3L * bytes * 160, new KvShape(3, headDim).Bytes(CacheType.Q8, 160));
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Bytes_and_scales_are_the_reference_s_and_lie_in_the_blocks_of_their_slots_alone(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (int headDim in _headDims)
        {
            using Arena arena = new(headDim);
            Tensor rows = Nasty(arena, headDim);
            KvLayer layer = arena.Cache(CacheType.Q8, Heads, headDim, 80);
            KvLayer expected = arena.Cache(CacheType.Q8, Heads, headDim, 80);
            Store(kernels, layer, arena.Copy(rows));
            Store(reference, expected, rows);
            int bytes = (int)new KvShape(Heads, headDim).Bytes(CacheType.Q8, 80);
            foreach ((nint kept, nint wanted) in ((nint, nint)[])[(layer.Keys, expected.Keys), (layer.Values, expected.Values)])
            {
                var all = new Span<byte>((void*)kept, bytes);
                Assert.True(all.SequenceEqual(new Span<byte>((void*)wanted, bytes)), $"heads of {headDim}");

                // Rows fill slots 0 .. 33: the first three blocks of each head.
                int used = 3 * CacheLayout.BlockBytes(layer);
                for (int head = 0; head < Heads; head++)
                {
                    Assert.False(all[((head * bytes / Heads) + used)..((head + 1) * bytes / Heads)].ContainsAnyExcept((byte)0xFF));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_number_is_read_back_within_half_a_step_of_its_block(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        foreach (int headDim in _headDims)
        {
            using Arena arena = new(headDim);
            Tensor rows = Nasty(arena, headDim);
            KvLayer layer = arena.Cache(CacheType.Q8, Heads, headDim, 48);
            Store(kernels, layer, rows);
            for (int row = 0; row < rows.Rows; row++)
            {
                for (int head = 0; head < Heads; head++)
                {
                    Span<float> key = rows.Floats(row).Slice((Heads + head) * headDim, headDim);
                    Span<float> value = rows.Floats(row).Slice(((2 * Heads) + head) * headDim, headDim);
                    for (int d = 0; d < headDim; d++)
                    {
                        Check(key, d, ReferenceCache.ReadKey(layer, head, row, d));
                        Check(value, d, ReferenceCache.ReadValue(layer, head, row, d));
                    }
                }
            }
        }

        static void Check(Span<float> vector, int d, float read)
        {
            int first = d / 32 * 32;
            float largest = 0;
            foreach (float x in vector[first..Math.Min(vector.Length, first + 32)])
            {
                largest = Math.Max(largest, Math.Abs(x));
            }

            // F16 has eleven bits, and steps of 2^-24 where they run out.
            double exact = largest / 127.0;
            double step = (double)(Half)(largest / 127);
            Assert.InRange(step, (exact * (1 - (1 / 2048.0))) - 2.99e-8, (exact * (1 + (1 / 2048.0))) + 2.99e-8);
            double clamped = Math.Max(0, largest - (127 * step));
            double allowed = Math.Max(step / 2, clamped) * (1 + 1e-5);
            Assert.True(Math.Abs(vector[d] - read) <= allowed, $"{vector[d]:R} of {largest:R} is read as {read:R}");
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void What_is_not_finite_or_too_large_for_a_scale_is_read_as_NaN_by_all_who_see_it(string set)
    {
        foreach (string name in (string[])[set, "reference"])
        {
            using IKernels kernels = KernelCatalog.Create(name, 2);
            foreach (int headDim in _headDims)
            {
                foreach (float bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity, -1e7f])
                {
                    foreach (int part in (int[])[1, 2])
                    {
                        using Arena arena = new(headDim);
                        Tensor rows = arena.Normal(20, 3 * Heads * headDim);
                        rows.Floats(5)[(((part * Heads) + 1) * headDim) - 1] = bad;
                        KvLayer layer = arena.Cache(CacheType.Q8, Heads, headDim, 32);
                        ForwardBatch batch = Store(kernels, layer, rows);
                        Tensor output = arena.Zeros(20, Heads * headDim);
                        AttentionParams attention = new(Heads, Heads, headDim, 0.1f, 0);
                        kernels.Attend(rows.ColumnRange(0, Heads * headDim), layer, attention, batch, output);
                        for (int row = 0; row < 20; row++)
                        {
                            Assert.Equal(row >= 5, float.IsNaN(output.Floats(row)[headDim - 1]));
                            Span<float> other = output.Floats(row)[headDim..];
                            Assert.False(other.ContainsAnyExceptInRange(float.MinValue, float.MaxValue), $"row {row} of the other head");
                        }
                    }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Attention_over_bytes_is_near_attention_over_floats(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        foreach (int headDim in _headDims)
        {
            using Arena arena = new(headDim);
            const int Rows = 200;
            Tensor rows = arena.Normal(Rows, 3 * Heads * headDim);
            AttentionParams attention = new(Heads, Heads, headDim, 1 / MathF.Sqrt(headDim), 0);
            Tensor output = arena.Zeros(Rows, Heads * headDim);
            Tensor expected = arena.Zeros(Rows, Heads * headDim);
            foreach ((CacheType type, Tensor target) in ((CacheType, Tensor)[])[(CacheType.Q8, output), (CacheType.F32, expected)])
            {
                KvLayer layer = arena.Cache(type, Heads, headDim, 208);
                ForwardBatch batch = Store(kernels, layer, rows);
                kernels.Attend(rows.ColumnRange(0, Heads * headDim), layer, attention, batch, target);
            }

            // A step is 1/127 of a block's largest number, which among normal ones is about 3, and errors are half of it at most.
            double difference = Arena.Difference(output, expected);
            Assert.InRange(difference, 1e-5, 0.008);
        }
    }

    /// <summary>34 rows: scales normal, subnormal, vanishing, zero or large; ties; one large number among small ones.</summary>
    private static Tensor Nasty(Arena arena, int headDim)
    {
        Tensor rows = arena.Normal(34, 3 * Heads * headDim);
        float[] scales = [1, 1e-3f, 1e-5f, 3e-6f, 1e-7f, 1e-30f, 1e-44f, 0, 1e3f, 1e6f];
        for (int row = 0; row < rows.Rows; row++)
        {
            Span<float> all = rows.Floats(row);
            for (int i = 0; i < all.Length; i++)
            {
                all[i] *= scales[row % scales.Length];
            }

            if (row >= 30)
            {
                // d = 1/2, and every quotient lies between two integers.
                for (int i = 0; i < all.Length; i++)
                {
                    all[i] = i % headDim % 32 == 0 ? 63.5f : ((i % 29) - 14) / 2f + 0.25f;
                }
            }
            else if (row >= 25)
            {
                all[(Heads * headDim) + (row % headDim)] = -200;
            }
        }

        return rows;
    }

    private static ForwardBatch Store(IKernels kernels, KvLayer layer, Tensor rows)
    {
        ForwardBatch batch = new(rows.Rows, 1);
        for (int i = 0; i < rows.Rows; i++)
        {
            batch.Add(0, i);
        }

        kernels.StoreKeysValues(rows, Heads, default, layer, batch);
        return batch;
    }
}
