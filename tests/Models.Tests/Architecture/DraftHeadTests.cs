using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Architecture.Families;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Architecture;

/// <summary>Draft heads teacher-forced, beside the logits of their formulas.</summary>
public sealed class DraftHeadTests : IDisposable
{
    private const string Folder = "families";
    private const string Eagle = "families/qwen3/eagle3";
    private const int Depths = 3;
    private const double Tolerance = 1e-4;

    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);
    private readonly DirectoryInfo _temp = Directory.CreateTempSubdirectory("understory-");

    public static TheoryData<string> Blocks => ["qwen35", "qwen35-published", "qwen35-moe", "qwen3-next"];

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Blocks))]
    public void A_prediction_block_of_a_folder_guesses_as_its_formula_does_three_tokens_deep(string name) =>
        AssertGolden(Load(SharedData.PathOf(Path.Combine(Folder, name))), name, "mtp-logits.f32");

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Blocks))]
    public void A_prediction_block_of_a_gguf_file_guesses_as_its_formula_does(string name) =>
        AssertGolden(Load(SharedData.PathOf(Path.Combine(Folder, name, "model.gguf"))), name, "mtp-logits.f32");

    [SharedDataFact(Eagle)]
    public void An_eagle3_head_guesses_as_its_formula_does_three_tokens_deep()
    {
        LanguageModel model = Load(SharedData.PathOf("families/qwen3"));
        Assert.Null(model.Head);
        AssertGolden(model with { Head = ModelLoader.LoadHead(SharedData.PathOf(Eagle), model, _kernels, new LoadOptions()) }, "qwen3",
            "eagle3/eagle3-logits.f32");
    }

    [SharedDataFact(Eagle)]
    public void An_eagle3_head_s_tokens_are_the_model_s_by_its_table()
    {
        using LanguageModel model = Load(SharedData.PathOf("families/qwen3"));
        using DraftHead head = ModelLoader.LoadHead(SharedData.PathOf(Eagle), model, _kernels, new LoadOptions());
        Assert.Equal([1, 2, 3], head.Plan.Layers);
        Assert.Equal(160, head.TargetIds!.Distinct().Count());
        Assert.All(head.TargetIds!, id => Assert.InRange(id, 0, 319));
    }

    [Theory]
    [InlineData("hidden_size", "128", "hidden size is 128, the model's is 64")]
    [InlineData("vocab_size", "400", "vocabulary has 400 tokens, the model's 272")]
    [InlineData("num_hidden_layers", "2", "\"num_hidden_layers\": 2 is not supported")]
    [InlineData("norm_before_residual", "true", "\"norm_before_residual\": true is not supported")]
    [InlineData("eagle_config", "{\"eagle_aux_hidden_state_layer_ids\": [1, 2, 30]}", "layers 1, 2, 30")]
    [InlineData("eagle_config", "{}", "layers 2, 1, 0")]
    [InlineData("eagle_config", "{\"eagle_aux_hidden_state_layer_ids\": [1], \"use_aux_hidden_state\": false}",
        "\"use_aux_hidden_state\": false is not supported")]
    [InlineData("draft_vocab_size", "80", "tensor \"d2t\" [80] is missing")]
    public void An_eagle3_head_of_another_model_is_refused_by_what_does_not_fit(string key, string value, string expected)
    {
        JsonObject config = JsonNode.Parse("""
            {"architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "hidden_size": 64, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 96, "num_hidden_layers": 1, "rms_norm_eps": 1e-6,
             "rope_theta": 10000.0, "max_position_embeddings": 256, "vocab_size": 272, "draft_vocab_size": 272, "hidden_act": "silu",
             "eagle_config": {"eagle_aux_hidden_state_layer_ids": [0, 1, 2]}}
            """)!.AsObject();
        using LanguageModel model = Load(Repository.Fixture("mtp"));
        config[key] = JsonNode.Parse(value);
        File.WriteAllText(Path.Combine(_temp.FullName, "config.json"), config.ToJsonString());
        File.WriteAllBytes(Path.Combine(_temp.FullName, "model.safetensors"), [2, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}']);
        Assert.True(Eagle3.IsAt(_temp.FullName));
        ModelLoadException error = Assert.Throws<ModelLoadException>(() =>
            ModelLoader.LoadHead(_temp.FullName, model, _kernels, new LoadOptions()));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Contains(_temp.FullName, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_block_is_loaded_only_where_it_is_asked_for_and_a_model_s_folder_is_no_eagle3_head()
    {
        string folder = Repository.Fixture("mtp");
        using LanguageModel without = ModelLoader.Load(folder, _kernels, new LoadOptions());
        using LanguageModel with = Load(folder);
        Assert.Null(without.Head);
        Assert.False(with.Head!.Plan.ReadsLayers);
        Assert.Null(with.Head.TargetIds);
        Assert.Equal(3, with.Config.Layers.Count);
        Assert.Equal(without.Transformer.Parameters, with.Transformer.Parameters);
        Assert.False(Eagle3.IsAt(folder));
    }

    [Fact]
    public void A_survey_counts_the_block_s_weights_and_its_keys_and_values()
    {
        ModelSurvey without = ModelLoader.Survey(Repository.Fixture("mtp"), _kernels, new LoadOptions());
        ModelSurvey with = ModelLoader.Survey(Repository.Fixture("mtp"), _kernels, new LoadOptions(Head: true));
        Assert.Null(without.Head);
        Assert.NotNull(with.Head);
        Assert.Equal(without.Parameters, with.Parameters);
        Assert.True(with.HeadParameters > 40_000);
        // Keys and values of two heads of 16, in 16 bits.
        Assert.Equal(2 * 2 * 16 * 2, with.HeadCacheBytesPerToken);
        Assert.Equal(with.MemoryBytes - without.MemoryBytes,
            with.WeightBytes - without.WeightBytes + (with.HeadCacheBytesPerToken * with.Config.ContextLength));
    }

    [Fact]
    public void Weights_quantised_while_loading_include_the_block_s()
    {
        var q8 = new LoadOptions(Head: true, Weights: QuantisedTensors.Formats[0]);
        using LanguageModel plain = Load(Repository.Fixture("mtp"));
        using LanguageModel quantised = ModelLoader.Load(Repository.Fixture("mtp"), _kernels, q8);
        double share = (double)quantised.Head!.Network.WeightBytes / plain.Head!.Network.WeightBytes;
        Assert.InRange(share, 0.5, 0.7);
    }

    [Theory]
    [InlineData("BF16")]
    [InlineData("Q8_0")]
    public void The_first_outputs_of_a_matrix_are_those_of_the_whole(string format)
    {
        const int Outputs = 32;
        LoadOptions options = new(CacheType: CacheType.F32,
            Weights: QuantisedTensors.Formats.FirstOrDefault(quantised => quantised.Name == format));
        using Transformer model = ModelLoader.LoadTransformer(Repository.Fixture("mtp"), _kernels, options);
        WeightMatrix whole = model.Weights.Head.Parts[0];
        WeightMatrix leading = _kernels.Leading(whole, Outputs)!;
        Assert.Equal((Outputs, whole.Columns, whole.Data), (leading.Rows, leading.Columns, leading.Data));
        using ProductInput input = _kernels.CreateInput(1, whole.Columns, [whole.Format]);
        using MemoryBlock block = _kernels.Allocate((Outputs + whole.Rows) * sizeof(float));
        Tensor all = block.View(DType.F32, 1, whole.Rows, whole.Rows);
        Tensor some = block.View(DType.F32, 1, Outputs, Outputs, whole.Rows * sizeof(float));
        _kernels.Write([.. Enumerable.Range(0, whole.Columns).Select(i => MathF.Sin(i))], input.Rows(0, 1));
        _kernels.Multiply(input.Rows(0, 1), new Projection(whole), all);
        _kernels.Multiply(input.Rows(0, 1), new Projection(leading), some);
        Assert.Equal(all.Floats(0)[..Outputs].ToArray(), some.Floats(0).ToArray());
        Assert.Null(_kernels.Leading(whole, Outputs + 1));
        Assert.Null(_kernels.Leading(whole, whole.Rows + 16));
    }

    [Theory]
    [InlineData(70_000, 32_768)]
    [InlineData(65_536, 65_536)]
    public void Where_a_vocabulary_is_far_larger_a_block_s_logits_are_those_of_the_first_tokens(int vocabulary, int logits)
    {
        ModelConfig config = new Qwen35().OfShape(64, 4, vocabulary, 120);
        config = config with { DraftHead = config with { Layers = [config.Layers[3]], TiedHead = false, Head = new HeadPlan([]) } };
        using var random = new RandomTensors(5);
        using var source = new WithoutOwnTables(random);
        using Weights weights = Weights.Load(config, source, config.Family.HuggingFaceNames.In(source), _kernels);
        using var head = new DraftHead(weights.DraftHead!, _kernels, CacheType.F32);
        Transformer network = head.Network;
        Assert.Equal(logits, network.Config.LogitsSize);
        using KvCache cache = network.CreateCache(4);
        var batch = new ForwardBatch(1, 1);
        batch.Add(vocabulary - 1, 0);
        network.WriteState(0, [.. Enumerable.Range(0, 64).Select(i => MathF.Sin(i))], own: false);
        float[] actual = network.Forward(batch, cache).Floats(0).ToArray();

        // The whole head on the same state.
        float[] state = new float[64];
        network.ReadHidden(0, state);
        using ProductInput input = _kernels.CreateInput(1, 64, [weights.Head.Parts[0].Format]);
        using MemoryBlock block = _kernels.Allocate(vocabulary * sizeof(float));
        Tensor all = block.View(DType.F32, 1, vocabulary, vocabulary);
        _kernels.Write(state, input.Rows(0, 1));
        _kernels.Multiply(input.Rows(0, 1), weights.Head, all);
        Assert.Equal(all.Floats(0)[..logits].ToArray(), actual);
        Assert.Contains(actual, logit => logit != 0);
    }

    [Fact]
    public void States_are_read_of_rows_whose_logits_nobody_wants()
    {
        using Transformer model = ModelLoader.LoadTransformer(Repository.Fixture("mtp"), _kernels, new LoadOptions());
        int[] tokens = [.. Enumerable.Range(0, 20).Select(i => 40 + (i * 7 % 60))];
        float[][] expected = States(model, tokens, firstLogits: 0, firstState: int.MaxValue, rows: 20);
        Assert.Equal(expected, States(model, tokens, firstLogits: 20, firstState: 0, rows: 20));
        Assert.Equal(expected[7..], States(model, tokens, firstLogits: 15, firstState: 7, rows: 13));
        Assert.Equal(expected[15..], States(model, tokens, firstLogits: 15, firstState: int.MaxValue, rows: 5));
    }

    public void Dispose()
    {
        _kernels.Dispose();
        _temp.Delete(recursive: true);
    }

    private LanguageModel Load(string path) => ModelLoader.Load(path, _kernels, new LoadOptions(CacheType: path.Contains("mtp",
        StringComparison.Ordinal) ? null : CacheType.F32, Head: true));

    private static float[][] States(Transformer model, int[] tokens, int firstLogits, int firstState, int rows)
    {
        using KvCache cache = model.CreateCache(tokens.Length);
        var batch = new ForwardBatch(tokens.Length, 1);
        for (int i = 0; i < tokens.Length; i++)
        {
            batch.Add(tokens[i], i);
        }

        (batch.FirstLogitsRow, batch.FirstStateRow) = (firstLogits, firstState);
        model.Forward(batch, cache);
        Assert.Equal(rows, batch.KeptRows);
        float[][] states = new float[rows][];
        for (int row = 0; row < rows; row++)
        {
            states[row] = new float[model.StateSize];
            model.ReadState(row, states[row]);
        }

        return states;
    }

    private static void AssertGolden(LanguageModel model, string name, string file)
    {
        using (model)
        {
            using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(SharedData.PathOf(Path.Combine(Folder, name, "golden.json"))));
            int[] prompt = Integers(golden, "prompt");
            int[] tokens = [.. prompt, .. Integers(golden, "greedy")];
            ReadOnlySpan<float> expected =
                MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(SharedData.PathOf(Path.Combine(Folder, name, file))));
            int guesses = prompt.Length - 1;
            int columns = model.Head!.Network.Config.LogitsSize;
            Assert.Equal(Depths * guesses * columns, expected.Length);
            float[][][] actual = TeacherForced(model, tokens, guesses);
            for (int depth = 0; depth < Depths; depth++)
            {
                float[][] rows = new float[guesses][];
                for (int k = 0; k < guesses; k++)
                {
                    rows[k] = expected.Slice(((depth * guesses) + k) * columns, columns).ToArray();
                }

                double error = Runs.RelativeError(actual[depth], rows);
                Assert.True(error < Tolerance, $"depth {depth + 1}: max |a - b| / max |b| is {error:E2}");
            }
        }
    }

    /// <summary>
    /// Depth 1 at k has the model's states of positions 0 to k and the tokens 1 to k + 1; each further depth appends a row, of the head's
    /// own state of the last row and the text's next token.
    /// </summary>
    private static float[][][] TeacherForced(LanguageModel model, int[] tokens, int guesses)
    {
        Transformer head = model.Head!.Network;
        model.Transformer.KeepStates(model.Head.Plan.Layers);
        head.KeepStates(model.Head.Plan.OwnLayers);
        float[][] states = States(model.Transformer, tokens, firstLogits: tokens.Length, firstState: 0, rows: tokens.Length);
        using KvCache cache = head.CreateCache(tokens.Length);
        var batch = new ForwardBatch(1, Depths);
        float[][][] logits = [.. Enumerable.Range(0, Depths).Select(_ => new float[guesses][])];
        float[] own = new float[head.Config.HiddenSize];
        for (int k = 0; k < guesses; k++)
        {
            List<int> path = [];
            for (int depth = 0; depth < Depths; depth++)
            {
                batch.Clear();
                _ = depth == 0 ? batch.Add(tokens[k + 1], k)
                    : batch.Add(tokens[k + depth + 1], k + depth, k + 1, CollectionsMarshal.AsSpan(path));
                if (depth > 0)
                {
                    path.Add(k + depth);
                }

                batch.FirstStateRow = 0;
                head.WriteState(0, depth == 0 ? states[k] : own, own: depth > 0);
                logits[depth][k] = head.Forward(batch, cache).Floats(0).ToArray();
                head.ReadState(0, own);
            }
        }

        return logits;
    }

    /// <summary>A checkpoint whose prediction block shares its model's embedding and head.</summary>
    private sealed class WithoutOwnTables(ITensorSource inner) : ITensorSource
    {
        public IEnumerable<string> Names => inner.Names;

        public bool Contains(string name) =>
            !name.Contains("mtp.embed", StringComparison.Ordinal) && !name.Contains("mtp.shared", StringComparison.Ordinal)
            && inner.Contains(name);

        public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape) => inner.FormatOf(name, shape);

        public StoredTensor Read(string name, params ReadOnlySpan<int> shape) => inner.Read(name, shape);

        public void Release(StoredTensor tensor) => inner.Release(tensor);

        public void Dispose()
        {
        }
    }

    private static int[] Integers(JsonDocument golden, string key) =>
        [.. golden.RootElement.GetProperty(key).EnumerateArray().Select(item => item.GetInt32())];
}
