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

    public static TheoryData<string> Models =>
        ["gpt2", "llama-linear", "llama3", "mistral-nemo", "mistral-window", "qwen2", "qwen2-window", "qwen3", "qwen3-yarn"];

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_folder_gives_the_logits_and_the_text_of_transformers(string name)
    {
        using IKernels kernels = KernelCatalog.Create();
        AssertGolden(name, TestData.Shared(Path.Combine(Folder, name)), kernels);
    }

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_gguf_file_of_the_same_weights_gives_the_same(string name)
    {
        string file = TestData.Shared(Path.Combine(Folder, name, "model.gguf"));
        using IKernels kernels = KernelCatalog.Create();
        // There is none where the format loses what counts.
        Assert.Equal(name is not ("mistral-window" or "qwen2-window"), File.Exists(file));
        if (File.Exists(file))
        {
            AssertGolden(name, file, kernels);
        }
    }

    [SharedDataTheory(Folder)]
    [MemberData(nameof(Models))]
    public void A_config_as_transformers_4_spells_it_means_the_same(string name)
    {
        string folder = TestData.Shared(Path.Combine(Folder, name));
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

    private static void AssertGolden(string name, string path, IKernels kernels)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(TestData.Shared(Path.Combine(Folder, name, "golden.json"))));
        int[] prompt = Integers(golden, "prompt");
        int[] greedy = Integers(golden, "greedy");
        ReadOnlySpan<float> logits = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(TestData.Shared(Path.Combine(Folder, name, "logits.f32"))));
        int vocabulary = logits.Length / prompt.Length;
        float[][] expected = new float[prompt.Length][];
        for (int row = 0; row < expected.Length; row++)
        {
            expected[row] = logits.Slice(row * vocabulary, vocabulary).ToArray();
        }

        using Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions(CacheType: CacheType.F32));
        double error = Runs.RelativeError(model.Logits(prompt), expected);
        Assert.True(error < Tolerance, $"max |a - b| / max |b| is {error:E2}");
        Assert.Equal(greedy, model.Greedy(prompt, greedy.Length));
    }

    private static int[] Integers(JsonDocument golden, string key) => [.. golden.RootElement.GetProperty(key).EnumerateArray().Select(item => item.GetInt32())];
}
