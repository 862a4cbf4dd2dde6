using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

/// <summary>Gates, biases of gated pairs, norms in place, and values that are normed or are the keys.</summary>
public class GateTests
{
    public static TheoryData<string> Sets => Arena.FastSets;

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_gate_multiplies_what_stands_there(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        foreach (Activation activation in (Activation[])[Activation.Sigmoid, Activation.GeluTanh])
        {
            foreach (int outputs in (int[])[1, 15, 16, 37])
            {
                using Arena arena = new(outputs);
                Tensor raw = arena.RawWeights(DType.F32, outputs, 21);
                WeightMatrix weights = arena.Pack(kernels, raw);
                Tensor bias = arena.Normal(1, outputs);
                Tensor x = arena.Normal(9, 21);
                Tensor y = arena.Normal(9, outputs);
                using ProductInput input = KernelCalls.Input(kernels, x, weights);
                using ProductInput gated = KernelCalls.Input(kernels, y);
                kernels.MultiplyGate(input.Rows(0, 9), new Projection(weights, bias), activation, gated.Rows(0, 9));
                float[] row = new float[outputs];
                for (int r = 0; r < 9; r++)
                {
                    kernels.Read(gated.Rows(r, 1), row);
                    for (int o = 0; o < outputs; o++)
                    {
                        double expected = y.Floats(r)[o] * Activate(Dot(raw, o, x, r) + bias.Floats(0)[o], activation);
                        Assert.Equal(expected, row[o], 1e-5 * (1 + Math.Abs(expected)));
                    }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_gate_hands_on_what_is_no_number(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set);
        using Arena arena = new();
        WeightMatrix weights = arena.Weights(kernels, DType.F32, 5, 3);
        Tensor x = arena.Normal(1, 3);
        x.Floats(0)[1] = float.NaN;
        using ProductInput input = KernelCalls.Input(kernels, x, weights);
        using ProductInput gated = KernelCalls.Input(kernels, arena.Normal(1, 5));
        kernels.MultiplyGate(input.Rows(0, 1), new Projection(weights), Activation.Sigmoid, gated.Rows(0, 1));
        float[] row = new float[5];
        kernels.Read(gated.Rows(0, 1), row);
        Assert.All(row, value => Assert.True(float.IsNaN(value)));
    }

    [Theory]
    [InlineData("reference")]
    [MemberData(nameof(Sets))]
    public void Biases_of_a_gated_pair_come_before_the_activation_and_before_the_product(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        foreach (DType type in (DType[])[DType.F32, DType.BF16])
        {
            using Arena arena = new(3);
            Tensor rawGate = arena.RawWeights(type, 37, 21);
            Tensor rawUp = arena.RawWeights(DType.F32, 37, 21);
            (Tensor gateBias, Tensor upBias, Tensor x) = (arena.Normal(1, 37), arena.Normal(1, 37), arena.Normal(9, 21));
            (WeightMatrix gate, WeightMatrix up) = (arena.Pack(kernels, rawGate), arena.Pack(kernels, rawUp));
            using ProductInput input = KernelCalls.Input(kernels, x, gate, up);
            using ProductInput output = kernels.CreateInput(9, 37, []);
            kernels.MultiplyGated(
                input.Rows(0, 9), new Projection(gate, gateBias), new Projection(up, upBias), Activation.Silu, output.Rows(0, 9));
            float[] row = new float[37];
            for (int r = 0; r < 9; r++)
            {
                kernels.Read(output.Rows(r, 1), row);
                for (int o = 0; o < 37; o++)
                {
                    double expected = Activate(Dot(rawGate, o, x, r) + gateBias.Floats(0)[o], Activation.Silu)
                        * (Dot(rawUp, o, x, r) + upBias.Floats(0)[o]);
                    Assert.Equal(expected, row[o], 1e-4 * (1 + Math.Abs(expected)));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Rows_are_normed_in_place_as_elsewhere_and_a_layer_norm_needs_no_bias(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (int columns in (int[])[1, 16, 100])
        {
            using Arena arena = new(columns);
            Tensor weight = arena.Normal(1, columns);
            foreach (NormKind kind in Enum.GetValues<NormKind>())
            {
                Norm norm = new(kind, weight, default, 1e-5f);
                Tensor x = arena.Normal(5, columns);
                Tensor expected = arena.Copy(x);
                Tensor elsewhere = arena.Zeros(5, columns);
                kernels.NormalizeAdd(x, norm, elsewhere);
                kernels.Normalize(x, norm);
                reference.Normalize(expected, norm);
                Assert.True(Arena.Difference(x, expected) < 1e-5, $"{kind} of {columns}: {Arena.Difference(x, expected)}");
                Assert.True(Arena.Difference(x, elsewhere) < 1e-7);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Columns_of_a_wider_row_are_normed_and_taken_without_a_glance_beside_them(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using Arena arena = new();
        const int Width = 21;
        Tensor weight = arena.Normal(1, Width);
        Norm norm = new(NormKind.RmsNorm, weight, default, 1e-5f);
        Tensor x = arena.Normal(4, 3 * Width);
        Tensor y = arena.Normal(4, 3 * Width);
        Tensor before = arena.Copy(y);
        kernels.NormalizeAdd(x.ColumnRange(Width, Width), norm, y.ColumnRange(Width, Width));
        for (int r = 0; r < 4; r++)
        {
            Assert.True(Arena.SameBits(before.Floats(r)[..Width], y.Floats(r)[..Width]));
            Assert.True(Arena.SameBits(before.Floats(r)[(2 * Width)..], y.Floats(r)[(2 * Width)..]));
            double squares = 0;
            for (int i = 0; i < Width; i++)
            {
                squares += (double)x.Floats(r)[Width + i] * x.Floats(r)[Width + i];
            }

            for (int i = 0; i < Width; i++)
            {
                double expected = before.Floats(r)[Width + i]
                    + (x.Floats(r)[Width + i] / Math.Sqrt((squares / Width) + 1e-5) * weight.Floats(0)[i]);
                Assert.Equal(expected, y.Floats(r)[Width + i], 1e-5);
            }
        }
    }

    [Theory]
    [InlineData("reference")]
    [MemberData(nameof(Sets))]
    public void Keys_before_their_norm_and_rotation_are_the_values_where_it_says_so(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        const int Heads = 3;
        const int KvHeads = 2;
        foreach (int dims in (int[])[8, 20, 40, 64])
        {
            using Arena arena = new(dims);
            RotaryParams rotary = Rotary(arena, dims);
            Tensor qkv = arena.Normal(20, (Heads + (2 * KvHeads)) * dims);
            Tensor apart = arena.Copy(qkv);
            for (int r = 0; r < 20; r++)
            {
                Span<float> keys = apart.Floats(r).Slice(Heads * dims, KvHeads * dims);
                keys.CopyTo(apart.Floats(r)[((Heads + KvHeads) * dims)..]);
            }

            KvLayer layer = arena.Cache(CacheType.F32, KvHeads, dims, 32);
            KvLayer other = arena.Cache(CacheType.F32, KvHeads, dims, 32);
            ForwardBatch batch = Batch(20);
            kernels.StoreKeysValues(qkv, Heads, rotary with { KeysAreValues = true }, layer, batch);
            kernels.StoreKeysValues(apart, Heads, rotary, other, batch);
            AssertAlike(kernels, arena, qkv, layer, other, Heads, batch);
            // The values are normed, head by head.
            for (int head = 0; head < KvHeads; head++)
            {
                ReadOnlySpan<float> value = qkv.Floats(7).Slice((Heads + KvHeads + head) * dims, dims);
                double squares = 0;
                for (int i = 0; i < dims; i++)
                {
                    double unscaled = value[i] / rotary.ValueNorm.Floats(0)[i];
                    squares += unscaled * unscaled;
                }

                Assert.Equal(1, squares / dims, 1e-3);
            }
        }
    }

    [Theory]
    [InlineData("reference")]
    [MemberData(nameof(Sets))]
    public void A_layer_without_heads_of_its_own_turns_queries_as_any_other(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        const int Dims = 20;
        using Arena arena = new();
        RotaryParams rotary = Rotary(arena, Dims);
        Tensor qkv = arena.Normal(20, 5 * Dims);
        Tensor queries = arena.Copy(qkv.ColumnRange(0, 3 * Dims));
        KvLayer layer = arena.Cache(CacheType.BF16, 1, Dims, 32);
        kernels.StoreKeysValues(qkv, 3, rotary, layer, Batch(20));
        kernels.StoreKeysValues(queries, 3, rotary with { KeyNorm = default, ValueNorm = default }, layer with { KvHeads = 0 }, Batch(20));
        for (int r = 0; r < 20; r++)
        {
            Assert.True(Arena.SameBits(qkv.Floats(r)[..(3 * Dims)], queries.Floats(r)));
        }
    }

    private static RotaryParams Rotary(Arena arena, int dims) => new(
        arena.Normal(64, dims / 4), arena.Normal(64, dims / 4), dims / 4 * 2, arena.Normal(1, dims), arena.Normal(1, dims), 1e-6f)
    {
        ValueNorm = arena.Normal(1, dims),
    };

    private static ForwardBatch Batch(int rows)
    {
        ForwardBatch batch = new(rows, 1);
        for (int i = 0; i < rows; i++)
        {
            batch.Add(0, i);
        }

        return batch;
    }

    /// <summary>Attention reads the same from both.</summary>
    private static void AssertAlike(IKernels kernels, Arena arena, Tensor qkv, KvLayer layer, KvLayer other, int heads, ForwardBatch batch)
    {
        AttentionParams attention = new(layer.KvHeads, layer.KvHeads, layer.HeadDim, 0.3f, 0);
        Tensor queries = qkv.ColumnRange(0, layer.KvHeads * layer.HeadDim);
        Tensor output = arena.Zeros(batch.Count, layer.KvHeads * layer.HeadDim);
        Tensor expected = arena.Zeros(batch.Count, layer.KvHeads * layer.HeadDim);
        Assert.True(heads >= layer.KvHeads);
        kernels.Attend(queries, layer, attention, batch, output);
        kernels.Attend(queries, other, attention, batch, expected);
        for (int r = 0; r < batch.Count; r++)
        {
            Assert.True(Arena.SameBits(expected.Floats(r), output.Floats(r)));
        }
    }

    private static double Dot(Tensor weights, int output, Tensor x, int row)
    {
        double sum = 0;
        for (int i = 0; i < x.Columns; i++)
        {
            sum += (double)Scalar.Read(weights.Type, weights.Data, ((long)output * x.Columns) + i) * x.Floats(row)[i];
        }

        return sum;
    }

    private static double Activate(double x, Activation activation) => activation switch
    {
        Activation.Sigmoid => 1 / (1 + Math.Exp(-x)),
        Activation.Silu => x / (1 + Math.Exp(-x)),
        _ => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))),
    };
}
