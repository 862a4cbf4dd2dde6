using System.Text.Json;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Models.Tests.Architecture;

/// <summary>
/// Tiny random checkpoints of every family against an independent forward pass (tests/Fixtures/golden/make_golden.py), on every kernel set.
/// </summary>
public class GoldenTests
{
    private const double Tolerance = 1e-4;

    /// <summary>With keys and values rounded to BF16 (8 bits of mantissa).</summary>
    private const double RoundedCacheTolerance = 2e-2;

    /// <summary>With inputs of products rounded to 8 bits too, as quantised weights want them.</summary>
    private const double RoundedInputsTolerance = 6e-2;

    /// <summary>Kernel set and checkpoint, relative to the fixtures: each folder, and the GGUF file in it where there is one.</summary>
    public static TheoryData<string, string> Checkpoints
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string folder in Directory.GetDirectories(Repository.Fixture("golden")).Order(StringComparer.Ordinal))
            {
                string name = Path.GetFileName(folder);
                string[] files = [name, .. Directory.GetFiles(folder, "*.gguf").Select(file => $"{name}/{Path.GetFileName(file)}")];
                foreach (KernelSet set in KernelCatalog.Available)
                {
                    foreach (string file in files)
                    {
                        data.Add(set.Name, file);
                    }
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Logits_and_greedy_text_are_those_of_the_independent_implementation(string kernelSet, string checkpoint)
    {
        var golden = Golden.Read(checkpoint);
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = golden.IsQuantised
            ? Fidelity.Widened(golden.Path, kernels, golden.Context, rounded: true)
            : golden.Load(kernels, CacheType.F32);
        double error = Runs.RelativeError(model.Logits(golden.Ids), golden.Logits);
        Assert.True(error < Tolerance, $"max |a - b| / max |b| is {error:E2}");
        Assert.Equal(golden.Greedy, model.Greedy(golden.Ids, golden.Greedy.Length));
    }

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void With_rounded_keys_and_values_the_logits_stay_close(string kernelSet, string checkpoint)
    {
        var golden = Golden.Read(checkpoint);
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        foreach (CacheType type in (CacheType[])[CacheType.BF16, CacheType.F16])
        {
            using Transformer model = golden.Load(kernels, type);
            double error = Runs.RelativeError(model.Logits(golden.Ids), golden.Logits);
            Assert.InRange(error, 1e-7, golden.IsQuantised ? RoundedInputsTolerance : RoundedCacheTolerance);
        }
    }
}

/// <summary>What the independent implementation says about a checkpoint.</summary>
/// <param name="Path">Folder or file.</param>
/// <param name="Context">To load it with.</param>
internal sealed record Golden(string Path, int Context, int[] Ids, int[] Greedy, float[][] Logits)
{
    /// <summary>
    /// Its weights are multiplied with inputs of 8 bits, unless they are widened first; the logits are those of its weights rounded to
    /// BF16.
    /// </summary>
    public bool IsQuantised => Path.EndsWith("llama-q8/model.gguf", StringComparison.Ordinal);

    public static Golden Read(string checkpoint)
    {
        string path = Repository.Fixture("golden", checkpoint);
        string folder = Directory.Exists(path) ? path : System.IO.Path.GetDirectoryName(path)!;
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(System.IO.Path.Combine(folder, "golden.json")));
        JsonElement root = json.RootElement;
        return new Golden(
            path,
            root.GetProperty("context").GetInt32(),
            Integers(root.GetProperty("ids")),
            Integers(root.GetProperty("greedy")),
            [.. root.GetProperty("logits").EnumerateArray()
                .Select(row => row.EnumerateArray().Select(logit => logit.GetSingle()).ToArray())]);
    }

    public Transformer Load(IKernels kernels, CacheType cacheType) =>
        ModelLoader.LoadTransformer(Path, kernels, new LoadOptions(Context, cacheType));

    private static int[] Integers(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];
}
