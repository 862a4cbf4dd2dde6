using System.Runtime.InteropServices;
using Understory.Models.Formats;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;
using Understory.Models.Tests.Architecture;
using Understory.Models.Tests.Formats.Packed;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Formats;

public sealed class QuantisedTensorsTests : IDisposable
{
    private const int Rows = 70;
    private const int Columns = 768;

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;
    private readonly List<IDisposable> _files = [];
    private readonly Random _random = new(3);

    private static WeightFormat Eight => BlockFormat<Q8_0>.Instance;

    private static WeightFormat Four => BlockFormat<Q4_K>.Instance;

    public void Dispose()
    {
        _files.ForEach(file => file.Dispose());
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("Q8_0", Columns, "Q8_0")]
    [InlineData("Q4_K", Columns, "Q4_K")]
    [InlineData("Q4_K", 96, "Q8_0")]
    [InlineData("Q4_K", 100, "F32")]
    public void A_matrix_is_shown_in_the_format_that_its_rows_allow(string wanted, int columns, string shown)
    {
        float[] values = Normal(Rows * columns);
        var file = new SafetensorsFile().Add("w.weight", "F32", [Rows, columns], values).Add("w.bias", "F32", [Rows], Normal(Rows));
        using ITensorSource source = Open(file, _ => new MatrixPlan(Format(wanted)));
        StoredTensor stored = source.Read("w.weight", Rows, columns);
        Assert.Equal((shown, Rows, columns), (stored.Format.Name, stored.Rows, stored.Columns));
        Assert.Same(stored.Format, source.FormatOf("w.weight", Rows, columns));
        Assert.Same(DenseFormat.F32, source.Read("w.bias", Rows).Format);
        for (int row = 0; row < Rows; row++)
        {
            Assert.Equal(Blocks(stored.Format, values.AsSpan(row * columns, columns)), Bytes(stored, row));
        }

        source.Release(stored);
    }

    [Theory]
    [InlineData("F32", "Q8_0", Columns)]
    [InlineData("F16", "Q8_0", 96)]
    [InlineData("BF16", "Q4_K", Columns)]
    [InlineData("F32", "Q4_K", Columns)]
    [InlineData("F16", "Q4_K", 33)]
    [InlineData("F32", "Q4_K", 33)]
    public void A_transposed_matrix_is_turned_and_quantised_along_its_inputs(string type, string format, int columns)
    {
        float[] values = [.. Normal(Rows * columns).Select(value => Round(type, value))];
        float[] turned = [.. Enumerable.Range(0, values.Length).Select(i => values[(i % Rows * columns) + (i / Rows)])];
        SafetensorsFile file = type == "F32"
            ? new SafetensorsFile().Add("w.weight", type, [columns, Rows], turned)
            : new SafetensorsFile().Add("w.weight", type, [columns, Rows], Array.ConvertAll(turned, value => Bits(type, value)));
        using ITensorSource source = Open(file, _ => new MatrixPlan(Format(format), Turned: true));
        StoredTensor stored = source.Read("w.weight", Rows, columns);
        Assert.Equal((Rows, columns), (stored.Rows, stored.Columns));
        Assert.Equal(columns == 33 ? type : columns == 96 ? "Q8_0" : format, stored.Format.Name);
        for (int row = 0; row < Rows; row++)
        {
            ReadOnlySpan<float> own = values.AsSpan(row * columns, columns);
            if (stored.Format is DenseFormat)
            {
                Assert.Equal(own.ToArray(), stored.Row(row));
            }
            else
            {
                Assert.Equal(Blocks(stored.Format, own), Bytes(stored, row));
            }
        }
    }

    [Fact]
    public void Sixteen_bit_weights_give_the_blocks_of_their_values()
    {
        ushort[] halves = [.. Enumerable.Range(0, 0x7C00).Select(bits => (ushort)(bits | (bits % 2 << 15)))];
        ushort[] brains = Array.ConvertAll(Normal(halves.Length), value => Bits("BF16", value));
        SafetensorsFile file = new SafetensorsFile()
            .Add("half.weight", "F16", [124, 256], halves).Add("brain.weight", "BF16", [124, 256], brains);
        using ITensorSource plain = Open(file, _ => default);
        using ITensorSource source = Open(file, _ => new MatrixPlan(Eight));
        foreach (string name in (string[])["half.weight", "brain.weight"])
        {
            StoredTensor from = plain.Read(name, 124, 256);
            StoredTensor stored = source.Read(name, 124, 256);
            for (int row = 0; row < stored.Rows; row++)
            {
                DType type = ((DenseFormat)from.Format).Type;
                float[] values = [.. Enumerable.Range(0, 256).Select(i => Scalar.Read(type, from.Data, (row * 256) + i))];
                Assert.Equal(values, from.Row(row));
                Assert.Equal(Blocks(Eight, values), Bytes(stored, row));
            }
        }
    }

    [Fact]
    public void What_is_quantised_already_and_what_has_no_plan_stays_as_it_is()
    {
        byte[] model = QuantisedModel.Llama();
        string path = Path.Combine(_folder, "model.gguf");
        File.WriteAllBytes(path, model);
        using var file = Gguf.Open(path);
        using var source = new QuantisedTensors(file, _ => new MatrixPlan(Eight));
        Assert.Equal(file.Names, source.Names);
        Assert.Equal("Q3_K", source.FormatOf("blk.0.attn_output.weight", 256, 256).Name);
        StoredTensor stored = source.Read("blk.0.attn_output.weight", 256, 256);
        Assert.Equal(file.Read("blk.0.attn_output.weight", 256, 256).Data, stored.Data);
        Assert.False(source.Contains("none"));
        Assert.Throws<InvalidDataException>(() => source.FormatOf("blk.0.attn_output.weight", 256, 128));
        using var turned = new QuantisedTensors(file, _ => new MatrixPlan(Eight, Turned: true));
        string message = Assert.Throws<InvalidDataException>(() => turned.FormatOf("blk.0.attn_output.weight", 256, 256)).Message;
        Assert.All(["blk.0.attn_output.weight", "Q3_K"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Q8_0", 256, "Q4_K")]
    [InlineData("Q6_K", 256, "Q4_K")]
    [InlineData("Q5_K", 256, "Q5_K")]
    [InlineData("Q4_0", 256, "Q4_0")]
    [InlineData("Q8_0", 288, "Q4_1")]
    [InlineData("Q5_1", 288, "Q5_1")]
    public unsafe void Blocks_are_quantised_again_where_that_makes_them_a_quarter_smaller(string stored, int columns, string shown)
    {
        using var blocks = new RandomQuantised(RandomQuantised.All.Single(format => format.Name == stored));
        using var source = new QuantisedTensors(blocks, _ => new MatrixPlan(Four, Again: true));
        StoredTensor from = blocks.Read("w", Rows, columns);
        StoredTensor made = source.Read("w", Rows, columns);
        Assert.Equal(shown, made.Format.Name);
        Assert.Same(made.Format, source.FormatOf("w", Rows, columns));
        for (int row = 0; row < Rows && shown != stored; row++)
        {
            Assert.Equal(Blocks(made.Format, from.Row(row)), Bytes(made, row));
        }
    }

    [Theory]
    [InlineData(Columns, "Q4_K")]
    [InlineData(96, "Q4_1")]
    [InlineData(100, "F32")]
    public void Plain_numbers_have_four_bits_too_where_blocks_are_quantised_again(int columns, string shown)
    {
        float[] values = Normal(Rows * columns);
        SafetensorsFile file = new SafetensorsFile().Add("w.weight", "F32", [Rows, columns], values);
        using ITensorSource source = Open(file, _ => new MatrixPlan(Four, Again: true));
        StoredTensor stored = source.Read("w.weight", Rows, columns);
        Assert.Equal(shown, stored.Format.Name);
        for (int row = 0; row < Rows; row++)
        {
            Assert.Equal(Blocks(stored.Format, values.AsSpan(row * columns, columns)), Bytes(stored, row));
        }
    }

    private static WeightFormat Format(string name) => QuantisedTensors.Formats.Single(format => format.Name == name);

    private static float Round(string type, float value) => type switch
    {
        "F32" => value,
        "F16" => Scalar.FromFloat16(Bits(type, value)),
        _ => Scalar.FromBFloat16(Bits(type, value)),
    };

    private static ushort Bits(string type, float value) => type == "F16" ? Scalar.ToFloat16(value) : Scalar.ToBFloat16(value);

    private static unsafe byte[] Bytes(StoredTensor tensor, int row) =>
        new ReadOnlySpan<byte>((void*)tensor.RowAddress(row), (int)tensor.RowBytes).ToArray();

    private static unsafe byte[] Blocks(WeightFormat format, ReadOnlySpan<float> values)
    {
        if (format is DenseFormat)
        {
            return MemoryMarshal.AsBytes(values).ToArray();
        }

        byte[] blocks = new byte[format.Bytes(values.Length)];
        fixed (float* from = values)
        fixed (byte* to = blocks)
        {
            for (int i = 0; i < values.Length / format.BlockElements; i++)
            {
                if (format == Four)
                {
                    Q4_K.Write(from + (i * Q4_K.Elements), to + (i * Q4_K.Bytes));
                }
                else if (format == BlockFormat<Q4_1>.Instance)
                {
                    Q4_1.Write(from + (i * Q4_1.Elements), to + (i * Q4_1.Bytes));
                }
                else
                {
                    Q8_0.Write(from + (i * Q8_0.Elements), to + (i * Q8_0.Bytes));
                }
            }
        }

        return blocks;
    }

    private float[] Normal(int count) => [.. Enumerable.Range(0, count).Select(_ =>
        (float)(Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble())))];

    private QuantisedTensors Open(SafetensorsFile file, Func<string, MatrixPlan> plan)
    {
        string path = Path.Combine(_folder, $"{_files.Count}.safetensors");
        File.WriteAllBytes(path, file.ToArray());
        var source = Safetensors.Open(path);
        _files.Add(source);
        return new QuantisedTensors(source, plan);
    }
}
