using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Formats.Quantised;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tests.Formats.Packed;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Architecture;

/// <summary>Files with scales: of whole tensors, and such as no sound file has.</summary>
public sealed class ScaledModelTests : IDisposable
{
    private const uint Nvfp4 = 40;

    private const string Spoiled = "model.layers.1.mlp.up_proj.weight";

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;
    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);

    public static TheoryData<uint> QuantisedTypes =>
        [.. GgufTypes.All.Where(type => type.Value is QuantisedFormat && Spoilt(type.Value) is not null).Select(type => type.Key)];

    public void Dispose()
    {
        _kernels.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Scales_of_tensors_multiply_their_matrices()
    {
        var scales = new Dictionary<string, float[]>
        {
            ["token_embd"] = [0.3f],
            ["blk.0.attn_q"] = [0.11f],
            ["blk.0.attn_k"] = [0.7f],
            ["blk.0.ffn_gate"] = [-0.2f],
            ["blk.0.ffn_down"] = [0.03f],
            ["output"] = [0.05f],
        };
        string path = Write(QuantisedModel.Llama(Nvfp4, scales));
        using (Gguf file = Gguf.Open(path))
        {
            Assert.Equal(0.7f, file.Read("blk.0.attn_k.weight", 256, 256).Scale);
            Assert.Equal(0.7f, file.ScaleOf("blk.0.attn_k.weight"));
            Assert.Equal(1, file.Read("blk.0.attn_v.weight", 256, 256).Scale);
        }

        int[] ids = [5, 1, 40, 7, 7, 22, 60, 3];
        var options = new LoadOptions(CacheType: CacheType.F32);
        using Transformer model = ModelLoader.LoadTransformer(path, _kernels, options);
        using Transformer widened = Fidelity.Widened(path, _kernels);
        float[][] expected = widened.Logits(ids);
        Assert.InRange(Runs.RelativeError(model.Logits(ids), expected), 1e-6, 5e-2);
        using Transformer without = ModelLoader.LoadTransformer(Write(QuantisedModel.Llama(Nvfp4)), _kernels, options);
        Assert.True(Runs.RelativeError(without.Logits(ids), expected) > 0.5);
    }

    [Theory]
    [InlineData(new[] { float.NaN }, "NaN")]
    [InlineData(new[] { float.PositiveInfinity }, "Infinity")]
    [InlineData(new[] { 1f, 2f }, "[2]")]
    public void A_scale_that_cannot_be_is_named(float[] scale, string said)
    {
        string path = Write(QuantisedModel.Llama(Nvfp4, new Dictionary<string, float[]> { ["blk.0.ffn_up"] = scale }));
        string message = Assert.Throws<ModelLoadException>(() => ModelLoader.LoadTransformer(path, _kernels, new LoadOptions())).Message;
        Assert.All([path, "\"blk.0.ffn_up.scale\"", said], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(QuantisedTypes))]
    public void A_block_s_scale_that_is_no_number_is_refused_with_tensor_and_file(uint type)
    {
        WeightFormat format = GgufTypes.Find(type)!;
        string path = Write(QuantisedModel.Llama(type, change: (name, blocks) =>
        {
            if (name == "blk.0.ffn_up")
            {
                Spoilt(format)!.CopyTo(blocks.AsSpan(9 * format.BlockBytes));
            }
        }));
        string message = Assert.Throws<ModelLoadException>(() => ModelLoader.LoadTransformer(path, _kernels, new LoadOptions())).Message;
        Assert.All([path, "\"blk.0.ffn_up.weight\"", "NaN or infinite"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{}", true)]
    [InlineData("{}", false)]
    [InlineData("""{"weight_block_size": [8, 32]}""", true)]
    [InlineData("""{"weight_block_size": [8, 32]}""", false)]
    public void Eight_bit_floats_that_are_no_numbers_are_refused_with_tensor_and_folder(string sizes, bool scale)
    {
        using (Transformer sound = ModelLoader.LoadTransformer(Float8(sizes, 0x38, 0.01f), _kernels, new LoadOptions()))
        {
            Assert.All(sound.Logits([1, 2, 3]).SelectMany(row => row), logit => Assert.True(float.IsFinite(logit)));
        }

        string folder = Float8(sizes, scale ? (byte)0x38 : (byte)0x7F, scale ? float.PositiveInfinity : 0.01f);
        string message = Assert.Throws<ModelLoadException>(() => ModelLoader.LoadTransformer(folder, _kernels, new LoadOptions())).Message;
        Assert.All([folder, $"\"{Spoiled}\"", "NaN or infinite"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    /// <summary>A block of a scale that is NaN or infinite; null where the format has no such.</summary>
    private static unsafe byte[]? Spoilt(WeightFormat format)
    {
        byte[] block = [.. Enumerable.Repeat((byte)0xFF, format.BlockBytes)];
        var row = new QuantisedRow(((QuantisedFormat)format).Form, format.BlockElements);
        fixed (byte* from = block)
        {
            ((QuantisedFormat)format).Read(from, format.BlockElements, row);
        }

        return row.HasBadScale ? block : null;
    }

    private string Write(byte[] model)
    {
        string path = Path.Combine(_folder, $"{Guid.NewGuid():N}.gguf");
        File.WriteAllBytes(path, model);
        return path;
    }

    /// <summary>
    /// The small Llama of the fixtures with eight-bit floats in its layers; <see cref="Spoiled"/> ends with <paramref name="code"/> under
    /// <paramref name="scale"/>.
    /// </summary>
    private string Float8(string sizes, byte code, float scale)
    {
        string from = Repository.Fixture("golden", "llama-bf16");
        string folder = Directory.CreateDirectory(Path.Combine(_folder, Guid.NewGuid().ToString("N"))).FullName;
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(from, "config.json")))!.AsObject();
        JsonObject packing = JsonNode.Parse(sizes)!.AsObject();
        bool blocks = packing.Count > 0;
        packing["quant_method"] = "fp8";
        config["quantization_config"] = packing;
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        var file = new SafetensorsFile();
        using Safetensors source = Safetensors.OpenFolder(from);
        foreach (string name in source.Names)
        {
            int[] shape = Array.ConvertAll(source.Find(name)!.Shape, size => (int)size);
            StoredTensor stored = source.Read(name, shape);
            if (shape.Length == 1 || !name.Contains("_proj", StringComparison.Ordinal))
            {
                file.Add(name, stored.Format.Name, shape, Bytes(stored));
                continue;
            }

            byte[] codes = [.. Enumerable.Repeat((byte)0x38, shape[0] * shape[1])];
            int[] scaleShape = blocks ? [(shape[0] + 7) / 8, (shape[1] + 31) / 32] : [shape[0], 1];
            float[] scales = new float[scaleShape[0] * scaleShape[1]];
            Array.Fill(scales, 0.01f);
            if (name == Spoiled)
            {
                (codes[^1], scales[^1]) = (code, scale);
            }

            file.Add(name, "F8_E4M3", shape, codes);
            file.Add(name + (blocks ? "_scale_inv" : "_scale"), "F32", scaleShape, scales);
        }

        File.WriteAllBytes(Path.Combine(folder, "model.safetensors"), file.ToArray());
        return folder;
    }

    private static unsafe byte[] Bytes(StoredTensor tensor) => new ReadOnlySpan<byte>((void*)tensor.Data, (int)tensor.Bytes).ToArray();
}
