using System.Runtime.InteropServices;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;
using Understory.Models.Tests.Architecture;
using Understory.PtxEmulator;

namespace Understory.Models.Tests.Kernels.Cuda;

/// <summary>Whole models on the CUDA kernels, which an emulated device runs from their PTX.</summary>
public class CudaModelTests
{
    /// <summary>F32 weights are multiplied in F32; 16-bit weights take inputs rounded to their type, of which BF16 keeps 8 bits.</summary>
    private const double Tolerance = 1e-4;
    private const double RoundedTolerance = 2e-2;

    public static TheoryData<string, int> Checkpoints
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (string folder in Directory.GetDirectories(Repository.Fixture("golden")).Order(StringComparer.Ordinal))
            {
                data.Add(Path.GetFileName(folder), 8);
            }

            data.Add("gpt2", 9);
            data.Add("llama-bf16", 9);
            data.Add("llama-q8/model.gguf", 9);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Logits_are_those_of_the_independent_implementation(string checkpoint, int major)
    {
        var golden = Golden.Read(checkpoint);
        using IKernels kernels = EmulatedCuda.Create(major);
        using Transformer model = golden.Load(kernels, CacheType.F32);
        double error = Runs.RelativeError(model.Logits(golden.Ids), golden.Logits);
        bool rounded = checkpoint is "llama-bf16" or "qwen2-f16" or "llama-q8" or "llama-q8/model.gguf";
        Assert.True(error < (rounded ? RoundedTolerance : Tolerance), $"max |a - b| / max |b| is {error:E2}");
    }

    public static TheoryData<string, CacheType> Models => new()
    {
        { "gpt2", CacheType.F32 },
        { "llama-bf16", CacheType.BF16 },
        { "mistral-window", CacheType.F16 },
        { "qwen2-f16", CacheType.F16 },
        { "qwen3-norm", CacheType.BF16 },
        { "gpt2:64x1:130:200", CacheType.BF16 },
    };

    [Theory]
    [MemberData(nameof(Models))]
    public void Every_width_of_a_pass_gives_the_same_bits_recorded_or_not(string name, CacheType cacheType)
    {
        float[][]? expected = null;
        foreach (bool record in (bool[])[false, true])
        {
            using CudaKernels kernels = new(new EmulatedDriver(), record: record);
            using Transformer model = Load(name, kernels, cacheType);
            int[] tokens = Tokens(model, 68, 1);
            foreach (int chunk in record ? (int[])[1, 9, 34] : [17, 68])
            {
                float[][] logits = model.Logits(tokens, chunk);
                expected ??= logits;
                AssertSameBits(expected, logits, $"chunks of {chunk}");
            }

            Assert.Equal(record, ((EmulatedDriver)kernels.Driver).GraphLaunches > 0);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_node_of_a_tree_gets_the_bits_of_its_path_and_goes_on_when_moved_into_place(string name, CacheType cacheType)
    {
        using CudaKernels kernels = new(new EmulatedDriver());
        using Transformer model = Load(name, kernels, cacheType);
        var random = new Random(3);
        const int Prefix = 21;
        int[] text = Tokens(model, Prefix, 2);
        using KvCache cache = model.CreateCache(40, 24);
        model.Logits(cache, text, 8);
        int[] parents = [.. Enumerable.Range(0, 12).Select(node => random.Next(Math.Max(-1, node - 4), node))];
        int[] tokens = Tokens(model, 12, 4);
        int[] slots = [.. Enumerable.Range(0, 12).Select(node => Prefix + (2 * node) + 1)];
        int[] Path(int node) => parents[node] < 0 ? [node] : [.. Path(parents[node]), node];
        var batch = new ForwardBatch(64, 16);
        for (int node = 0; node < 12; node++)
        {
            batch.Add(tokens[node], slots[node], Prefix, [.. Path(node)[..^1].Select(n => slots[n])]);
        }

        Tensor logits = model.Forward(batch, cache);
        float[][] actual = [.. Enumerable.Range(0, 12).Select(_ => new float[model.Config.VocabularySize])];
        for (int node = 0; node < 12; node++)
        {
            kernels.Read(logits.RowRange(node, 1).Data, actual[node]);
        }

        foreach (int node in (int[])[0, 5, 11])
        {
            int[] path = [.. text, .. Path(node).Select(n => tokens[n])];
            AssertSameBits(model.Logits(path)[^1..], [actual[node]], $"node {node}");
        }

        int[] accepted = Path(11);
        cache.MoveSlots(Array.ConvertAll(accepted, node => slots[node]), Prefix);
        int[] whole = [.. text, .. accepted.Select(n => tokens[n])];
        float[][] next = model.Logits([.. whole, 1])[^1..];
        AssertSameBits(next, model.Logits(cache, [1], 1, whole.Length), "behind the accepted path");
        using KvCache copy = model.CreateCache(48, 16);
        copy.CopyFrom(cache, whole.Length);
        AssertSameBits(next, model.Logits(copy, [1], 1, whole.Length), "in a copied cache");
    }

    [Fact]
    public void Rows_before_the_first_wanted_one_only_fill_the_cache()
    {
        using CudaKernels kernels = new(new EmulatedDriver());
        using Transformer model = Load("llama-bf16", kernels, CacheType.BF16);
        int[] tokens = Tokens(model, 12, 3);
        float[][] expected = model.Logits(tokens);
        foreach (int first in (int[])[11, 12, 3, 10])
        {
            using KvCache cache = model.CreateCache(tokens.Length + 1);
            var batch = new ForwardBatch(model.MaxRows, 1);
            for (int i = 0; i < tokens.Length; i++)
            {
                batch.Add(tokens[i], i);
            }

            batch.FirstLogitsRow = first;
            Tensor logits = model.Forward(batch, cache);
            Assert.Equal(tokens.Length - first, logits.Rows);
            for (int row = 0; row < logits.Rows; row++)
            {
                float[] actual = new float[logits.Columns];
                kernels.Read(logits.RowRange(row, 1).Data, actual);
                AssertSameBits([expected[first + row]], [actual], $"row {row} behind {first}");
            }

            AssertSameBits(model.Logits([.. tokens, 5])[^1..], model.Logits(cache, [5], 1, tokens.Length), "the next token");
        }
    }

    [Fact]
    public void A_pass_of_one_row_takes_few_kernels_and_no_host_work_between_them()
    {
        var driver = new EmulatedDriver(9);
        using CudaKernels kernels = new(driver);
        using Transformer model = Load("gpt2:64x2:130:200", kernels, CacheType.BF16);
        using KvCache cache = model.CreateCache(20);
        var batch = new ForwardBatch(1, 1);
        batch.Add(3, 0);
        model.Forward(batch, cache);
        Assert.Equal(0, driver.GraphLaunches);
        model.Forward(batch, cache);
        int launches = driver.Launches;
        int graphs = driver.GraphLaunches;
        batch.Clear();
        batch.Add(4, 1);
        model.Forward(batch, cache);
        Assert.Equal(graphs + 1, driver.GraphLaunches);
        // Each layer: qkv with its norm and store, attention, output, up with its norm, down; then embedding, last norm and head.
        Assert.Equal((5 * 2) + 3, driver.Launches - launches);
    }

    [Fact]
    public void Hidden_states_can_be_read_behind_a_pass_of_any_width()
    {
        using CudaKernels kernels = new(new EmulatedDriver());
        using Transformer model = Load("gpt2:64x1:130:200", kernels, CacheType.BF16);
        float[][] expected = [.. Hidden(10)];
        Assert.All(expected, state => Assert.Contains(state, value => value != 0));
        AssertSameBits(expected[..3], [.. Hidden(3)], "three rows");
        AssertSameBits(expected[..1], [.. Hidden(1)], "one row");

        List<float[]> Hidden(int rows)
        {
            using KvCache cache = model.CreateCache(20);
            model.Logits(cache, Tokens(model, 10, 6).AsSpan(0, rows), rows);
            var states = new List<float[]>();
            for (int row = 0; row < rows; row++)
            {
                float[] state = new float[64];
                model.ReadHidden(row, state);
                states.Add(state);
            }

            return states;
        }
    }

    [Fact]
    public void Everything_that_was_allocated_is_freed()
    {
        var driver = new EmulatedDriver();
        using (CudaKernels kernels = new(driver))
        {
            using Transformer model = Load("qwen3-norm", kernels, CacheType.BF16);
            using KvCache cache = model.CreateCache(20);
            model.Logits(cache, Tokens(model, 9, 1), 4);
        }

        Assert.Equal(0, driver.Allocations);
    }

    [Fact]
    public void A_model_or_cache_that_does_not_fit_is_refused_with_numbers_and_the_rest_goes_on()
    {
        using CudaKernels kernels = new(new EmulatedDriver(memoryBytes: 6 << 20));
        using Transformer model = Load("llama-bf16", kernels, CacheType.BF16);
        var error = Assert.Throws<ModelLoadException>(() => ModelLoader.Random("gpt2:256x4:3000", kernels, 1));
        Assert.Matches("[0-9,]+ of its [0-9,]+ bytes free, and [0-9,]+ are needed", error.Message);
        Assert.Equal(3, model.Logits([1, 2, 3]).Length);
    }

    internal static void AssertSameBits(float[][] expected, float[][] actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int p = 0; p < expected.Length; p++)
        {
            Assert.True(MemoryMarshal.Cast<float, uint>(expected[p]).SequenceEqual(MemoryMarshal.Cast<float, uint>(actual[p])),
                $"{what}: the logits of row {p} differ");
        }
    }

    private static Transformer Load(string name, IKernels kernels, CacheType cacheType) => name.Contains(':', StringComparison.Ordinal)
        ? ModelLoader.Random(name, kernels, 11, new LoadOptions(CacheType: cacheType))
        : Golden.Read(name).Load(kernels, cacheType);

    private static int[] Tokens(Transformer model, int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Math.Min(count, model.Config.ContextLength)).Select(_ => random.Next(model.Config.VocabularySize))];
    }
}
