using System.Runtime.InteropServices;
using System.Text.Json;
using Understory.Models.Formats;

namespace Understory.Models.Tests.Formats.Quantised;

/// <summary>Whole quantised models, several types in each.</summary>
public sealed class MixTests
{
    public static TheoryData<string> Mixes =>
        ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ2_0"];

    [SharedDataTheory("quants/mixes")]
    [MemberData(nameof(Mixes))]
    public void A_mix_s_weights_compute_the_reference_s_logits(string name)
    {
        JsonElement config = JsonElement.Parse(File.ReadAllBytes(SharedData.PathOf("quants/mixes/config.json")));
        JsonElement index = JsonElement.Parse(File.ReadAllBytes(SharedData.PathOf("quants/mixes/index.json")));
        using Gguf file = Gguf.Open(SharedData.PathOf($"quants/mixes/{name}.gguf"));
        int heads = config.GetProperty("num_attention_heads").GetInt32();
        int head = config.GetProperty("hidden_size").GetInt32() / heads;
        Func<string, int[], float[][]> read = PlainLlama.From(file);
        var model = new PlainLlama(config, (tensor, shape) =>
        {
            float[][] rows = read(InGguf(tensor, file), shape);
            bool turned = tensor.Contains("q_proj", StringComparison.Ordinal) || tensor.Contains("k_proj", StringComparison.Ordinal);
            return turned ? Halves(rows, head) : rows;
        });
        double[][] logits = model.Logits(index.GetProperty("prompt").Deserialize<int[]>()!);
        byte[] numbers = File.ReadAllBytes(SharedData.PathOf($"quants/mixes/{name}.logits.f32"));
        float[] expected = MemoryMarshal.Cast<byte, float>(numbers).ToArray();
        double error = logits.SelectMany(row => row).Zip(expected, (a, b) => Math.Abs(a - b)).Max() / expected.Max(Math.Abs);
        Assert.True(error < 1e-5, $"max |a - b| / max |b| is {error:E2}");
    }

    private static string InGguf(string name, Gguf file)
    {
        (string Ours, string Theirs)[] parts =
        [
            ("model.layers.", "blk."), ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"), ("self_attn.o_proj", "attn_output"),
            ("self_attn.", "attn_"), ("mlp.", "ffn_"), ("_proj", ""),
        ];
        string found = parts.Aggregate(name, (text, part) => text.Replace(part.Ours, part.Theirs, StringComparison.Ordinal));
        return file.Contains(found) ? found : found.Replace("output.", "token_embd.", StringComparison.Ordinal);
    }

    /// <summary>Llama's query and key rows lie in GGUF as neighbours (2i, 2i + 1) that turn together.</summary>
    private static float[][] Halves(float[][] rows, int head) =>
        [.. Enumerable.Range(0, rows.Length).Select(row => rows[(row / head * head) + (row % (head / 2) * 2) + (row % head / (head / 2))])];
}
