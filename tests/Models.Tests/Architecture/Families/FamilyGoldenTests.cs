using System.Runtime.InteropServices;
using System.Text.Json;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Models.Tests.Architecture.Families;

/// <summary>Tiny random checkpoints of the families, against the logits and greedy tokens of transformers.</summary>
public class FamilyGoldenTests
{
    private const string Folder = "families";
    private const double Tolerance = 2e-5;

    /// <summary>The rounding of one row goes through the states of all that follow it.</summary>
    private const double ToleranceOfHybrids = 1e-4;

    /// <summary>
    /// But for hybrids: in GGUF their value heads come in another order, so that the projection behind them adds in another order.
    /// </summary>
    private const double ToleranceOfFormats = 1e-5;

    /// <summary>Where GGUF loses what counts.</summary>
    private static readonly string[] WithoutGguf = ["mistral-window", "qwen2-window", "gemma2-scale"];

    public static TheoryData<string> Models =>
    [
        "gpt2", "llama-linear", "llama3", "mistral-nemo", "mistral-window", "mistral3-published", "ministral3", "qwen2", "qwen2-window",
        "qwen3", "qwen3-yarn",
        "gemma2", "gemma2-scale", "gemma3", "gemma3-linear", "gemma3-published", "gemma4-dense", "gemma4-e", "gemma4-moe",
        "gemma4-published", "phi3", "phi3-longrope", "phi4-mini", "smollm3", "granite", "olmo2", "cohere2", "glm4",
        "muse-glimmer-published",
        "mixtral", "qwen3-moe", "qwen3-moe-ties", "gpt-oss", "qwen35", "qwen35-published", "qwen35-moe", "qwen3-next",
    ];

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_folder_gives_the_logits_and_the_text_of_transformers(string name)
    {
        using IKernels kernels = KernelCatalog.Create();
        AssertGolden(name, SharedData.PathOf(Path.Combine(Folder, name)), kernels);
    }

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_gguf_file_of_the_same_weights_gives_the_same(string name)
    {
        string file = SharedData.PathOf(Path.Combine(Folder, name, "model.gguf"));
        using IKernels kernels = KernelCatalog.Create();
        Assert.Equal(!WithoutGguf.Contains(name), File.Exists(file));
        if (File.Exists(file))
        {
            AssertGolden(name, file, kernels);
        }
    }

    /// <summary>Both hold the same f32 weights, so that what differs is how they were read.</summary>
    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_folder_and_a_gguf_file_of_the_same_weights_give_the_same_logits_and_text(string name)
    {
        string folder = SharedData.PathOf(Path.Combine(Folder, name));
        string file = Path.Combine(folder, "model.gguf");
        if (!File.Exists(file))
        {
            Assert.Contains(name, WithoutGguf);
            return;
        }

        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json")));
        int[] prompt = Integers(golden, "prompt");
        using IKernels kernels = KernelCatalog.Create();
        using Transformer one = ModelLoader.LoadTransformer(folder, kernels, new LoadOptions(CacheType: CacheType.F32));
        using Transformer other = ModelLoader.LoadTransformer(file, kernels, new LoadOptions(CacheType: CacheType.F32));
        double error = Runs.RelativeError(other.Logits(prompt), one.Logits(prompt));
        Assert.True(error < (one.Config.IsHybrid ? ToleranceOfHybrids : ToleranceOfFormats), $"max |a - b| / max |b| is {error:E2}");
        Assert.Equal(one.Greedy(prompt, 24), other.Greedy(prompt, 24));
    }

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_config_as_transformers_4_spells_it_means_the_same(string name)
    {
        string folder = SharedData.PathOf(Path.Combine(Folder, name));
        string older = Path.Combine(folder, "config-4.json");
        if (!File.Exists(older))
        {
            // Nothing was spelled otherwise: both read the same file.
            Assert.True(File.Exists(Path.Combine(folder, "config.json")));
            return;
        }

        string copy = Directory.CreateTempSubdirectory("understory-").FullName;
        try
        {
            File.Copy(older, Path.Combine(copy, "config.json"));
            File.CreateSymbolicLink(Path.Combine(copy, "model.safetensors"), Path.Combine(folder, "model.safetensors"));
            using IKernels kernels = KernelCatalog.Create();
            AssertGolden(name, copy, kernels);
        }
        finally
        {
            Directory.Delete(copy, recursive: true);
        }
    }

    /// <summary>
    /// Products with MXFP4 round their inputs to 8 bits, and a router that stands behind them may then choose otherwise: the weights are
    /// held to the golden logits widened, and what serves them to the distributions.
    /// </summary>
    [SharedDataTheory(Folder)]
    [InlineData("")]
    [InlineData("model.gguf")]
    public void Experts_in_MXFP4_are_what_transformers_reads_and_stay_what_they_are_in_the_file(string file)
    {
        const string Name = "gpt-oss-mxfp4";
        string path = SharedData.PathOf(Path.Combine(Folder, Name, file));
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(SharedData.PathOf(Path.Combine(Folder, Name, "golden.json"))));
        (int[] prompt, int[] greedy) = (Integers(golden, "prompt"), Integers(golden, "greedy"));
        float[][] expected = Logits(Name, "logits.f32", prompt.Length);
        using IKernels kernels = KernelCatalog.Create();
        using (Transformer widened = Fidelity.Widened(path, kernels))
        {
            double error = Runs.RelativeError(widened.Logits(prompt), expected);
            Assert.True(error < Tolerance, $"max |a - b| / max |b| is {error:E2}");
            Assert.Equal(greedy, widened.Greedy(prompt, greedy.Length));
        }

        using Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions(CacheType: CacheType.F32));
        Assert.InRange(Fidelity.MeanKl(expected, model.Logits(prompt)), 0, 0.002);
        Assert.Equal(greedy, model.Greedy(prompt, greedy.Length));
        ModelSurvey survey = ModelLoader.Survey(path, kernels, new LoadOptions());
        if (file.Length > 0)
        {
            using Transformer mapped = ModelLoader.LoadTransformer(
                path, kernels, new LoadOptions(CacheType: CacheType.F32, Memory: 3 * survey.WeightBytes / 4));
            Assert.True(mapped.MappedBytes > 0);
            Assert.Equal(greedy, mapped.Greedy(prompt, greedy.Length));
        }

        Assert.Contains(survey.Types, type => type.Name == "MXFP4" && type.Parameters == 4 * 8 * 3 * 64 * 64);
    }

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_row_has_the_same_bits_in_chunks_in_trees_and_behind_moved_and_copied_slots(string name)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        foreach (CacheType type in (CacheType[])[CacheType.BF16, CacheType.Q8])
        {
            using Transformer model =
                ModelLoader.LoadTransformer(SharedData.PathOf(Path.Combine(Folder, name)), kernels, new LoadOptions(CacheType: type));
            Invariance.AssertHolds(model);
        }
    }

    [SharedDataTheory(Folder)]
    [InlineData("phi3-longrope")]
    [InlineData("phi4-mini")]
    public void A_context_no_longer_than_the_original_takes_the_short_factors(string name)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(SharedData.PathOf(Path.Combine(Folder, name, "golden.json"))));
        JsonElement part = golden.RootElement.GetProperty("short");
        int[] prompt = Integers(golden, "prompt")[..28];
        using IKernels kernels = KernelCatalog.Create();
        foreach (string path in (string[])[name, Path.Combine(name, "model.gguf")])
        {
            int context = part.GetProperty("context").GetInt32();
            using Transformer model =
                ModelLoader.LoadTransformer(
                    SharedData.PathOf(Path.Combine(Folder, path)), kernels, new LoadOptions(context, CacheType.F32));
            double error = Runs.RelativeError(model.Logits(prompt), Logits(name, "logits-short.f32", prompt.Length));
            Assert.True(error < Tolerance, $"{path}: max |a - b| / max |b| is {error:E2}");
        }
    }

    private static void AssertGolden(string name, string path, IKernels kernels)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(SharedData.PathOf(Path.Combine(Folder, name, "golden.json"))));
        int[] prompt = Integers(golden, "prompt");
        int[] greedy = Integers(golden, "greedy");
        float[][] expected = Logits(name, "logits.f32", prompt.Length);
        using Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions(CacheType: CacheType.F32));
        double error = Runs.RelativeError(model.Logits(prompt), expected);
        Assert.True(error < (model.Config.IsHybrid ? ToleranceOfHybrids : Tolerance), $"max |a - b| / max |b| is {error:E2}");
        Assert.Equal(greedy, model.Greedy(prompt, greedy.Length));
    }

    private static float[][] Logits(string name, string file, int rows)
    {
        ReadOnlySpan<float> logits =
            MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(SharedData.PathOf(Path.Combine(Folder, name, file))));
        int vocabulary = logits.Length / rows;
        float[][] all = new float[rows][];
        for (int row = 0; row < rows; row++)
        {
            all[row] = logits.Slice(row * vocabulary, vocabulary).ToArray();
        }

        return all;
    }

    private static int[] Integers(JsonDocument golden, string key) =>
        [.. golden.RootElement.GetProperty(key).EnumerateArray().Select(item => item.GetInt32())];
}
