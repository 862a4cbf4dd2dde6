using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

public class ProductTests
{
    private static readonly int[] OddSizes = [1, 15, 16, 17, 33];

    public static TheoryData<string> Sets => Arena.FastSets;

    public static TheoryData<string, DType> SetsAndTypes
    {
        get
        {
            TheoryData<string, DType> data = [];
            foreach (string set in Arena.FastNames)
            {
                data.Add(set, DType.BF16);
                data.Add(set, DType.F16);
                data.Add(set, DType.F32);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void A_product_is_the_reference_s_at_every_odd_size(string set, DType type)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (int outputs in OddSizes)
        {
            foreach (int inputs in (int[])[1, 2, 3, 31, 64, 100])
            {
                foreach (int rows in (int[])[1, 2, 3, 4, 5, 6, 7, 13, 70])
                {
                    using Arena arena = new(outputs + (100 * inputs) + (10_000 * rows));
                    WeightMatrix weights = arena.Weights(kernels, type, outputs, inputs);
                    Tensor x = arena.Normal(rows, inputs);
                    Tensor y = arena.Zeros(rows, outputs);
                    Tensor expected = arena.Zeros(rows, outputs);
                    kernels.MatMul(weights, x, y, default);
                    reference.MatMul(weights, x, expected, default);
                    Assert.True(Arena.Difference(y, expected) < 3e-6,
                        $"{outputs} x {inputs}, {rows} rows: {Arena.Difference(y, expected)}");
                    AssertPaddingUntouched(y);
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Bias_activation_and_residual_happen_on_the_way_out(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (Activation activation in Enum.GetValues<Activation>())
        {
            foreach (bool add in activation == Activation.None ? (bool[])[false, true] : [false])
            {
                using Arena arena = new();
                WeightMatrix weights = arena.Weights(kernels, DType.BF16, 37, 50);
                Epilogue epilogue = new(arena.Normal(1, 37), activation, add);
                Tensor x = arena.Normal(9, 50);
                Tensor y = arena.Normal(9, 37);
                Tensor expected = arena.Copy(y);
                kernels.MatMul(weights, x, y, epilogue);
                reference.MatMul(weights, x, expected, epilogue);
                Assert.True(Arena.Difference(y, expected) < 3e-6, $"{activation}, {add}: {Arena.Difference(y, expected)}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void A_gated_product_is_the_reference_s(string set, DType type)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (int outputs in OddSizes)
        {
            foreach (int rows in (int[])[1, 2, 3, 8, 50])
            {
                using Arena arena = new(outputs);
                WeightMatrix gate = arena.Weights(kernels, type, outputs, 45);
                WeightMatrix up = arena.Weights(kernels, type, outputs, 45);
                Tensor x = arena.Normal(rows, 45);
                Tensor y = arena.Zeros(rows, outputs);
                Tensor expected = arena.Zeros(rows, outputs);
                kernels.GatedMatMul(gate, up, x, y, Activation.Silu);
                reference.GatedMatMul(gate, up, x, expected, Activation.Silu);
                Assert.True(Arena.Difference(y, expected) < 3e-6, $"{outputs} outputs, {rows} rows: {Arena.Difference(y, expected)}");
                AssertPaddingUntouched(y);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_row_does_not_depend_on_its_neighbours_or_on_the_threads(string set)
    {
        using Arena arena = new();
        const int Rows = 64;
        Tensor raw = arena.RawWeights(DType.BF16, 211, 333);
        Tensor x = arena.Normal(Rows, 333);
        Tensor alone = arena.Zeros(Rows, 211);
        Tensor gatedAlone = arena.Zeros(Rows, 211);
        using (IKernels kernels = KernelCatalog.Create(set, 1))
        {
            WeightMatrix weights = arena.Pack(kernels, raw);
            for (int row = 0; row < Rows; row++)
            {
                kernels.MatMul(weights, x.RowRange(row, 1), alone.RowRange(row, 1), default);
                kernels.GatedMatMul(weights, weights, x.RowRange(row, 1), gatedAlone.RowRange(row, 1), Activation.Silu);
            }
        }

        foreach (int threads in (int[])[1, 2, 3, 5])
        {
            using IKernels kernels = KernelCatalog.Create(set, threads);
            WeightMatrix weights = arena.Pack(kernels, raw);
            for (int rows = 2; rows <= Rows; rows++)
            {
                Tensor together = arena.Zeros(rows, 211);
                Tensor gated = arena.Zeros(rows, 211);
                kernels.MatMul(weights, x.RowRange(Rows - rows, rows), together, default);
                kernels.GatedMatMul(weights, weights, x.RowRange(Rows - rows, rows), gated, Activation.Silu);
                for (int row = 0; row < rows; row++)
                {
                    Assert.True(Arena.SameBits(alone.Floats(Rows - rows + row), together.Floats(row)),
                        $"row {row} of {rows}, {threads} threads");
                    Assert.True(Arena.SameBits(gatedAlone.Floats(Rows - rows + row), gated.Floats(row)),
                        $"gated row {row} of {rows}, {threads} threads");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void Subnormal_huge_and_negative_zero_weights_are_read_exactly(string set, DType type)
    {
        using Arena arena = new();
        using IKernels kernels = KernelCatalog.Create(set, 1);
        float[] values = type switch
        {
            DType.F16 => [(float)Half.Epsilon, -(float)Half.Epsilon, 3 * (float)Half.Epsilon, (float)Half.MaxValue, (float)Half.MinValue,
                -0f, 6.097555e-5f, 1],
            DType.BF16 => [1e-40f, -1e-40f, 1e30f, -1e30f, -0f, 0, 1.1754944e-38f, 1],
            _ => [float.Epsilon, -float.Epsilon, 1e38f, -1e38f, -0f, 0, 1.1754944e-38f, 1],
        };
        Tensor raw = arena.RawWeights(type, values.Length, values.Length, scale: 0);
        for (int i = 0; i < values.Length; i++)
        {
            Write(raw, i, i, values[i]);
        }

        WeightMatrix weights = arena.Pack(kernels, raw);
        Tensor x = arena.Zeros(1, values.Length);
        Tensor y = arena.Zeros(1, values.Length);
        for (int i = 0; i < values.Length; i++)
        {
            x.Floats(0).Clear();
            x.Floats(0)[i] = 1;
            kernels.MatMul(weights, x, y, default);
            Assert.Equal(Read(raw, i, i), y.Floats(0)[i]);
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void Packing_either_way_round_gives_the_same_matrix_and_embedding_reads_it_back(string set, DType type)
    {
        using Arena arena = new();
        using IKernels kernels = KernelCatalog.Create(set, 2);
        Tensor raw = arena.RawWeights(type, 21, 35);
        Tensor turned = arena.RawWeights(type, 35, 21);
        for (int i = 0; i < 21; i++)
        {
            for (int j = 0; j < 35; j++)
            {
                Write(turned, j, i, Read(raw, i, j));
            }
        }

        ForwardBatch batch = new(21, 1);
        for (int token = 20; token >= 0; token--)
        {
            batch.Add(token, 20 - token);
        }

        foreach (WeightMatrix table in (WeightMatrix[])[arena.Pack(kernels, raw), arena.Pack(kernels, turned, transposed: true)])
        {
            Tensor rows = arena.Zeros(21, 35);
            kernels.Embed(table, null, batch, rows);
            Tensor sums = arena.Zeros(21, 35);
            kernels.Embed(table, table, batch, sums);
            for (int r = 0; r < 21; r++)
            {
                for (int j = 0; j < 35; j++)
                {
                    Assert.Equal(Read(raw, 20 - r, j), rows.Floats(r)[j]);
                    Assert.Equal(Read(raw, 20 - r, j) + Read(raw, r, j), sums.Floats(r)[j]);
                }
            }
        }
    }

    private static void AssertPaddingUntouched(Tensor y)
    {
        for (int row = 0; row < y.Rows; row++)
        {
            foreach (float value in (y with { Columns = y.Stride }).Floats(row)[y.Columns..])
            {
                Assert.True(float.IsNaN(value));
            }
        }
    }

    private static unsafe float Read(Tensor raw, int row, int column) => raw.Type switch
    {
        DType.F32 => ((float*)raw.Data)[(row * raw.Stride) + column],
        DType.F16 => (float)((Half*)raw.Data)[(row * raw.Stride) + column],
        _ => BitConverter.UInt32BitsToSingle((uint)((ushort*)raw.Data)[(row * raw.Stride) + column] << 16),
    };

    private static unsafe void Write(Tensor raw, int row, int column, float value)
    {
        switch (raw.Type)
        {
            case DType.F32:
                ((float*)raw.Data)[(row * raw.Stride) + column] = value;
                break;
            case DType.F16:
                ((Half*)raw.Data)[(row * raw.Stride) + column] = (Half)value;
                break;
            default:
                ((ushort*)raw.Data)[(row * raw.Stride) + column] = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
                break;
        }
    }
}
