using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tests.Formats;

namespace Understory.Models.Tests.Architecture.Families;

/// <summary>Configs as the hub has them, and what they leave out.</summary>
public sealed class FamilyConfigTests : IDisposable
{
    private const uint TypeUInt32 = 4;
    private const uint TypeFloat32 = 6;
    private const uint TypeBool = 7;
    private const uint TypeString = 8;
    private const uint TypeArray = 9;

    /// <summary>As a small Gemma 4 is published: what its text part says, within.</summary>
    private const string Small = """
        {"model_type": "gemma4", "vision_config": {"hidden_size": 768}, "eos_token_id": [1, 106], "text_config": {
         "model_type": "gemma4_text", "hidden_size": 1536, "intermediate_size": 6144, "num_hidden_layers": 15, "num_attention_heads": 8,
         "num_key_value_heads": 1, "head_dim": 256, "global_head_dim": 512, "num_global_key_value_heads": null,
         "hidden_size_per_layer_input": 256, "num_kv_shared_layers": 7, "use_double_wide_mlp": true, "attention_k_eq_v": false,
         "final_logit_softcapping": 30.0, "sliding_window": 512, "use_bidirectional_attention": null, "vocab_size": 262144,
         "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "full_attention",
            "sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "full_attention",
            "sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]}}
        """;

    private const string Large = """
        {"model_type": "gemma4_unified_text", "hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 13,
         "num_attention_heads": 16, "num_key_value_heads": 8, "num_global_key_value_heads": 2, "attention_k_eq_v": true,
         "final_logit_softcapping": 30.0}
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Gemma_4_s_last_layers_read_the_last_layer_of_their_kind_and_are_twice_as_wide()
    {
        ModelConfig config = Read(Small);
        int?[] keysOf = [.. config.Layers.Select(layer => layer.Attention.KeysOf)];
        Assert.Equal([null, null, null, null, null, null, null, null, 7, 4, 7, 7, 7, 7, 4], keysOf);
        Assert.Equal([.. Enumerable.Repeat(6144, 8), .. Enumerable.Repeat(12288, 7)], config.Layers.Select(layer => layer.Mlp.Width));
        Assert.Equal(new PerLayerPlan(256, 262144, Activation.GeluTanh), config.PerLayer);
        Assert.Equal((8 * 256, 0), (config.Layers[8].Attention.QkvSize, config.Layers[8].Attention.Cache.KvHeads));
    }

    [Fact]
    public void Gemma_4_s_global_layers_have_heads_and_a_rotation_of_their_own()
    {
        ModelConfig config = Read(Large);
        AttentionPlan local = config.Layers[0].Attention;
        AttentionPlan global = config.Layers[5].Attention;
        Assert.Equal((256, 8, 1024, false), (local.HeadDim, local.KvHeads, local.Window, local.KeysAreValues));
        Assert.Equal((512, 2, 0, true), (global.HeadDim, global.KvHeads, global.Window, global.KeysAreValues));
        Assert.True(local is { ValueNorm: true, Scale: 1, QkNorm: QkNorm.Heads });
        Assert.Equal(new Rotary(256, 10000, RotaryScaling.None), config.Rotaries[local.Rotary!.Value]);
        Assert.Equal(new Rotary(512, 1e6, new ProportionalScaling(0.25, 1)), config.Rotaries[global.Rotary!.Value]);
        // The thirteenth layer would have a window by its place, but the last one never has.
        Assert.Equal([5, 11, 12], Enumerable.Range(0, 13).Where(layer => config.Layers[layer].Attention.Window == 0));
        Assert.Equal((262144, 262144, null), (config.VocabularySize, config.TrainedContext, config.PerLayer));
    }

    [Fact]
    public void A_proportional_rotation_turns_the_first_pairs_of_a_whole_head()
    {
        double[] frequencies = new Rotary(32, 1e6, new ProportionalScaling(0.25, 2)).Frequencies(100);
        double[] whole = new Rotary(32, 1e6, RotaryScaling.None).Frequencies(100);
        Assert.Equal([.. whole[..4].Select(frequency => frequency / 2), .. new double[12]], frequencies);
    }

    [Theory]
    [InlineData("use_bidirectional_attention", "\"all\"", "use_bidirectional_attention")]
    [InlineData("num_kv_shared_layers", "13", "13 of 13 layers")]
    [InlineData("num_kv_shared_layers", "12", "layer whose keys layer 5 reads")]
    [InlineData("sliding_window", "0", "sliding_window")]
    [InlineData("hidden_size_per_layer_input", "99999", "per-layer inputs")]
    [InlineData("rope_parameters", "{\"full_attention\": {\"rope_theta\": 10000.0}}", "sliding_attention")]
    [InlineData("num_global_key_value_heads", "3", "key-value heads")]
    public void What_no_Gemma_4_has_is_named(string key, string value, string named)
    {
        JsonNode node = JsonNode.Parse(Large)!;
        node[key] = JsonNode.Parse(value);
        Assert.Contains(named, Assert.Throws<InvalidDataException>(() => Read(node.ToJsonString())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_table_of_per_layer_embeddings_covers_the_vocabulary()
    {
        JsonNode node = JsonNode.Parse(Small)!;
        node["text_config"]!["vocab_size_per_layer_input"] = 262143;
        Assert.Contains("per-layer vocabulary", Assert.Throws<InvalidDataException>(() => Read(node.ToJsonString())).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_gguf_file_of_Gemma_4_gives_counts_by_layer_and_leaves_out_what_is_usual()
    {
        ModelConfig config = ReadGguf("gemma4", file => file
            .Key("gemma4.embedding_length", TypeUInt32).UInt32(64)
            .Key("gemma4.block_count", TypeUInt32).UInt32(4)
            .Key("gemma4.context_length", TypeUInt32).UInt32(100)
            .Key("gemma4.attention.head_count", TypeUInt32).UInt32(4)
            .Key("gemma4.attention.head_count_kv", TypeArray).UInt32(TypeUInt32).UInt64(4).UInt32(2).UInt32(2).UInt32(1).UInt32(2)
            .Key("gemma4.feed_forward_length", TypeArray).UInt32(TypeUInt32).UInt64(4).UInt32(96).UInt32(96).UInt32(96).UInt32(192)
            .Key("gemma4.attention.key_length", TypeUInt32).UInt32(32)
            .Key("gemma4.attention.key_length_swa", TypeUInt32).UInt32(16)
            .Key("gemma4.attention.sliding_window", TypeUInt32).UInt32(8)
            .Key("gemma4.attention.shared_kv_layers", TypeUInt32).UInt32(1)
            .Key("gemma4.attention.layer_norm_rms_epsilon", TypeFloat32).UInt32(BitConverter.SingleToUInt32Bits(1e-6f))
            .Key("gemma4.rope.freq_base", TypeFloat32).UInt32(BitConverter.SingleToUInt32Bits(1e6f))
            .Key("gemma4.attention.sliding_window_pattern", TypeArray).UInt32(TypeBool).UInt64(4).Bytes([1, 1, 0, 1]), pairs: 13);
        Assert.Equal([2, 2, 1, 2], config.Layers.Select(layer => layer.Attention.KvHeads));
        Assert.Equal([16, 16, 32, 16], config.Layers.Select(layer => layer.Attention.HeadDim));
        Assert.Equal([8, 8, 0, 8], config.Layers.Select(layer => layer.Attention.Window));
        Assert.Equal([96, 96, 96, 192], config.Layers.Select(layer => layer.Mlp.Width));
        Assert.Equal([null, null, null, 1], config.Layers.Select(layer => layer.Attention.KeysOf));
        Assert.Equal((30f, 8f, null), (config.LogitCap, config.EmbeddingScale, config.PerLayer));
        Assert.Equal([new Rotary(16, 10000, RotaryScaling.None), new Rotary(32, 1e6, RotaryScaling.None)], config.Rotaries);
    }

    [Fact]
    public void An_array_that_is_too_short_is_named()
    {
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => ReadGguf("llama", file => file
            .Key("llama.embedding_length", TypeUInt32).UInt32(64)
            .Key("llama.block_count", TypeUInt32).UInt32(4)
            .Key("llama.context_length", TypeUInt32).UInt32(100)
            .Key("llama.attention.head_count", TypeUInt32).UInt32(4)
            .Key("llama.feed_forward_length", TypeArray).UInt32(TypeUInt32).UInt64(1).UInt32(96)
            .Key("llama.attention.layer_norm_rms_epsilon", TypeFloat32).UInt32(BitConverter.SingleToUInt32Bits(1e-6f)), pairs: 6));
        Assert.Contains("llama.feed_forward_length", error.Message, StringComparison.Ordinal);
        Assert.Contains("layer 1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Muse_Glimmer_counts_its_global_layers_from_the_last_and_they_do_not_turn()
    {
        ModelConfig config = Read("""
            {"model_type": "muse_glimmer", "text_config": {"model_type": "muse_glimmer_text", "num_hidden_layers": 6, "hidden_size": 64,
             "num_attention_heads": 4, "head_dim": 16}}
            """);
        Assert.Equal([2048, 0, 2048, 2048, 2048, 0], config.Layers.Select(layer => layer.Attention.Window));
        int?[] rotaries = [.. config.Layers.Select(layer => layer.Attention.Rotary)];
        Assert.Equal([0, null, 0, 0, 0, null], rotaries);
        Assert.True(config is { EmbeddingNorm: true, LogitCap: 20, TiedHead: false });
        Assert.True(
            config.Layers[0] is { NormBehind: true, NormBehindEpsilon: 1e-8f, Attention: { Gate: true, QkNorm: QkNorm.Weightless } });
        Assert.Equal(3.87f / 4, config.Layers[0].Attention.Scale!.Value, 1e-6f);
    }

    [Fact]
    public void Cohere_2_turns_where_it_has_a_window_and_GLM_4_turns_half_a_head()
    {
        ModelConfig cohere = Read("""
            {"model_type": "cohere2", "num_hidden_layers": 8, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96,
             "vocab_size": 320, "sliding_window_pattern": 4}
            """);
        int?[] rotaries = [.. cohere.Layers.Select(layer => layer.Attention.Rotary)];
        Assert.Equal([0, 0, 0, null, 0, 0, 0, null], rotaries);
        Assert.Equal((NormKind.LayerNorm, false, 0.0625f), (cohere.Norm, cohere.NormBias, cohere.LogitScale));
        ModelConfig glm = Read("""{"model_type": "glm4", "num_hidden_layers": 2, "eos_token_id": [151329, 151336]}""");
        Assert.Equal([new Rotary(64, 10000, RotaryScaling.None)], glm.Rotaries);
        Assert.True(glm.Layers[1] is { NormBehind: true, Attention: { QkvBias: true, OutputBias: false, HeadDim: 128, KvHeads: 2 } });
    }

    [Fact]
    public void A_Llama_with_biases_in_its_MLP_asks_for_those_of_gate_up_and_down()
    {
        const string Llama = """
            {"model_type": "llama", "vocab_size": 200, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
             "num_attention_heads": 4, "max_position_embeddings": 128, "hidden_act": "silu", "rms_norm_eps": 1e-05, "mlp_bias": true}
            """;
        ModelConfig config = Read(Llama);
        Assert.True(config.Layers[0].Mlp is { Gated: true, Bias: true });
        using IKernels kernels = KernelCatalog.Create();
        using var source = new BiasedTensors();
        using (Weights.Load(config, source, config.Family.HuggingFaceNames.In(source), kernels))
        {
        }

        string[] expected = [.. new[] { "down", "gate", "up" }.Select(name => $"layers.0.mlp.{name}_proj.bias")];
        Assert.Equal(expected, source.Biases.Order(StringComparer.Ordinal));
    }

    private static ModelConfig Read(string json) => HuggingFaceConfig.Read(JsonElement.Parse(json));

    /// <summary>A file of metadata alone.</summary>
    /// <param name="pairs">Keys that are written.</param>
    private ModelConfig ReadGguf(string architecture, Action<GgufTests.Builder> write, ulong pairs)
    {
        var builder = new GgufTests.Builder(tensors: 0, pairs: pairs + 2);
        builder.Key("general.architecture", TypeString).String(architecture);
        builder.Key("tokenizer.ggml.tokens", TypeArray).UInt32(TypeString).UInt64(2).String("a").String("b");
        write(builder);
        string path = Path.Combine(_folder, architecture + ".gguf");
        File.WriteAllBytes(path, builder.Align().ToArray());
        using Gguf file = Gguf.Open(path);
        return GgufConfig.Read(file);
    }

    /// <summary>Random tensors that remember which biases they were asked for.</summary>
    private sealed class BiasedTensors : ITensorSource
    {
        private readonly RandomTensors _tensors = new(1);

        public HashSet<string> Biases { get; } = [];

        public IEnumerable<string> Names => _tensors.Names;

        public bool Contains(string name) => true;

        public Tensors.WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape) => _tensors.FormatOf(name, shape);

        public Tensors.StoredTensor Read(string name, params ReadOnlySpan<int> shape)
        {
            if (name.EndsWith(".bias", StringComparison.Ordinal))
            {
                Biases.Add(name);
            }

            return _tensors.Read(name, shape);
        }

        public void Release(Tensors.StoredTensor tensor) => _tensors.Release(tensor);

        public void Dispose() => _tensors.Dispose();
    }
}
