using System.Text;
using Understory.Models.Formats;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats;

public sealed class GgufTests : IDisposable
{
    private const uint TypeUInt32 = 4;
    private const uint TypeFloat32 = 6;
    private const uint TypeString = 8;
    private const uint TypeArray = 9;
    private const uint TypeUInt64 = 10;

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Metadata_are_read_by_key_and_type()
    {
        using Gguf file = Open(new Builder(tensors: 0, pairs: 5)
            .Key("name", TypeString).String("a model")
            .Key("layers", TypeUInt32).UInt32(12)
            .Key("epsilon", TypeFloat32).UInt32(BitConverter.SingleToUInt32Bits(0.5f))
            .Key("tokens", TypeArray).UInt32(TypeString).UInt64(2).String("x").String("é")
            .Key("big", TypeUInt64).UInt64(1UL << 40));
        GgufMetadata keys = file.Metadata;
        Assert.Equal("a model", keys.Get<string>("name"));
        Assert.Equal(12, keys.GetCount("layers"));
        Assert.Equal(0.5, keys.Get<double>("epsilon"));
        Assert.Equal(12, keys.Get<double>("layers"));
        Assert.Equal(["x", "é"], keys.Get<string[]>("tokens"));
        Assert.Equal(7, keys.GetCount("none", 7));
        Assert.Contains("\"none\" is missing", Assert.Throws<InvalidDataException>(() => keys.Get<string>("none")).Message,
            StringComparison.Ordinal);
        Assert.Contains("\"name\"", Assert.Throws<InvalidDataException>(() => keys.GetCount("name")).Message, StringComparison.Ordinal);
        Assert.Contains("\"big\"", Assert.Throws<InvalidDataException>(() => keys.GetCount("big")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_come_with_rows_first_and_in_the_format_of_the_file()
    {
        var builder = new Builder(tensors: 3, pairs: 0);
        builder.String("plain").UInt32(2).UInt64(3).UInt64(2).UInt32(0).UInt64(0);
        builder.String("packed").UInt32(2).UInt64(32).UInt64(2).UInt32(8).UInt64(32);
        builder.String("experts").UInt32(3).UInt64(1).UInt64(3).UInt64(2).UInt32(0).UInt64(0);
        builder.Align();
        for (int i = 0; i < 8; i++)
        {
            builder.UInt32(BitConverter.SingleToUInt32Bits(i));
        }

        foreach (float scale in (float[])[0.5f, 0.0039f])
        {
            builder.UInt16(BitConverter.HalfToUInt16Bits((Half)scale));
            builder.Bytes([.. Enumerable.Range(-16, 32).Select(i => (byte)(sbyte)(i * 7))]);
        }

        using Gguf file = Open(builder);
        Assert.Equal(["experts", "packed", "plain"], file.Names.Order(StringComparer.Ordinal));
        Assert.Equal([3f, 4f, 5f], file.Read("plain", 2, 3).Row(1));
        StoredTensor experts = file.Read("experts", 2, 3, 1);
        Assert.Equal((6, 1, 5f), (experts.Rows, experts.Columns, experts.Row(5)[0]));
        StoredTensor packed = file.Read("packed", 2, 32);
        Assert.Equal(("Q8_0", 2, 32, 68), (packed.Format.Name, packed.Rows, packed.Columns, packed.Bytes));
        Assert.Same(packed.Format, file.FormatOf("packed", 2, 32));
        Assert.Equal(Enumerable.Range(-16, 32).Select(i => 0.5f * i * 7), packed.Row(0));
        Assert.Equal(Enumerable.Range(-16, 32).Select(i => (float)(Half)0.0039f * (i * 7)), packed.Row(1));
        file.Release(packed);
        Assert.Throws<InvalidDataException>(() => file.Read("packed", 32, 2));
    }

    [Theory]
    [InlineData(31, "Q4_0_4_4", "in Q4_0")]
    [InlineData(9, "Q8_1", "Q8_0")]
    [InlineData(4711, "number 4711", "Q4_K")]
    public void A_type_without_a_reader_is_named_when_it_is_asked_for_with_what_works(uint type, string name, string instead)
    {
        using Gguf file = Open(new Builder(tensors: 1, pairs: 0).String("w").UInt32(1).UInt64(256).UInt32(type).UInt64(0).Align());
        string message = Assert.Throws<InvalidDataException>(() => file.FormatOf("w", 256)).Message;
        Assert.All(["model.gguf", "\"w\"", name, instead], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Any_part_of_a_split_file_opens_all(int given)
    {
        WriteParts(3);
        using Gguf file = Gguf.Open(Part(given + 1, 3));
        Assert.Equal("a model", file.Metadata.Get<string>("name"));
        Assert.Equal(["t0", "t1", "t2"], file.Names.Order(StringComparer.Ordinal));
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(Enumerable.Repeat(i + 0.5f, 8), file.Read($"t{i}", 8).Row(0));
        }
    }

    [Fact]
    public void A_part_that_is_missing_is_named()
    {
        WriteParts(3);
        File.Delete(Part(2, 3));
        string message = Assert.Throws<FileNotFoundException>(() => Gguf.Open(Part(3, 3))).Message;
        Assert.Contains("model-00002-of-00003.gguf", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("split.no", 0u, "part 1 of 3")]
    [InlineData("split.count", 4u, "part 2 of 4")]
    [InlineData("split.tensors.count", 9u, "3 tensors in 3 parts instead of 9")]
    public void Parts_that_do_not_belong_together_are_refused(string key, uint value, string said)
    {
        WriteParts(3, (part, name) => name == key && (part == 1 || key == "split.tensors.count") ? value : null);
        string message = Assert.Throws<InvalidDataException>(() => Gguf.Open(Part(1, 3))).Message;
        Assert.Contains(said, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_in_two_parts_is_refused_with_both()
    {
        WriteParts(3, sameTensor: true);
        string message = Assert.Throws<InvalidDataException>(() => Gguf.Open(Part(1, 3))).Message;
        Assert.All(["\"t0\"", "00001-of", "00002-of"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_part_under_another_name_says_how_parts_are_named()
    {
        WriteParts(3);
        File.Move(Part(1, 3), Path.Combine(_folder, "renamed.gguf"));
        string message = Assert.Throws<InvalidDataException>(() => Gguf.Open(Path.Combine(_folder, "renamed.gguf"))).Message;
        Assert.Contains("NAME-00001-of-00003.gguf", message, StringComparison.Ordinal);
    }

    public static TheoryData<string, Action<Builder>> Hostile => new()
    {
        { "a count of tensors beyond the file", b => b.Reset("GGUF", 3, ulong.MaxValue, 0) },
        { "a count of pairs beyond the file", b => b.Reset("GGUF", 3, 0, 1UL << 60) },
        { "a key longer than the file", b => b.Reset("GGUF", 3, 0, 1).UInt64(1UL << 62).UInt32(0).UInt32(0).UInt32(0) },
        { "another magic", b => b.Reset("GGML", 3, 0, 0) },
        { "version 1", b => b.Reset("GGUF", 1, 0, 0) },
        { "a big-endian version", b => b.Reset("GGUF", 3u << 24, 0, 0) },
        { "a value of an unknown type", b => b.Reset("GGUF", 3, 0, 1).Key("a", 13).UInt64(0) },
        { "an array longer than the file", b => b.Reset("GGUF", 3, 0, 1).Key("a", TypeArray).UInt32(TypeUInt32).UInt64(1UL << 61) },
        { "an array of strings longer than the file", b => b.Reset("GGUF", 3, 0, 1).Key("a", TypeArray).UInt32(TypeString).UInt64(1000)
            .String("x") },
        { "arrays nested without end", b => Nest(b.Reset("GGUF", 3, 0, 1).Key("a", TypeArray), 100) },
        { "the same key twice", b => b.Reset("GGUF", 3, 0, 2).Key("a", TypeUInt32).UInt32(0).Key("a", TypeUInt32).UInt32(0) },
        { "five dimensions", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(5).Bytes(new byte[80]) },
        { "a shape that overflows", b => One(b, 0, 1UL << 40, 1UL << 40) },
        { "a negative dimension", b => One(b, 0, ulong.MaxValue) },
        { "data beyond the end", b => One(b, 0, 8).Bytes(new byte[31]) },
        { "an offset beyond the end", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(1).UInt64(8).UInt32(0).UInt64(1UL << 63).Align()
            .Bytes(new byte[32]) },
        { "an unaligned offset", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(1).UInt64(8).UInt32(0).UInt64(4).Align()
            .Bytes(new byte[64]) },
        { "Q8_0 of half a block", b => One(b, 8, 40).Bytes(new byte[64]) },
        { "Q4_K of a row of 32", b => One(b, 12, 32, 8).Bytes(new byte[144]) },
        { "Q4_K beyond the end", b => One(b, 12, 256).Bytes(new byte[143]) },
        { "a number in Q4_K", b => One(b, 12).Bytes(new byte[144]) },
        { "one of more parts than there are", b => b.Reset("GGUF", 3, 0, 1).Key("split.count", TypeUInt32).UInt32(int.MaxValue) },
        { "one of less than no parts", b => b.Reset("GGUF", 3, 0, 1).Key("split.count", 5).UInt32(uint.MaxValue) },
        { "no alignment", b => b.Reset("GGUF", 3, 0, 1).Key("general.alignment", TypeUInt32).UInt32(0) },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_file_that_contradicts_itself_is_refused(string what, Action<Builder> write)
    {
        var builder = new Builder(0, 0);
        write(builder);
        string message = Assert.Throws<InvalidDataException>(() => Open(builder).Dispose()).Message;
        Assert.True(message.Contains("model.gguf", StringComparison.Ordinal), what);
    }

    /// <summary>The head of a file of one tensor.</summary>
    private static Builder One(Builder builder, uint type, params ReadOnlySpan<ulong> dimensions)
    {
        builder.Reset("GGUF", 3, 1, 0).String("w").UInt32((uint)dimensions.Length);
        foreach (ulong dimension in dimensions)
        {
            builder.UInt64(dimension);
        }

        return builder.UInt32(type).UInt64(0).Align();
    }

    private static void Nest(Builder builder, int depth)
    {
        for (int i = 0; i < depth; i++)
        {
            builder.UInt32(TypeArray).UInt64(1);
        }
    }

    private string Part(int number, int count) => Path.Combine(_folder, $"model-{number:D5}-of-{count:D5}.gguf");

    [Fact]
    public void A_model_in_parts_has_one_name_and_all_its_files()
    {
        WriteParts(3);
        Assert.Equal([Part(1, 3), Part(2, 3), Part(3, 3)], Gguf.FilesOf(Part(2, 3)));
        Assert.Equal(Path.GetFileName(Part(1, 3))[..^"-00001-of-00003.gguf".Length], Gguf.NameOf(Part(2, 3)));
        Assert.Equal(("x", "y"), (Gguf.NameOf("/a/x.gguf"), Gguf.NameOf("/a/y")));
        Assert.Equal(["/a/x.gguf"], Gguf.FilesOf("/a/x.gguf"));
    }

    /// <summary>Parts of one tensor each, t0 to t2.</summary>
    /// <param name="change">Another value for a part's key.</param>
    private void WriteParts(int count, Func<int, string, uint?>? change = null, bool sameTensor = false)
    {
        for (int i = 0; i < count; i++)
        {
            Builder builder = new Builder(tensors: 1, pairs: 4).Key("name", TypeString).String(i == 0 ? "a model" : "");
            foreach ((string key, int value) in new[] { ("split.no", i), ("split.count", count), ("split.tensors.count", count) })
            {
                builder.Key(key, TypeUInt32).UInt32(change?.Invoke(i, key) ?? (uint)value);
            }

            builder.String(sameTensor ? "t0" : $"t{i}").UInt32(1).UInt64(8).UInt32(0).UInt64(0).Align();
            for (int j = 0; j < 8; j++)
            {
                builder.UInt32(BitConverter.SingleToUInt32Bits(i + 0.5f));
            }

            File.WriteAllBytes(Part(i + 1, count), builder.ToArray());
        }
    }

    private Gguf Open(Builder builder)
    {
        string path = Path.Combine(_folder, "model.gguf");
        File.WriteAllBytes(path, builder.ToArray());
        return Gguf.Open(path);
    }

    /// <summary>Writes a GGUF file piece by piece.</summary>
    public sealed class Builder
    {
        private readonly List<byte> _bytes = [];

        public Builder(ulong tensors, ulong pairs) => Reset("GGUF", 3, tensors, pairs);

        public Builder Reset(string magic, uint version, ulong tensors, ulong pairs)
        {
            _bytes.Clear();
            return Bytes(Encoding.ASCII.GetBytes(magic)).UInt32(version).UInt64(tensors).UInt64(pairs);
        }

        public Builder Bytes(byte[] bytes)
        {
            _bytes.AddRange(bytes);
            return this;
        }

        public Builder UInt16(ushort value) => Bytes(BitConverter.GetBytes(value));

        public Builder UInt32(uint value) => Bytes(BitConverter.GetBytes(value));

        public Builder UInt64(ulong value) => Bytes(BitConverter.GetBytes(value));

        public Builder String(string text)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            return UInt64((ulong)bytes.Length).Bytes(bytes);
        }

        public Builder Key(string key, uint type) => String(key).UInt32(type);

        public Builder Align() => Bytes(new byte[(32 - (_bytes.Count % 32)) % 32]);

        public byte[] ToArray() => [.. _bytes];
    }
}
