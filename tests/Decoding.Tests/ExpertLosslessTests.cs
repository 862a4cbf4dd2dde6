using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests;

/// <summary>
/// Rows that choose among experts choose alike whoever rides along: mixtures of experts decode the same tokens however they are decoded.
/// Each model drafts for itself, so that trees are deep and much of them is accepted.
/// </summary>
public class ExpertLosslessTests
{
    public static TheoryData<string> Models =>
    [
        "qwen3-moe", "qwen3-moe-ties", "mixtral", "gpt-oss", "gpt-oss-mxfp4", "qwen3-moe/model.gguf", "mixtral/model.gguf",
        "gpt-oss/model.gguf", "gpt-oss-mxfp4/model.gguf",
    ];

    [SharedDataTheory("families/qwen3-moe/config.json")]
    [MemberData(nameof(Models))]
    public void Every_mode_and_tree_size_gives_the_plain_tokens_cached_or_not(string name)
    {
        string path = SharedData.PathOf(Path.Combine("families", name));
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        using LanguageModel target = ModelLoader.Load(path, kernels, new LoadOptions());
        using LanguageModel draft = ModelLoader.Load(path, kernels, new LoadOptions());
        using var loop = new DecodingLoop(target, draft, null, new DecodingOptions { Calibration = TimeSpan.FromMilliseconds(50) });
        foreach (SamplingParams sampling in (SamplingParams[])[SamplingParams.Greedy, new SamplingParams { Seed = 3 }])
        {
            foreach (int length in (int[])[1, 70])
            {
                int[] prompt = [.. Enumerable.Range(0, length).Select(i => 3 + (i * 37 % 250))];
                GenerationRequest request = Request(prompt, sampling, 48);
                using var cold = new DecodingLoop(target, draft, null, new DecodingOptions { Calibration = TimeSpan.Zero });
                int[] plain = cold.Decode(request with { Speculation = SpeculationMode.Off });
                foreach (SpeculationMode mode in Speculating)
                {
                    foreach (int? nodes in new int?[] { null, 1, 5, 16, 63 })
                    {
                        int[] tokens = loop.Decode(request with { Speculation = mode, SpeculationNodes = nodes });
                        Assert.True(plain.AsSpan().SequenceEqual(tokens), $"{mode}, {nodes} nodes");
                    }
                }

                // What was generated is a cached prefix now.
                GenerationRequest longer = Request([.. prompt, .. plain, .. prompt.Take(9)], sampling, 20);
                Assert.Equal(
                    cold.Decode(longer with { Speculation = SpeculationMode.Off }),
                    loop.Decode(longer with { Speculation = SpeculationMode.Staged }));
            }
        }
    }
}
