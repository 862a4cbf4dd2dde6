using System.Text.Json;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tests.Formats;
using Understory.Models.Tests.Formats.Packed;

namespace Understory.Models.Tests.Architecture;

/// <summary>A Llama whose projections have biases, against plain loops in double precision.</summary>
public sealed class BiasedLlamaTests : IDisposable
{
    private const int Hidden = 48;
    private const int KeyWidth = 24;
    private const int Wide = 80;
    private const int Vocabulary = 120;

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Its_logits_are_those_of_plain_loops(bool mlp, bool attention)
    {
        JsonElement config = Write(mlp, attention);
        int[] ids = [5, 1, 40, 7, 7, 22, 60, 3, 119, 0];
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        using Transformer model = ModelLoader.LoadTransformer(_folder, kernels, new LoadOptions(CacheType: CacheType.F32));
        using Safetensors source = Safetensors.OpenFolder(_folder);
        float[][] logits = model.Logits(ids);
        Assert.InRange(Runs.RelativeError(logits, Plain(config, source, ids)), 0, 5e-6);

        // That the biases count is seen from what comes without them.
        JsonElement without = JsonSerializer.SerializeToElement(config.EnumerateObject()
            .Where(key => !key.Name.EndsWith("_bias", StringComparison.Ordinal)).ToDictionary(key => key.Name, key => key.Value));
        Assert.True(Runs.RelativeError(logits, Plain(without, source, ids)) > 1e-2);
    }

    private static float[][] Plain(JsonElement config, ITensorSource source, int[] ids) =>
        Array.ConvertAll(new PlainLlama(config, PlainLlama.From(source)).Logits(ids), row => Array.ConvertAll(row, value => (float)value));

    private JsonElement Write(bool mlp, bool attention)
    {
        string json = JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["model_type"] = "llama",
            ["vocab_size"] = Vocabulary,
            ["hidden_size"] = Hidden,
            ["intermediate_size"] = Wide,
            ["num_hidden_layers"] = 2,
            ["num_attention_heads"] = 4,
            ["num_key_value_heads"] = 2,
            ["max_position_embeddings"] = 64,
            ["hidden_act"] = "silu",
            ["rms_norm_eps"] = 1e-5,
            ["rope_parameters"] = new { rope_theta = 10000.0, rope_type = "default" },
            ["tie_word_embeddings"] = false,
            ["mlp_bias"] = mlp,
            ["attention_bias"] = attention,
        });
        File.WriteAllText(Path.Combine(_folder, "config.json"), json);
        var random = new Random(7);
        var file = new SafetensorsFile();
        Add("model.embed_tokens.weight", Vocabulary, Hidden);
        Add("model.norm.weight", Hidden);
        Add("lm_head.weight", Vocabulary, Hidden);
        for (int layer = 0; layer < 2; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            Add(prefix + "input_layernorm.weight", Hidden);
            Add(prefix + "post_attention_layernorm.weight", Hidden);
            foreach ((string name, int rows, int columns, bool bias) in ((string, int, int, bool)[])
            [
                ("self_attn.q_proj", Hidden, Hidden, attention), ("self_attn.k_proj", KeyWidth, Hidden, attention),
                ("self_attn.v_proj", KeyWidth, Hidden, attention), ("self_attn.o_proj", Hidden, Hidden, attention),
                ("mlp.gate_proj", Wide, Hidden, mlp), ("mlp.up_proj", Wide, Hidden, mlp), ("mlp.down_proj", Hidden, Wide, mlp),
            ])
            {
                Add(prefix + name + ".weight", rows, columns);
                if (bias)
                {
                    Add(prefix + name + ".bias", rows);
                }
            }
        }

        File.WriteAllBytes(Path.Combine(_folder, "model.safetensors"), file.ToArray());
        return JsonDocument.Parse(json).RootElement;

        void Add(string name, params int[] shape) => file.Add(name, "F32", shape,
            [.. Enumerable.Range(0, shape.Aggregate(1, (a, b) => a * b)).Select(_ => (float)((random.NextDouble() - 0.5) * 0.6))]);
    }
}
