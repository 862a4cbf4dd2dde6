using Understory.Models.Formats.Quantised;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cpu.Weights;
using Understory.Models.Tensors;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Kernels;

/// <summary>Scales that all weights of a tensor, or of an output, have in common.</summary>
public sealed unsafe class ScaledTests : IDisposable
{
    private const int Inputs = 128;

    private readonly List<NativeMemoryBlock> _blocks = [];
    private readonly Random _random = new(4);

    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (KernelSet set in KernelCatalog.Available)
            {
                foreach (string format in (string[])["NVFP4", "Q8_0", "F32", "BF16", "F8_E4M3"])
                {
                    data.Add(set.Name, format);
                }
            }

            return data;
        }
    }

    public void Dispose() => _blocks.ForEach(block => block.Dispose());

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_tensor_s_scale_multiplies_finished_sums_and_rows_of_a_table(string kernelSet, string name)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        WeightFormat format = name == "F8_E4M3" ? Float8Format.Of(32) : GgufTypes.All.Values.Single(type => type.Name == name);
        StoredTensor first = Random(format, 20);
        StoredTensor second = Random(format, 12);
        (float a, float b) = (0.37f, -1.9f);
        WeightMatrix plain = Pack(kernels, first, second);
        WeightMatrix scaled = Pack(kernels, first with { Scale = a }, second with { Scale = b });
        float[] x = [.. Enumerable.Range(0, Inputs).Select(_ => _random.NextSingle() - 0.5f)];
        float[] bias = [.. Enumerable.Range(0, 32).Select(_ => _random.NextSingle())];
        float[] without = Multiply(kernels, plain, x, default);
        float[] with = Multiply(kernels, scaled, x, Room(bias));
        for (int output = 0; output < 32; output++)
        {
            float expected = (without[output] * (output < 20 ? a : b)) + bias[output];
            // Plain loops add in double precision.
            Assert.Equal(expected, with[output], kernelSet == "reference" ? 1e-5f + (1e-6f * Math.Abs(expected)) : 0);
            float[] row = Row(kernels, plain, output);
            Assert.Equal(Array.ConvertAll(row, value => value * (output < 20 ? a : b)), Row(kernels, scaled, output));
        }

        float[] gated = Gated(kernels, scaled, plain, x);
        for (int output = 0; output < 32; output++)
        {
            float gate = without[output] * (output < 20 ? a : b);
            float product = gate / (1 + MathF.Exp(-gate)) * without[output];
            Assert.Equal(product, gated[output], 1e-5f + (1e-6f * Math.Abs(product)));
        }
    }

    [Theory]
    [InlineData("reference")]
    [InlineData("portable")]
    public void Eight_bit_floats_under_a_scale_for_each_row_are_multiplied_without_rounding_the_scale_in(string kernelSet)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        var format = Float8Format.Of(Inputs);
        StoredTensor tensor = Random(format, 20);
        WeightMatrix matrix = Pack(kernels, tensor);
        float[] x = [.. Enumerable.Range(0, Inputs).Select(_ => _random.NextSingle() - 0.5f)];
        float[] y = Multiply(kernels, matrix, x, default);
        float[] values = new float[Inputs];
        for (int output = 0; output < 20; output++)
        {
            fixed (float* to = values)
            {
                format.Decode((byte*)tensor.RowAddress(output), Inputs, to);
            }

            Assert.Equal(values, Row(kernels, matrix, output));
            double sum = values.Zip(x, (value, input) => (double)value * input).Sum();
            double size = values.Zip(x, (value, input) => Math.Abs((double)value * input)).Sum();
            Assert.InRange(y[output] - sum, -1e-6 * size, 1e-6 * size);
        }
    }

    [Fact]
    public void A_scale_that_the_matrix_was_not_described_with_is_refused()
    {
        using IKernels kernels = KernelCatalog.Create("reference");
        StoredTensor tensor = Random(DenseFormat.F32, 4);
        WeightMatrix matrix = kernels.Describe(DenseFormat.F32, 4, Inputs);
        Place(matrix);
        Assert.ThrowsAny<Exception>(() => kernels.Pack(matrix, new MatrixPart(tensor with { Scale = 2 })));
        WeightMatrix turned = kernels.Describe(DenseFormat.F32, Inputs, 4, scaled: true);
        Place(turned);
        Assert.Throws<ArgumentException>(() => kernels.Pack(turned, new MatrixPart(tensor with { Scale = 2 }, Transposed: true)));
    }

    private static float[] Row(IKernels kernels, WeightMatrix matrix, int row)
    {
        float[] values = new float[matrix.Columns];
        ((CpuMatrix)matrix).ReadRow(row, values);
        return values;
    }

    private float[] Multiply(IKernels kernels, WeightMatrix matrix, float[] x, Tensor bias)
    {
        using ProductInput input = kernels.CreateInput(1, Inputs, [matrix.Format]);
        kernels.Write(x, input.Rows(0, 1));
        Tensor y = Room(new float[matrix.Rows]);
        kernels.Multiply(new ProductSource(input.Rows(0, 1)), new Projection(matrix, bias), y);
        return y.Floats(0).ToArray();
    }

    private static float[] Gated(IKernels kernels, WeightMatrix gate, WeightMatrix up, float[] x)
    {
        using ProductInput input = kernels.CreateInput(1, Inputs, [gate.Format]);
        using ProductInput output = kernels.CreateInput(1, gate.Rows, []);
        kernels.Write(x, input.Rows(0, 1));
        kernels.MultiplyGated(
            new ProductSource(input.Rows(0, 1)), new Projection(gate), new Projection(up), Activation.Silu, output.Rows(0, 1));
        float[] y = new float[gate.Rows];
        kernels.Read(output.Rows(0, 1), y);
        return y;
    }

    private WeightMatrix Pack(IKernels kernels, params StoredTensor[] parts)
    {
        WeightMatrix matrix = kernels.Describe(parts[0].Format, parts.Sum(part => part.Rows), Inputs, parts.Any(part => part.Scale != 1));
        Place(matrix);
        kernels.Pack(matrix, Array.ConvertAll(parts, part => new MatrixPart(part)));
        return matrix;
    }

    private void Place(WeightMatrix matrix)
    {
        _blocks.Add(new NativeMemoryBlock(matrix.Bytes));
        matrix.Place(_blocks[^1], 0);
    }

    private Tensor Room(float[] values)
    {
        _blocks.Add(new NativeMemoryBlock(sizeof(float) * 64));
        values.CopyTo(new Span<float>((void*)_blocks[^1].Address, values.Length));
        return new Tensor(DType.F32, 1, values.Length, 64, _blocks[^1].Address);
    }

    private StoredTensor Random(WeightFormat format, int rows)
    {
        var block = new NativeMemoryBlock(rows * format.Bytes(Inputs));
        _blocks.Add(block);
        var tensor = new StoredTensor(format, rows, Inputs, block.Address);
        if (format is QuantisedFormat)
        {
            QuantisedModel.Blocks(format, rows * Inputs, rows).CopyTo(new Span<byte>((void*)block.Address, (int)block.Bytes));
        }
        else if (format is DenseFormat dense)
        {
            for (int i = 0; i < rows * Inputs; i++)
            {
                Scalar.Write(dense.Type, block.Address, i, _random.NextSingle() - 0.5f);
            }
        }
        else
        {
            for (byte* at = (byte*)block.Address; at < (byte*)block.Address + tensor.Bytes; at += format.BlockBytes)
            {
                *(float*)at = _random.NextSingle();
                for (int i = 0; i < format.BlockElements; i++)
                {
                    at[sizeof(float) + i] = (byte)((_random.Next(2) << 7) | _random.Next(0x7F));
                }
            }
        }

        return tensor;
    }
}
