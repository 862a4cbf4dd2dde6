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
        Assert.Contains("\"none\" is missing", Assert.Throws<InvalidDataException>(() => keys.Get<string>("none")).Message, StringComparison.Ordinal);
        Assert.Contains("\"name\"", Assert.Throws<InvalidDataException>(() => keys.GetCount("name")).Message, StringComparison.Ordinal);
        Assert.Contains("\"big\"", Assert.Throws<InvalidDataException>(() => keys.GetCount("big")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_come_with_rows_first_and_Q8_0_expanded_to_bf16()
    {
        var builder = new Builder(tensors: 2, pairs: 0);
        builder.String("plain").UInt32(2).UInt64(3).UInt64(2).UInt32(0).UInt64(0);
        builder.String("packed").UInt32(2).UInt64(32).UInt64(2).UInt32(8).UInt64(32);
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
        Assert.Equal([3f, 4f, 5f], file.Read("plain", 2, 3).Floats(1).ToArray());
        Tensor packed = file.Read("packed", 2, 32);
        Assert.Equal(DType.BF16, packed.Type);
        for (int i = 0; i < 32; i++)
        {
            Assert.Equal(0.5f * (i - 16) * 7, ElementTypes.Get(packed, 0, i));
            float exact = (float)(Half)0.0039f * (i - 16) * 7;
            Assert.InRange(ElementTypes.Get(packed, 1, i), exact - Math.Abs(exact / 256), exact + Math.Abs(exact / 256));
        }

        file.Release(packed);
        Assert.Throws<InvalidDataException>(() => file.Read("packed", 32, 2));
    }

    [Fact]
    public void A_type_that_is_not_supported_is_named_when_it_is_asked_for()
    {
        using Gguf file = Open(new Builder(tensors: 1, pairs: 0).String("w").UInt32(1).UInt64(256).UInt32(12).UInt64(0).Align());
        Assert.Contains("Q4_K", Assert.Throws<InvalidDataException>(() => file.TypeOf("w", 256)).Message, StringComparison.Ordinal);
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
        { "an array of strings longer than the file", b => b.Reset("GGUF", 3, 0, 1).Key("a", TypeArray).UInt32(TypeString).UInt64(1000).String("x") },
        { "arrays nested without end", b => Nest(b.Reset("GGUF", 3, 0, 1).Key("a", TypeArray), 100) },
        { "the same key twice", b => b.Reset("GGUF", 3, 0, 2).Key("a", TypeUInt32).UInt32(0).Key("a", TypeUInt32).UInt32(0) },
        { "five dimensions", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(5).Bytes(new byte[80]) },
        { "a shape that overflows", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(2).UInt64(1UL << 40).UInt64(1UL << 40).UInt32(0).UInt64(0).Align() },
        { "a negative dimension", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(1).UInt64(ulong.MaxValue).UInt32(0).UInt64(0).Align() },
        { "data beyond the end", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(1).UInt64(8).UInt32(0).UInt64(0).Align().Bytes(new byte[31]) },
        { "an offset beyond the end", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(1).UInt64(8).UInt32(0).UInt64(1UL << 63).Align().Bytes(new byte[32]) },
        { "an unaligned offset", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(1).UInt64(8).UInt32(0).UInt64(4).Align().Bytes(new byte[64]) },
        { "Q8_0 of half a block", b => b.Reset("GGUF", 3, 1, 0).String("w").UInt32(1).UInt64(40).UInt32(8).UInt64(0).Align().Bytes(new byte[64]) },
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

    private static void Nest(Builder builder, int depth)
    {
        for (int i = 0; i < depth; i++)
        {
            builder.UInt32(TypeArray).UInt64(1);
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
