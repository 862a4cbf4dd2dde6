using System.Globalization;
using System.Text;
using System.Text.Json;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Formats.Packed;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tests.Architecture;
using Understory.Models.Tests.Formats;
using Understory.Models.Tests.Formats.Packed;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Fuzz;

/// <summary>
/// Weights and configs that somebody else made: whatever is in them, loading ends with a model or with one line that names the file.
/// </summary>
[Collection(AloneCollection.Name)]
public sealed class CheckpointFuzzTests : IDisposable
{
    /// <summary>No fixture, but a model of eight quantised types.</summary>
    private const string Quantised = "quantised";

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-fuzz").FullName;
    private readonly IKernels _kernels = KernelCatalog.Create("reference");

    public void Dispose()
    {
        _kernels.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("llama-bf16", "model.safetensors")]
    [InlineData("gpt2", "model.safetensors")]
    [InlineData("gpt2", "model.gguf")]
    [InlineData("llama-q8", "model.gguf")]
    [InlineData("llama-linear", "model.gguf")]
    [InlineData(Quantised, "model.gguf")]
    public void Damaged_files_of_weights_are_read_or_refused(string fixture, string name)
    {
        byte[] whole = Whole(fixture, name);
        int head = name.EndsWith("gguf", StringComparison.Ordinal) ? 12_000 : 8 + (int)BitConverter.ToUInt64(whole);
        string path = Path.Combine(_folder, name);
        int refused = FuzzRun.Check(1500, factor: 16, constant: 1 << 20, mutator => mutator.Bytes(whole, head), file =>
        {
            File.WriteAllBytes(path, file);
            return Refuses(() =>
            {
                using ITensorSource source = name.EndsWith("gguf", StringComparison.Ordinal) ? Gguf.Open(path) : Safetensors.Open(path);
                _ = source.Names.Count();
            });
        });
        Assert.InRange(refused, 1, int.MaxValue);
    }

    [Fact]
    public void Headers_of_safetensors_may_say_what_they_like()
    {
        byte[] whole = File.ReadAllBytes(Repository.Fixture("golden", "gpt2", "model.safetensors"));
        int length = (int)BitConverter.ToUInt64(whole);
        string header = Encoding.UTF8.GetString(whole, 8, length);
        string path = Path.Combine(_folder, "model.safetensors");
        FuzzRun.Check(1500, factor: 16, constant: 1 << 20, mutator => WithHeader(mutator.Json(header), whole[(8 + length)..]), file =>
        {
            File.WriteAllBytes(path, file);
            return Refuses(() => Safetensors.Open(path).Dispose());
        });
    }

    [Theory]
    [InlineData("awq", "a")]
    [InlineData("gptq", "a")]
    [InlineData("compressed-tensors", "bcd")]
    [InlineData("fp8", "d")]
    [InlineData("mxfp4", "e")]
    public void Packed_tensors_may_be_what_they_like(string method, string layers)
    {
        byte[] whole = new SafetensorsFile()
            .Add("a.qweight", "I32", method == "awq" ? [64, 4] : [8, 32], new uint[256]).Add("a.qzeros", "I32", [2, 4], new uint[8])
            .Add("a.scales", "F16", [2, 32], new Half[64]).Add("a.g_idx", "I32", [64], new int[64])
            .Add("b.weight_packed", "I32", [32, 8], new uint[256]).Add("b.weight_scale", "F16", [32, 2], new Half[64])
            .Add("b.weight_zero_point", "I32", [4, 2], new uint[8]).Add("c.weight", "I8", [32, 64], new byte[2048])
            .Add("c.weight_scale", "F32", [32, 1], new float[32]).Add("d.weight", "F8_E4M3", [32, 64], new byte[2048])
            .Add("d.weight_scale_inv", "F32", [1, 1], [1f]).Add("e.weight_blocks", "U8", [1, 32, 2, 16], new byte[1024])
            .Add("e.weight_scales", "U8", [1, 32, 2], new byte[64]).ToArray();
        JsonElement config = JsonElement.Parse($$"""{"quant_method": "{{method}}", "bits": 4}""");
        string path = Path.Combine(_folder, "model.safetensors");
        int refused = FuzzRun.Check(1500, factor: 16, constant: 1 << 20, mutator => mutator.Bytes(whole, 1200), file =>
        {
            File.WriteAllBytes(path, file);
            return Refuses(() =>
            {
                using ITensorSource source = PackedTensors.Over(Safetensors.Open(path), config);
                _ = source.Names.Count();
                foreach (char layer in layers)
                {
                    StoredTensor stored = source.Read($"{layer}.weight", method == "mxfp4" ? [1, 32, 64] : [32, 64]);
                    _ = stored.Row(31);
                    source.Release(stored);
                }
            });
        });
        Assert.InRange(refused, 1, 1499);
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama-yarn")]
    [InlineData("mistral-window")]
    [InlineData("qwen3-norm")]
    public void Configs_may_say_what_they_like(string fixture)
    {
        string config = File.ReadAllText(Repository.Fixture("golden", fixture, "config.json"));
        File.Copy(Repository.Fixture("golden", fixture, "model.safetensors"), Path.Combine(_folder, "model.safetensors"));
        long before = PeakMemory(reset: true);
        // The weights that come with it have 80 KB; a network of the reference kernels has buffers of about 2 MB beside them.
        FuzzRun.Check(600, factor: 1000, constant: 4 << 20, mutator => Encoding.UTF8.GetBytes(mutator.Json(config)), file =>
        {
            File.WriteAllBytes(Path.Combine(_folder, "config.json"), file);
            return Refuses(() =>
            {
                using Transformer model = ModelLoader.LoadTransformer(_folder, _kernels, new LoadOptions(Context: 16));
                _ = model.Logits([1, 2, 3]);
            });
        });
        Assert.InRange(PeakMemory(reset: false) - before, long.MinValue, 256L << 20);
    }

    [Theory]
    [InlineData("llama-llama3")]
    [InlineData("gpt2")]
    [InlineData(Quantised)]
    public void Whole_models_from_damaged_files_take_no_more_native_memory_than_they_are_large(string fixture)
    {
        byte[] whole = Whole(fixture, "model.gguf");
        string path = Path.Combine(_folder, "model.gguf");
        long before = PeakMemory(reset: true);
        FuzzRun.Check(400, factor: 64, constant: 16 << 20, mutator => mutator.Bytes(whole, 12_000), file =>
        {
            File.WriteAllBytes(path, file);
            return Refuses(() =>
            {
                using LanguageModel model = ModelLoader.Load(path, _kernels, new LoadOptions(Context: 16));
                _ = model.Transformer.Logits([1, 2, 3]);
                _ = model.Tokenizer.Decode(model.Tokenizer.Encode("def f(): pass"));
            });
        });
        Assert.InRange(PeakMemory(reset: false) - before, long.MinValue, 256L << 20);
    }

    [Theory]
    [InlineData(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
        "overlap")]
    [InlineData(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
        "twice")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", "bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,-8],\"data_offsets\":[0,32]}}", "bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "8 to 0")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}", "truncated")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", "damaged")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":\"NaN\",\"data_offsets\":[0,8]}}", "damaged")]
    [InlineData("[1]", "damaged")]
    public void Hostile_headers_of_safetensors_are_refused_with_what_is_wrong(string header, string said)
    {
        string path = Path.Combine(_folder, "model.safetensors");
        File.WriteAllBytes(path, WithHeader(header, new byte[32]));
        Assert.Contains(said, Assert.Throws<InvalidDataException>(() => Safetensors.Open(path)).Message);
    }

    [Fact]
    public void Nesting_without_end_is_refused_in_every_file()
    {
        string deep = string.Concat(Enumerable.Repeat("{\"a\":[", 200_000));
        string path = Path.Combine(_folder, "model.safetensors");
        File.WriteAllBytes(path, WithHeader(deep, []));
        Assert.Throws<InvalidDataException>(() => Safetensors.Open(path));
        File.WriteAllText(Path.Combine(_folder, "model.safetensors.index.json"), deep);
        Assert.Throws<InvalidDataException>(() => Safetensors.OpenFolder(_folder));
        foreach (string file in (string[])["config.json", "generation_config.json"])
        {
            File.Copy(Repository.Fixture("golden", "gpt2", "config.json"), Path.Combine(_folder, "config.json"), overwrite: true);
            File.WriteAllText(Path.Combine(_folder, file), deep);
            Assert.Throws<ModelLoadException>(() => ModelLoader.LoadTransformer(_folder, _kernels, new LoadOptions()));
        }

        // Arrays of arrays in GGUF: type 9, four deep at most.
        Assert.True(Refuses(() => OpenGguf(writer =>
        {
            writer.Write((ulong)0);
            writer.Write((ulong)1);
            WriteText(writer, "k");
            writer.Write(9u);
            for (int i = 0; i < 100_000; i++)
            {
                writer.Write(9u);
                writer.Write(1UL);
            }
        })) is false);
    }

    [Fact]
    public void Counts_beyond_the_file_allocate_nothing()
    {
        foreach (ulong count in (ulong[])[1UL << 24, 1UL << 31, 1UL << 40, ulong.MaxValue])
        {
            foreach (uint type in (uint[])[0, 5, 6, 7, 8, 9, 12])
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                bool read = Refuses(() => OpenGguf(writer =>
                {
                    writer.Write((ulong)0);
                    writer.Write((ulong)1);
                    WriteText(writer, "k");
                    writer.Write(9u);
                    writer.Write(type);
                    writer.Write(count);
                    writer.Write(new byte[1000]);
                }));
                Assert.False(read, $"type {type}, {count.ToString(CultureInfo.InvariantCulture)}");
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
            }
        }
    }

    private static byte[] Whole(string fixture, string name) =>
        fixture == Quantised ? QuantisedModel.Llama() : File.ReadAllBytes(Repository.Fixture("golden", fixture, name));

    private static byte[] WithHeader(string header, byte[] data)
    {
        byte[] text = Encoding.UTF8.GetBytes(header);
        return [.. BitConverter.GetBytes((ulong)text.Length), .. text, .. data];
    }

    private void OpenGguf(Action<BinaryWriter> write)
    {
        string path = Path.Combine(_folder, "hostile.gguf");
        using (var writer = new BinaryWriter(File.Create(path)))
        {
            writer.Write("GGUF"u8);
            writer.Write(3u);
            write(writer);
        }

        Gguf.Open(path).Dispose();
    }

    private static void WriteText(BinaryWriter writer, string text)
    {
        writer.Write((ulong)text.Length);
        writer.Write(Encoding.UTF8.GetBytes(text));
    }

    /// <returns>True: it was read after all.</returns>
    private static bool Refuses(Action read)
    {
        try
        {
            read();
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or ModelLoadException)
        {
            Assert.DoesNotContain('\n', e.Message.TrimEnd());
            return false;
        }
    }

    /// <summary>The most memory that the process has held, or holds from here on; 0 where the system does not tell.</summary>
    private static long PeakMemory(bool reset)
    {
        const string Status = "/proc/self/status";
        if (!File.Exists(Status))
        {
            return 0;
        }

        if (reset)
        {
            GC.Collect();
            File.WriteAllText("/proc/self/clear_refs", "5");
        }

        string line = File.ReadLines(Status).First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }
}

/// <summary>What is measured over the whole process runs while nothing else does.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneCollection
{
    public const string Name = "alone";
}
