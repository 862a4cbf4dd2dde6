using System.Text.Json;
using Understory.Models.Formats;
using Understory.Models.Formats.Packed;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats.Packed;

/// <summary>Each packing, written here weight by weight as its definition says.</summary>
public sealed class PackingTests : IDisposable
{
    private const string BlockConfig =
        """{"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"block_structure": [8, 32]}}}}""";

    private const int Rows = 24;
    private const int Columns = 192;
    private const int Group = 64;
    private const int Groups = Columns / Group;

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;
    private readonly Random _random = new(1);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Awq_has_outputs_along_its_words_in_an_order_of_its_own()
    {
        int[] order = [0, 2, 4, 6, 1, 3, 5, 7];
        (int[,] codes, int[,] zeros, Half[] scales) = (Codes(Columns, Rows), Codes(Groups, Rows), Scales(Groups * Rows));
        SafetensorsFile file = Transposed(
            Words(Columns, Rows / 8, (input, word, place) => codes[input, (8 * word) + order[place]]), [Columns, Rows / 8],
            Words(Groups, Rows / 8, (group, word, place) => zeros[group, (8 * word) + order[place]]), scales);
        Check(file, """{"quant_method": "awq", "bits": 4, "version": "GEMM"}""", "INT4", (row, column) =>
            (codes[column, row] - zeros[column / Group, row]) * (float)scales[(column / Group * Rows) + row]);
    }

    [Theory]
    [InlineData("""{"quant_method": "gptq", "bits": 4}""", 1)]
    [InlineData("""{"quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq_v2"}""", 0)]
    public void Gptq_has_inputs_along_its_words_and_zero_points_less_one(string config, int offset)
    {
        (int[,] codes, int[,] zeros, Half[] scales) = (Codes(Columns, Rows), Codes(Groups, Rows), Scales(Groups * Rows));
        SafetensorsFile file = Gptq(codes, zeros, scales);
        Check(file, config, "INT4", (row, column) =>
            (codes[column, row] - zeros[column / Group, row] - offset) * (float)scales[(column / Group * Rows) + row]);
        int[] inOrder = [.. Enumerable.Range(0, Columns).Select(input => input / Group)];
        Check(file.Add("x.g_idx", "I32", [Columns], inOrder), config, "INT4", (row, column) =>
            (codes[column, row] - zeros[column / Group, row] - offset) * (float)scales[(column / Group * Rows) + row]);
    }

    [Fact]
    public void Gptq_of_groups_out_of_order_is_shown_as_F16()
    {
        (int[,] codes, int[,] zeros, Half[] scales) = (Codes(Columns, Rows), Codes(Groups, Rows), Scales(Groups * Rows));
        int[] order = [.. Enumerable.Range(0, Columns).Select(input => input % Groups)];
        SafetensorsFile file = Gptq(codes, zeros, scales).Add("x.g_idx", "I32", [Columns], order);
        Check(file, """{"quant_method": "gptq", "bits": 4}""", "F16", (row, column) =>
            (float)(Half)((codes[column, row] - zeros[order[column], row] - 1) * (float)scales[(order[column] * Rows) + row]));
    }

    [Fact]
    public void Symmetric_gptq_needs_no_zero_points_and_says_where_it_is_not_symmetric()
    {
        const string config = """{"quant_method": "gptq", "bits": 4, "sym": true}""";
        (int[,] codes, Half[] scales) = (Codes(Columns, Rows), Scales(Groups * Rows));
        int[,] zeros = new int[Groups, Rows];
        foreach ((int group, int row) in Enumerable.Range(0, Groups * Rows).Select(i => (i / Rows, i % Rows)))
        {
            zeros[group, row] = 7;
        }

        Check(Gptq(codes, zeros, scales), config, "INT4", (row, column) =>
            (codes[column, row] - 8) * (float)scales[(column / Group * Rows) + row]);
        zeros[1, 3] = 6;
        using ITensorSource source = Open(Gptq(codes, zeros, scales), config);
        Assert.False(((QuantisedFormat)source.FormatOf("x.weight", Rows, Columns)).Form.Mins);
        string message = Assert.Throws<InvalidDataException>(() => source.Read("x.weight", Rows, Columns)).Message;
        Assert.All(["x.qzeros", "zero point of 7"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(4, false)]
    [InlineData(4, true)]
    [InlineData(8, false)]
    [InlineData(8, true)]
    public void Pack_quantized_has_inputs_along_its_words_and_outputs_along_those_of_zero_points(int bits, bool zero)
    {
        int perWord = 32 / bits;
        (int[,] codes, int[,] zeros, Half[] scales) = (Codes(Rows, Columns, bits), Codes(Rows, Groups, bits), Scales(Rows * Groups));
        uint[] words = Words(Rows, Columns / perWord, (row, word, place) => codes[row, (perWord * word) + place], bits);
        var file = new SafetensorsFile().Add("x.weight_packed", "I32", [Rows, Columns / perWord], words)
            .Add("x.weight_scale", "F16", [Rows, Groups], scales).Add("x.weight_shape", "I64", [2], [(long)Rows, Columns]);
        if (zero)
        {
            uint[] zeroWords = [.. Enumerable.Range(0, Rows / perWord * Groups).Select(i =>
                Word(place => zeros[(perWord * (i / Groups)) + place, i % Groups], bits))];
            file.Add("x.weight_zero_point", "I32", [Rows / perWord, Groups], zeroWords);
        }

        Check(file, """{"quant_method": "compressed-tensors"}""", $"INT{bits}", (row, column) =>
            (codes[row, column] - (zero ? zeros[row, column / Group] : 1 << (bits - 1)))
                * (float)scales[(row * Groups) + (column / Group)]);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(8)]
    public unsafe void A_group_whose_scale_is_no_number_is_seen_in_its_row_and_in_no_other(int bits)
    {
        Half[] scales = Scales(Rows * Groups);
        scales[(3 * Groups) + Groups - 1] = Half.NaN;
        scales[5 * Groups] = Half.NegativeInfinity;
        using ITensorSource source = Open(
            new SafetensorsFile().Add("x.weight_packed", "I32", [Rows, Columns * bits / 32], new uint[Rows * Columns * bits / 32])
                .Add("x.weight_scale", "F16", [Rows, Groups], scales).Add("x.weight_shape", "I64", [2], [(long)Rows, Columns]),
            """{"quant_method": "compressed-tensors"}""");
        StoredTensor stored = source.Read("x.weight", Rows, Columns);
        var format = (QuantisedFormat)stored.Format;
        for (int row = 0; row < Rows; row++)
        {
            var parts = new QuantisedRow(format.Form, Columns);
            format.Read((byte*)stored.RowAddress(row), Columns, parts);
            Assert.Equal(row is 3 or 5, parts.HasBadScale);
        }

        source.Release(stored);
    }

    [Theory]
    [InlineData(Groups, false)]
    [InlineData(1, false)]
    [InlineData(1, true)]
    [InlineData(0, false)]
    public void Int_quantized_has_signed_bytes_and_scales_of_groups_rows_or_all(int groups, bool zero)
    {
        sbyte[] weights = [.. Enumerable.Range(0, Rows * Columns).Select(_ => (sbyte)_random.Next(-128, 128))];
        int[] shape = groups == 0 ? [1] : [Rows, groups];
        Half[] scales = Scales(shape.Aggregate((a, b) => a * b));
        sbyte[] zeros = [.. scales.Select(_ => (sbyte)_random.Next(-128, 128))];
        SafetensorsFile file = new SafetensorsFile()
            .Add("x.weight", "I8", [Rows, Columns], weights).Add("x.weight_scale", "F16", shape, scales);
        if (zero)
        {
            file.Add("x.weight_zero_point", "I8", shape, zeros);
        }

        Check(file, """{"quant_method": "compressed-tensors"}""", "INT8", (row, column) =>
        {
            int index = groups == 0 ? 0 : (row * groups) + (column * groups / Columns);
            return (weights[(row * Columns) + column] - (zero ? zeros[index] : 0)) * (float)scales[index];
        });
    }

    [Theory]
    [InlineData("weight_scale_inv", new[] { 2, 3 }, """{"quant_method": "fp8", "weight_block_size": [16, 80]}""", 16, 80)]
    [InlineData("weight_scale_inv", new[] { 1, 2 }, """{"quant_method": "fp8"}""", 128, 128)]
    [InlineData("weight_scale", new[] { Rows, 1 }, """{"quant_method": "compressed-tensors"}""", 1, Columns)]
    [InlineData("weight_scale", new[] { Rows }, """{"quant_method": "fbgemm_fp8"}""", 1, Columns)]
    [InlineData("weight_scale", new[] { 1 }, """{"quant_method": "fp8"}""", Rows, Columns)]
    [InlineData("weight_scale", new[] { 3, 6 }, BlockConfig, 8, 32)]
    public void Bytes_of_floats_have_scales_of_blocks_of_which_the_last_are_cut_or_of_rows_or_of_all(
        string name, int[] shape, string config, int blockRows, int blockColumns)
    {
        byte[] codes = [.. Enumerable.Range(0, Rows * Columns).Select(i => (byte)(i % 128 == 127 ? 0 : i))];
        float[] scales = [.. Enumerable.Range(0, shape.Aggregate((a, b) => a * b)).Select(_ => _random.NextSingle())];
        SafetensorsFile file = new SafetensorsFile()
            .Add("x.weight", "F8_E4M3", [Rows, Columns], codes).Add("x." + name, "F32", shape, scales);
        int wide = (Columns + blockColumns - 1) / blockColumns;
        Check(file, config, "F8_E4M3", (row, column) =>
        {
            byte code = codes[(row * Columns) + column];
            int exponent = (code >> 3) & 15;
            double size = exponent == 0 ? (code & 7) * Math.Pow(2, -9) : (8 + (code & 7)) * Math.Pow(2, exponent - 10);
            return scales[(row / blockRows * wide) + (column / blockColumns)] * (float)(code > 127 ? -size : size);
        });
    }

    [Fact]
    public void Mxfp4_of_experts_has_neighbours_in_a_byte()
    {
        const int experts = 2;
        double[] sizes = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
        byte[] codes = [.. Enumerable.Range(0, experts * Rows * Columns / 2).Select(_ => (byte)_random.Next(256))];
        byte[] scales = [.. Enumerable.Range(0, experts * Rows * Columns / 32).Select(i => (byte)(i % 255))];
        SafetensorsFile file = new SafetensorsFile().Add("x_blocks", "U8", [experts, Rows, Columns / 32, 16], codes)
            .Add("x_scales", "U8", [experts, Rows, Columns / 32], scales).Add("x_bias", "F32", [1], [1f]);
        using ITensorSource source = Open(file, """{"quant_method": "mxfp4"}""");
        Assert.Equal(["x", "x_bias"], source.Names.Order(StringComparer.Ordinal));
        StoredTensor stored = source.Read("x", experts, Rows, Columns);
        Assert.Equal(("MXFP4", experts * Rows, Columns), (stored.Format.Name, stored.Rows, stored.Columns));
        for (int row = 0; row < stored.Rows; row++)
        {
            float[] expected = [.. Enumerable.Range(row * Columns, Columns).Select(i =>
            {
                int code = (codes[i / 2] >> (4 * (i % 2))) & 15;
                return (float)((code > 7 ? -1 : 1) * sizes[code % 8] * Math.Pow(2, scales[i / 32] - 127));
            })];
            Assert.Equal(expected, stored.Row(row));
        }

        source.Release(stored);
        Assert.Throws<InvalidDataException>(() => source.FormatOf("x", Rows, experts, Columns));
        Assert.Throws<InvalidDataException>(() => source.FormatOf("x", experts * Rows, Columns));
    }

    [Fact]
    public unsafe void Bytes_of_floats_that_are_no_numbers_and_such_scales_are_seen()
    {
        var format = Float8Format.Of(32);
        byte[] blocks = new byte[2 * format.BlockBytes];
        fixed (byte* at = blocks)
        {
            Assert.False(format.HasBadValue(at, 64));
            foreach ((int index, byte bad) in ((int, byte)[])[(4, 0x7F), (35, 0xFF), (40, 0x7F), (71, 0xFF)])
            {
                at[index] = bad;
                Assert.True(format.HasBadValue(at, 64));
                at[index] = 0x7E;
                Assert.False(format.HasBadValue(at, 64));
            }

            *(float*)(at + format.BlockBytes) = float.PositiveInfinity;
            Assert.True(format.HasBadValue(at, 64));
        }

        Assert.True(float.IsNaN(Float8Format.Value(0x7F)) && float.IsNaN(Float8Format.Value(0xFF)));
        Assert.Equal(448, Float8Format.Value(0x7E));
    }

    [Theory]
    [InlineData("""{"quant_method": "bitsandbytes", "load_in_4bit": true}""", "bitsandbytes")]
    [InlineData("""{"quant_method": "awq", "bits": 4, "version": "gemv"}""", "gemv")]
    [InlineData("""{"quant_method": "awq", "bits": 3}""", "\"bits\": 3")]
    [InlineData("""{"quant_method": "gptq", "bits": 8}""", "\"bits\": 8")]
    [InlineData("""{"quant_method": 7}""", "\"\"")]
    [InlineData("{}", "\"\"")]
    public void A_packing_that_cannot_be_read_is_named_with_those_that_can(string config, string named)
    {
        var file = new SafetensorsFile().Add("x.weight", "F32", [1], [1f]);
        string message = Assert.Throws<InvalidDataException>(() => Open(file, config)).Message;
        Assert.All(["model.safetensors", named, "can"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Fact]
    public void Tensors_that_do_not_fit_each_other_are_named_with_both_shapes()
    {
        const string config = """{"quant_method": "gptq", "bits": 4}""";
        (uint[] words, uint[] zeros, Half[] scales) = (new uint[Rows * Columns / 8], new uint[Groups * Rows / 8], Scales(Groups * Rows));
        SafetensorsFile file = new SafetensorsFile().Add("x.qweight", "I32", [Columns / 8, Rows], words);
        Assert.Contains("\"x.scales\" is missing", Refusal(file, config), StringComparison.Ordinal);
        file.Add("x.scales", "F16", [Groups, Rows], scales);
        Assert.Contains("\"x.qzeros\" is missing", Refusal(file, config), StringComparison.Ordinal);
        file.Add("x.qzeros", "I32", [1, zeros.Length], zeros);
        Assert.All(["x.qzeros", "[3, 3]", "[1, 9]"], part => Assert.Contains(part, Refusal(file, config), StringComparison.Ordinal));
        file = Transposed(words, [Columns / 8, Rows], zeros, scales);
        string wider = Refusal(file, config, 32);
        Assert.All(["x.qweight", "[24, 32]", "[24, 24]"], part => Assert.Contains(part, wider, StringComparison.Ordinal));
        file.Add("x.g_idx", "I32", [Columns], Enumerable.Repeat(Groups, Columns).ToArray());
        Assert.Contains("x.g_idx", Refusal(file, config), StringComparison.Ordinal);
    }

    [Fact]
    public void Groups_that_are_no_multiple_of_32_are_refused()
    {
        SafetensorsFile file = new SafetensorsFile().Add("x.weight_packed", "I32", [Rows, Columns / 8], new uint[Rows * Columns / 8])
            .Add("x.weight_scale", "F16", [Rows, Columns / 16], Scales(Rows * Columns / 16));
        string message = Refusal(file, """{"quant_method": "compressed-tensors"}""");
        Assert.All(["x.weight_scale", "12 scales for 192"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Fact]
    public void What_is_not_packed_is_shown_as_it_is()
    {
        SafetensorsFile file = Gptq(Codes(Columns, Rows), Codes(Groups, Rows), Scales(Groups * Rows))
            .Add("norm.weight", "F32", [3], [1f, 2f, 3f]).Add("head.weight", "BF16", [2, 2], new ushort[4])
            .Add("x.bias", "F16", [Rows], new Half[Rows]);
        using ITensorSource source = Open(file, """{"quant_method": "gptq", "bits": 4}""");
        Assert.Equal(["head.weight", "norm.weight", "x.bias", "x.weight"], source.Names.Order(StringComparer.Ordinal));
        Assert.Equal([1f, 2f, 3f], source.Read("norm.weight", 3).Row(0));
        Assert.Same(DenseFormat.BF16, source.FormatOf("head.weight", 2, 2));
        Assert.False(source.Contains("y.weight"));
        Assert.Throws<InvalidDataException>(() => source.FormatOf("y.weight", 2, 2));
        Assert.Throws<InvalidDataException>(() => source.FormatOf("x.weight", Rows * Columns));
    }

    private static SafetensorsFile Transposed(uint[] words, int[] shape, uint[] zeros, Half[] scales) => new SafetensorsFile()
        .Add("x.qweight", "I32", shape, words).Add("x.qzeros", "I32", [Groups, Rows / 8], zeros)
        .Add("x.scales", "F16", [Groups, Rows], scales);

    private static SafetensorsFile Gptq(int[,] codes, int[,] zeros, Half[] scales) => Transposed(
        Words(Columns / 8, Rows, (word, row, place) => codes[(8 * word) + place, row]), [Columns / 8, Rows],
        Words(Groups, Rows / 8, (group, word, place) => zeros[group, (8 * word) + place]), scales);

    private static uint[] Words(int rows, int wide, Func<int, int, int, int> code, int bits = 4) =>
        [.. Enumerable.Range(0, rows * wide).Select(i => Word(place => code(i / wide, i % wide, place), bits))];

    private static uint Word(Func<int, int> code, int bits) =>
        Enumerable.Range(0, 32 / bits).Aggregate(0u, (word, place) => word | ((uint)code(place) << (bits * place)));

    private int[,] Codes(int rows, int columns, int bits = 4)
    {
        int[,] codes = new int[rows, columns];
        for (int i = 0; i < codes.Length; i++)
        {
            codes[i / columns, i % columns] = _random.Next(1 << bits);
        }

        return codes;
    }

    private Half[] Scales(int count) => [.. Enumerable.Range(0, count).Select(_ => (Half)(_random.NextSingle() - 0.5f))];

    private ITensorSource Open(SafetensorsFile file, string config)
    {
        string path = Path.Combine(_folder, "model.safetensors");
        File.WriteAllBytes(path, file.ToArray());
        var source = Safetensors.Open(path);
        try
        {
            return PackedTensors.Over(source, JsonElement.Parse(config));
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    private string Refusal(SafetensorsFile file, string config, int rows = Rows)
    {
        using ITensorSource source = Open(file, config);
        return Assert.Throws<InvalidDataException>(() => source.Read("x.weight", rows, Columns)).Message;
    }

    /// <summary>Every weight has the bits that <paramref name="expected"/> gives for its row and column.</summary>
    private void Check(SafetensorsFile file, string config, string format, Func<int, int, float> expected)
    {
        using ITensorSource source = Open(file, config);
        Assert.Equal(["x.weight"], source.Names);
        StoredTensor stored = source.Read("x.weight", Rows, Columns);
        Assert.Equal((format, Rows, Columns), (stored.Format.Name, stored.Rows, stored.Columns));
        Assert.Same(stored.Format, source.FormatOf("x.weight", Rows, Columns));
        for (int row = 0; row < Rows; row++)
        {
            Assert.Equal(Enumerable.Range(0, Columns).Select(column => expected(row, column)), stored.Row(row));
        }

        source.Release(stored);
    }
}
