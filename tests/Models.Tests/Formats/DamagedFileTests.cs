using System.Text;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tests.Architecture;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Formats;

/// <summary>
/// Cut, flipped and overwritten checkpoints: each loads, or fails with the one exception that says so; nothing else happens.
/// </summary>
public sealed class DamagedFileTests : IDisposable
{
    /// <summary>No fixture, but a model of eight quantised types.</summary>
    private const string Quantised = "quantised";

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;
    private readonly IKernels _kernels = KernelCatalog.Create("reference");

    public void Dispose()
    {
        _kernels.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_whole_model_of_quantised_weights_loads() => Assert.True(Loads("model.gguf", QuantisedModel.Llama()));

    [Theory]
    [InlineData("llama-bf16", "model.safetensors")]
    [InlineData("llama-llama3", "model.gguf")]
    [InlineData("llama-q8", "model.gguf")]
    [InlineData(Quantised, "model.gguf")]
    public void A_file_cut_anywhere_is_refused(string fixture, string file)
    {
        byte[] whole = Whole(fixture, file);
        var random = new Random(1);
        int[] lengths = [0, 1, 4, 7, 8, 9, 16, 24, whole.Length - 1, .. Enumerable.Range(0, 100).Select(_ => random.Next(whole.Length))];
        foreach (int length in lengths)
        {
            Assert.False(Loads(file, whole[..length]), $"cut to {length} of {whole.Length} bytes");
        }
    }

    [Theory]
    [InlineData("llama-bf16", "model.safetensors")]
    [InlineData("llama-llama3", "model.gguf")]
    [InlineData("qwen2-f16", "model.gguf")]
    [InlineData("gpt2", "model.gguf")]
    [InlineData(Quantised, "model.gguf")]
    public void Flipped_bits_and_overwritten_bytes_never_do_more_than_fail_the_load(string fixture, string file)
    {
        byte[] whole = Whole(fixture, file);
        var random = new Random(2);
        int refused = 0;
        int head = Array.LastIndexOf(whole, (byte)'}') is > 0 and int end && file.EndsWith("safetensors", StringComparison.Ordinal)
            ? Math.Min(end, 4000) : 4000;
        for (int trial = 0; trial < 600; trial++)
        {
            byte[] damaged = (byte[])whole.Clone();
            for (int hits = random.Next(1, 4); hits > 0; hits--)
            {
                int at = random.Next(head);
                damaged[at] = random.Next(3) switch
                {
                    0 => (byte)(damaged[at] ^ (1 << random.Next(8))),
                    1 => (byte)random.Next(256),
                    _ => 0xFF,
                };
            }

            refused += Loads(file, damaged) ? 0 : 1;
        }

        Assert.InRange(refused, 100, 590);
    }

    [Theory]
    [InlineData("config.json", "{")]
    [InlineData("config.json", "[]")]
    [InlineData("config.json", "{\"model_type\": \"gpt2\"}")]
    [InlineData("generation_config.json", "nonsense")]
    [InlineData("model.safetensors", "nonsense")]
    public void Another_file_than_expected_is_named(string file, string content)
    {
        _ = Whole("gpt2", "model.safetensors");
        File.Copy(Repository.Fixture("golden", "gpt2", "model.safetensors"), Path.Combine(_folder, "model.safetensors"), overwrite: true);
        File.WriteAllText(Path.Combine(_folder, file), content);
        ModelLoadException error =
            Assert.Throws<ModelLoadException>(() => ModelLoader.LoadTransformer(_folder, _kernels, new LoadOptions()).Dispose());
        Assert.Contains(file, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void A_missing_file_is_named_with_what_to_do()
    {
        string nowhere = Path.Combine(_folder, "nowhere");
        Assert.Contains(nowhere, Message(nowhere), StringComparison.Ordinal);
        Assert.Contains("config.json", Message(_folder), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(_folder, "model.bin"), "x");
        Assert.Contains(".gguf", Message(Path.Combine(_folder, "model.bin")), StringComparison.Ordinal);
        _ = Whole("gpt2", "model.safetensors");
        Assert.Contains("model.safetensors", Message(_folder), StringComparison.Ordinal);
        File.Copy(Repository.Fixture("golden", "gpt2", "model.safetensors"), Path.Combine(_folder, "model.safetensors"));
        ModelLoadException error = Assert.Throws<ModelLoadException>(() => ModelLoader.Load(_folder, _kernels, new LoadOptions()));
        Assert.Contains("tokenizer.json", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_config_that_does_not_fit_the_weights_is_refused_with_both_shapes()
    {
        _ = Whole("gpt2", "model.safetensors");
        File.Copy(Repository.Fixture("golden", "gpt2", "model.safetensors"), Path.Combine(_folder, "model.safetensors"));
        string config = Path.Combine(_folder, "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"vocab_size\": 263", "\"vocab_size\": 264", StringComparison.Ordinal));
        string message = Message(_folder);
        Assert.All(["transformer.wte.weight", "[264, 21]", "[263, 21]"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_header_that_promises_terabytes_takes_no_memory()
    {
        byte[] header =
            Encoding.UTF8.GetBytes("""{"wte.weight": {"dtype": "BF16", "shape": [4000000, 200000], "data_offsets": [0, 1600000000000]}}""");
        _ = Whole("gpt2", "model.safetensors");
        long before = GC.GetTotalAllocatedBytes();
        Assert.False(Loads("model.safetensors", [.. BitConverter.GetBytes((ulong)header.Length), .. header, .. new byte[100]]));
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 10_000_000);
    }

    private string Message(string path) =>
        Assert.Throws<ModelLoadException>(() => ModelLoader.LoadTransformer(path, _kernels, new LoadOptions()).Dispose()).Message;

    /// <summary>The fixture's file, its config lying in the test's folder.</summary>
    private byte[] Whole(string fixture, string file)
    {
        if (fixture == Quantised)
        {
            return QuantisedModel.Llama();
        }

        File.Copy(Repository.Fixture("golden", fixture, "config.json"), Path.Combine(_folder, "config.json"));
        return File.ReadAllBytes(Repository.Fixture("golden", fixture, file));
    }

    private bool Loads(string file, byte[] bytes)
    {
        string path = Path.Combine(_folder, file);
        File.WriteAllBytes(path, bytes);
        try
        {
            if (file.EndsWith(".gguf", StringComparison.Ordinal))
            {
                using LanguageModel model = ModelLoader.Load(path, _kernels, new LoadOptions(Context: 16));
                _ = model.Transformer.Logits([1, 2, 3]);
                _ = model.Tokenizer.Decode(model.Tokenizer.Encode("def f"));
            }
            else
            {
                using Transformer model = ModelLoader.LoadTransformer(_folder, _kernels, new LoadOptions(Context: 16));
                _ = model.Logits([1, 2, 3]);
            }

            return true;
        }
        catch (ModelLoadException)
        {
            return false;
        }
    }
}
