using System.Buffers.Binary;
using System.Text;
using Understory.Models.Formats;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats;

public sealed class SafetensorsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Tensors_of_the_three_types_are_read_by_name_and_shape()
    {
        byte[] data = new byte[24 + 4 + 6];
        for (int i = 0; i < 6; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(data.AsSpan(4 * i), i + 0.5f);
        }

        BinaryPrimitives.WriteHalfLittleEndian(data.AsSpan(24), (Half)1.5);
        BinaryPrimitives.WriteHalfLittleEndian(data.AsSpan(26), (Half)(-2));
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(28), Scalar.ToBFloat16(3));
        using Safetensors file = Write("""
            {"__metadata__": {"format": "pt"},
             "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
             "b": {"dtype": "F16", "shape": [2], "data_offsets": [24, 28]},
             "c": {"dtype": "BF16", "shape": [3, 1], "data_offsets": [28, 34]},
             "d": {"dtype": "I64", "shape": [0], "data_offsets": [34, 34]}}
            """, data);
        Assert.Equal(["a", "b", "c", "d"], file.Names.Order(StringComparer.Ordinal));
        StoredTensor a = file.Read("a", 2, 3);
        Assert.Equal((DenseFormat.F32, 2, 3, 24), (a.Format, a.Rows, a.Columns, a.Bytes));
        Assert.Equal([3.5f, 4.5f, 5.5f], a.Row(1));
        StoredTensor b = file.Read("b", 2);
        Assert.Equal((DenseFormat.F16, 1, 2, -2f), (b.Format, b.Rows, b.Columns, b.Row(0)[1]));
        Assert.Equal(3, file.Read("c", 3, 1).Row(0)[0]);
        file.Release(a);
        Assert.Equal(0.5f, file.Read("a", 2, 3).Row(0)[0]);
    }

    [Fact]
    public void A_link_is_as_good_as_the_file_that_it_leads_to()
    {
        Write("""{"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}""", new byte[24]).Dispose();
        string link = Path.Combine(_folder, "linked.safetensors");
        File.CreateSymbolicLink(link, "model.safetensors");
        using Safetensors file = Safetensors.Open(link);
        Assert.Equal(["a"], file.Names);
    }

    [Fact]
    public void A_missing_tensor_another_shape_and_an_unknown_type_are_named()
    {
        using Safetensors file = Write("""{"a": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}, "q": """
            + """{"dtype": "I8", "shape": [2], "data_offsets": [8, 10]}}""", new byte[10]);
        string missing = Assert.Throws<InvalidDataException>(() => file.Read("b", 3, 4)).Message;
        Assert.All(["model.safetensors", "\"b\"", "[3, 4]", "missing"], part => Assert.Contains(part, missing, StringComparison.Ordinal));
        string shape = Assert.Throws<InvalidDataException>(() => file.FormatOf("a", 2, 1)).Message;
        Assert.All(["model.safetensors", "\"a\"", "[2, 1]", "[1, 2]"], part => Assert.Contains(part, shape, StringComparison.Ordinal));
        Assert.Contains("I8", Assert.Throws<InvalidDataException>(() => file.Read("q", 2)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 12]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [2]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [9223372036854775807, 9223372036854775807], "data_offsets": [0, 8]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [1e300], "data_offsets": [0, 8]}}""")]
    [InlineData("""{"a": {"dtype": 7, "shape": [2], "data_offsets": [0, 8]}}""")]
    [InlineData("""{"a": 5}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F16", "shape": [2], "data_offsets": """
        + """[4, 8]}}""")]
    [InlineData("""{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32", "shape": [1], "data_offsets": """
        + """[4, 8]}}""")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("")]
    public void A_header_that_does_not_describe_the_file_is_refused(string header) =>
        Assert.Throws<InvalidDataException>(() => Write(header, new byte[8]).Dispose());

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(long.MaxValue)]
    [InlineData(1UL << 33)]
    [InlineData(100)]
    [InlineData(3)]
    public void A_wrong_header_length_is_refused(ulong length)
    {
        byte[] file = new byte[20];
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        "{}"u8.CopyTo(file.AsSpan(8));
        Assert.Throws<InvalidDataException>(() => Safetensors.Open(WriteFile("model.safetensors", file)).Dispose());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_file_shorter_than_its_own_header_length_is_refused(int bytes) =>
        Assert.Throws<InvalidDataException>(() => Safetensors.Open(WriteFile("model.safetensors", new byte[bytes])).Dispose());

    [Theory]
    [InlineData("""{"weight_map": {"a": "../model.safetensors"}}""")]
    [InlineData("""{"weight_map": {"a": "/etc/passwd"}}""")]
    [InlineData("""{"weight_map": {"a": ".."}}""")]
    [InlineData("""{"weight_map": {"a": ""}}""")]
    [InlineData("""{"weight_map": {"a": null}}""")]
    [InlineData("""{"weight_map": {"a": 5}}""")]
    [InlineData("""{"weight_map": []}""")]
    [InlineData("""{}""")]
    [InlineData("""[]""")]
    [InlineData("")]
    public void An_index_names_files_beside_itself_or_is_refused(string index)
    {
        WriteFile("model.safetensors.index.json", Encoding.UTF8.GetBytes(index));
        Assert.Throws<InvalidDataException>(() => Safetensors.OpenFolder(_folder).Dispose());
    }

    [Fact]
    public void A_missing_shard_is_named()
    {
        WriteFile("model.safetensors.index.json", """{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"""u8.ToArray());
        Assert.Contains("model-00001-of-00002.safetensors",
            Assert.Throws<FileNotFoundException>(() => Safetensors.OpenFolder(_folder)).Message, StringComparison.Ordinal);
    }

    private Safetensors Write(string header, byte[] data)
    {
        byte[] text = Encoding.UTF8.GetBytes(header);
        byte[] length = BitConverter.GetBytes((ulong)text.Length);
        return Safetensors.Open(WriteFile("model.safetensors", [.. length, .. text, .. data]));
    }

    private string WriteFile(string name, byte[] bytes)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
