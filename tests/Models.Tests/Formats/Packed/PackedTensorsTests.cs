using System.Runtime.InteropServices;
using System.Text.Json;
using Understory.Models.Formats;
using Understory.Models.Formats.Packed;

namespace Understory.Models.Tests.Formats.Packed;

public sealed class PackedTensorsTests
{
    [SharedDataTheory("quants/safetensors")]
    [InlineData("awq", "INT4")]
    [InlineData("gptq", "INT4")]
    [InlineData("gptq-act-order", "F16")]
    [InlineData("compressed-int4", "INT4")]
    [InlineData("compressed-int4-zero", "INT4")]
    [InlineData("compressed-int8", "INT8")]
    [InlineData("compressed-fp8", "F8_E4M3")]
    [InlineData("fp8-block", "F8_E4M3")]
    public void A_checkpoint_s_weights_compute_the_reference_s_logits(string name, string format)
    {
        string folder = SharedData.PathOf($"quants/safetensors/{name}");
        JsonElement config = JsonElement.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        JsonElement golden = JsonElement.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json")));
        using ITensorSource source = PackedTensors.Over(Safetensors.OpenFolder(folder), config.GetProperty("quantization_config"));
        Assert.Equal(format, source.FormatOf("model.layers.0.mlp.down_proj.weight", 128, 256).Name);
        string[] names = [.. source.Names];
        Assert.Equal(3 + (2 * 9), names.Length);
        Assert.All(names, shown => Assert.EndsWith(".weight", shown, StringComparison.Ordinal));
        Assert.All(names, shown => Assert.True(source.Contains(shown)));
        double[][] logits = new PlainLlama(config, PlainLlama.From(source)).Logits(golden.GetProperty("prompt").Deserialize<int[]>()!);
        float[] expected = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(Path.Combine(folder, "logits.f32"))).ToArray();
        double error = logits.SelectMany(row => row).Zip(expected, (a, b) => Math.Abs(a - b)).Max() / expected.Max(Math.Abs);
        Assert.True(error < (format == "F16" ? 2e-3 : 5e-6), $"max |a - b| / max |b| is {error:E2}");
    }
}
