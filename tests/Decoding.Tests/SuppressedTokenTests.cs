using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests;

/// <summary>Tokens that a model's files forbid: the demo model, whose most likely tokens are forbidden.</summary>
[Collection(DemoGroup.Name)]
public sealed class SuppressedTokenTests(DemoBundle demo) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;
    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);

    public void Dispose()
    {
        _kernels.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void They_are_never_chosen_whoever_drafts()
    {
        int[] prompt = demo.Prompts().First();
        using DecodingLoop free = demo.CreateLoop();
        int[] usual = [.. free.Decode(Request(prompt, SamplingParams.Greedy, 40)).Distinct()];
        int[] never = [.. usual.Where((_, i) => i % 2 == 0), demo.Target.Config.VocabularySize + 5];
        using LanguageModel model = Load($"{{\"suppress_tokens\": [{string.Join(", ", never)}]}}");
        using var loop = new DecodingLoop(
            model, demo.Draft, demo.Ngram, new DecodingOptions { Calibration = TimeSpan.FromMilliseconds(50) });
        foreach (SamplingParams sampling in (SamplingParams[])[SamplingParams.Greedy, new SamplingParams { Seed = 4, Temperature = 1.5f },
            SamplingParams.Greedy with { LogitBias = new Dictionary<int, float> { [never[0]] = 100 } }])
        {
            int[] plain = loop.Decode(Request(prompt, sampling, 60) with { Speculation = SpeculationMode.Off });
            Assert.Empty(plain.Intersect(never));
            foreach (SpeculationMode mode in Speculating)
            {
                Assert.Equal(plain, loop.Decode(Request(prompt, sampling, 60) with { Speculation = mode, SpeculationNodes = 16 }));
            }
        }
    }

    [Fact]
    public void Some_are_only_not_chosen_first()
    {
        int[] prompt = demo.Prompts().First();
        using DecodingLoop free = demo.CreateLoop();
        int[] usual = free.Decode(Request(prompt, SamplingParams.Greedy, 40));
        using LanguageModel model = Load($"{{\"begin_suppress_tokens\": [{string.Join(", ", usual.Distinct())}]}}");
        using var loop = new DecodingLoop(
            model, demo.Draft, demo.Ngram, new DecodingOptions { Calibration = TimeSpan.FromMilliseconds(50) });
        int[] plain = loop.Decode(Request(prompt, SamplingParams.Greedy, 60) with { Speculation = SpeculationMode.Off });
        Assert.DoesNotContain(plain[0], usual);
        Assert.NotEmpty(plain[1..].Intersect(usual));
        foreach (SpeculationMode mode in Speculating)
        {
            Assert.Equal(plain, loop.Decode(Request(prompt, SamplingParams.Greedy, 60) with { Speculation = mode, SpeculationNodes = 16 }));
        }
    }

    /// <summary>The demo's target with another generation config.</summary>
    private LanguageModel Load(string generation)
    {
        foreach (string file in (string[])["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
        {
            File.CreateSymbolicLink(Path.Combine(_folder, file), Path.Combine(DemoBundle.Folder, "target", file));
        }

        File.WriteAllText(Path.Combine(_folder, "generation_config.json"), generation);
        return ModelLoader.Load(_folder, _kernels, new LoadOptions());
    }
}
