using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Models.Tests.Architecture;

public class HuggingFaceConfigTests
{
    private const string Gpt2 = """
        {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
         "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "bos_token_id": 50256, "eos_token_id": 50256}
        """;

    private const string Llama = """
        {"model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
         "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072, "hidden_act": "silu",
         "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
         "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "torch_dtype": "bfloat16",
         "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
            "rope_type": "llama3"}}
        """;

    private const string Qwen2 = """
        {"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 4,
         "max_window_layers": 3,
         "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768, "hidden_act": "silu", "rms_norm_eps": 1e-06,
         "rope_theta": 1000000.0, "sliding_window": 4096, "use_sliding_window": false, "tie_word_embeddings": true, "bos_token_id": 151643,
         "eos_token_id": 151645}
        """;

    [Fact]
    public void Gpt2_is_read_with_the_defaults_that_transformers_leaves_out()
    {
        ModelConfig config = Read(Gpt2);
        LayerPlan plan = config.Layers[11];
        Assert.Equal((50257, 1024, 768, 12, 12, 12),
            (config.VocabularySize, config.ContextLength, config.HiddenSize, config.Layers.Count, plan.Attention.Heads,
                plan.Attention.KvHeads));
        Assert.Equal((64, 3072, Activation.GeluTanh, NormKind.LayerNorm, 1e-5f),
            (plan.Attention.HeadDim, plan.Mlp.Width, plan.Mlp.Activation, config.Norm, config.NormEpsilon));
        Assert.True(config is { TiedHead: true, LearnedPositions: true, Rotaries.Count: 0, BosTokenId: 50256 });
        Assert.True(plan is
        {
            Attention: { QkvBias: true, OutputBias: true, QkNorm: QkNorm.None, Rotary: null },
            Mlp: { Bias: true, Gated: false }
        });
        Assert.Equal([50256], config.EosTokenIds);
    }

    [Fact]
    public void Suppressed_tokens_are_those_of_the_generation_config()
    {
        ModelConfig config = HuggingFaceConfig.Read(JsonDocument.Parse(Llama).RootElement, JsonDocument.Parse(
            """{"suppress_tokens": [258883, 7], "begin_suppress_tokens": 9}""").RootElement);
        Assert.Equal([258883, 7], config.SuppressedTokens);
        Assert.Equal([9], config.SuppressedAtBegin);
        Assert.Empty(Read(Llama).SuppressedTokens);
    }

    [Fact]
    public void End_tokens_are_those_of_all_files_and_integers_may_be_written_with_a_point()
    {
        JsonElement generation = JsonDocument.Parse("""{"eos_token_id": [128009.0, 7], "top_k": 20.0}""").RootElement;
        ModelConfig config = HuggingFaceConfig.Read(JsonDocument.Parse(Llama).RootElement, generation);
        Assert.Equal([128001, 128008, 128009, 7], config.EosTokenIds);
        Assert.Equal(20, GenerationDefaults.Read(generation).TopK);
        JsonElement half = JsonDocument.Parse("""{"top_k": 20.5}""").RootElement;
        Assert.Contains("20.5", Assert.Throws<InvalidDataException>(() => GenerationDefaults.Read(half)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Llama_3_is_read_with_its_rope_scaling_and_end_tokens()
    {
        ModelConfig config = Read(Llama);
        Assert.True(config is { TiedHead: true, LearnedPositions: false, BosTokenId: 128000 });
        Assert.True(
            config.Layers[3] is
            {
                Mlp.Gated: true,
                Attention: { QkvBias: false, OutputBias: false, QkNorm: QkNorm.None, KvHeads: 8, HeadDim: 64, Window: 0 }
            });
        Assert.Equal([new Rotary(64, 500000, new Llama3Scaling(32, 1, 4, 8192))], config.Rotaries);
        Assert.Equal([128001, 128008, 128009], config.EosTokenIds);
    }

    [Fact]
    public void The_newer_rope_parameters_mean_the_same_as_the_older_keys()
    {
        JsonNode newer = JsonNode.Parse(Llama)!;
        JsonNode parameters = newer["rope_scaling"]!.DeepClone();
        parameters["rope_theta"] = 500000.0;
        newer.AsObject().Remove("rope_scaling");
        newer.AsObject().Remove("rope_theta");
        newer["rope_parameters"] = parameters;
        Assert.Equal(Read(Llama).Rotaries, Read(newer.ToJsonString()).Rotaries);
    }

    [Fact]
    public void Qwen2_slides_only_where_it_says_so()
    {
        Assert.Equal([0, 0, 0, 0], Windows(Qwen2));
        Assert.True(Read(Qwen2).Layers[0].Attention is { QkvBias: true, OutputBias: false });
        Assert.Equal([0, 0, 0, 4096], Windows(With(Qwen2, "use_sliding_window", true)));
        JsonNode types = JsonNode.Parse(With(Qwen2, "use_sliding_window", true))!;
        types["layer_types"] = new JsonArray("full_attention", "sliding_attention", "full_attention", "sliding_attention");
        Assert.Equal([0, 4096, 0, 4096], Windows(types.ToJsonString()));
    }

    [Fact]
    public void End_tokens_that_two_files_name_are_named_once()
    {
        ModelConfig config = HuggingFaceConfig.Read(JsonElement.Parse(Qwen2), JsonElement.Parse("""{"eos_token_id": [151645, 151643]}"""));
        Assert.Equal([151645, 151643], config.EosTokenIds);
    }

    [Theory]
    [InlineData(Gpt2, "n_embd")]
    [InlineData(Gpt2, "n_positions")]
    [InlineData(Gpt2, "layer_norm_epsilon")]
    [InlineData(Llama, "vocab_size")]
    [InlineData(Llama, "rms_norm_eps")]
    [InlineData(Llama, "hidden_act")]
    [InlineData(Llama, "max_position_embeddings")]
    [InlineData(Llama, "model_type")]
    public void A_missing_key_is_named(string json, string key)
    {
        JsonNode node = JsonNode.Parse(json)!;
        node.AsObject().Remove(key);
        Assert.Contains($"\"{key}\" is missing", Assert.Throws<InvalidDataException>(() => Read(node.ToJsonString())).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model_type", "\"opt\"", "opt")]
    [InlineData("hidden_act", "\"gelu\"", "gelu")]
    [InlineData("rope_scaling", "{\"rope_type\": \"longrope\", \"factor\": 2}", "short_factor")]
    [InlineData("rope_scaling", "{\"rope_type\": \"linear\"}", "factor")]
    [InlineData("rope_scaling", "{\"rope_type\": \"linear\", \"factor\": 0}", "rope scaling")]
    [InlineData("rope_scaling", "[]", "rope_scaling")]
    [InlineData("num_hidden_layers", "\"16\"", "num_hidden_layers")]
    [InlineData("num_hidden_layers", "-1", "number of layers")]
    [InlineData("num_hidden_layers", "2000000000", "number of layers")]
    [InlineData("num_key_value_heads", "5", "key-value heads")]
    [InlineData("num_key_value_heads", "0", "key-value heads")]
    [InlineData("head_dim", "63", "rotary")]
    [InlineData("hidden_size", "99999999999", "hidden_size")]
    [InlineData("eos_token_id", "\"</s>\"", "eos_token_id")]
    [InlineData("rope_theta", "0", "rope theta")]
    public void A_value_that_is_not_supported_is_named(string key, string value, string named)
    {
        JsonNode node = JsonNode.Parse(Llama)!;
        node[key] = JsonNode.Parse(value);
        Assert.Contains(named, Assert.Throws<InvalidDataException>(() => Read(node.ToJsonString())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_context_beyond_the_trained_one_needs_scaling_that_reaches_it()
    {
        Assert.Throws<InvalidDataException>(() => Read(Qwen2).WithContext(32769));
        Assert.Throws<InvalidDataException>(() => Read(Qwen2).WithContext(0));
        JsonNode yarn = JsonNode.Parse(Qwen2)!;
        yarn["rope_scaling"] = JsonNode.Parse("""{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}""");
        Assert.Equal(131072, Read(yarn.ToJsonString()).WithContext(131072).ContextLength);
    }

    [Fact]
    public void Generation_defaults_are_what_the_file_says_and_nothing_else()
    {
        var defaults = GenerationDefaults.Read(
            JsonElement.Parse("""{"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05}"""));
        Assert.Equal(new GenerationDefaults(0.7f, 20, 0.8f, null, 1.05f, null, true), defaults);
        Assert.Throws<InvalidDataException>(() => GenerationDefaults.Read(JsonElement.Parse("""{"temperature": "hot"}""")));
    }

    private static int[] Windows(string json) => [.. Read(json).Layers.Select(layer => layer.Attention.Window)];

    private static ModelConfig Read(string json) => HuggingFaceConfig.Read(JsonElement.Parse(json));

    private static string With(string json, string key, bool value)
    {
        JsonNode node = JsonNode.Parse(json)!;
        node[key] = value;
        return node.ToJsonString();
    }
}
