using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.PtxEmulator;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests;

/// <summary>The first promise on the CUDA kernels, which an emulated device runs from their PTX.</summary>
[Collection(DemoGroup.Name)]
public class CudaLosslessTests(DemoBundle demo)
{
    private static readonly Dictionary<string, SamplingParams> _samplings = new()
    {
        ["greedy"] = SamplingParams.Greedy,
        ["T = 1"] = new SamplingParams { Seed = 3 },
        ["T = 1, top_k 20, top_p 0.9, penalties"] =
            new SamplingParams { TopK = 20, TopP = 0.9f, Seed = 4, RepetitionPenalty = 1.2f, FrequencyPenalty = 0.3f },
        ["greedy, a penalty of the last 5 tokens"] = new SamplingParams { Temperature = 0, RepetitionPenalty = 1.3f, RepetitionWindow = 5 },
    };

    public static TheoryData<string, string> Cases => new()
    {
        { "greedy", "gpt2:64x1:300:160" },
        { "T = 1", "llama:64x1:300:160" },
        { "T = 1, top_k 20, top_p 0.9, penalties", "gpt2:64x1:300:160" },
        { "greedy, a penalty of the last 5 tokens", "gpt2:64x1:300:160" },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Speculation_does_not_change_the_tokens(string sampling, string model)
    {
        using IKernels kernels = EmulatedCuda.Create();
        using Transformer target = ModelLoader.Random(model, kernels, 1);
        // Nearly the target itself: some of its drafts are accepted, some not.
        using Transformer draft = ModelLoader.Random(model, kernels, _samplings[sampling].Temperature == 0 ? 1UL : 2);
        var drafter = new ModelDrafter(draft, 3, 6);
        using var loop = new DecodingLoop(target, demo.Target.Tokenizer, drafter, null,
            new DecodingOptions { MaxDepth = 6, Calibration = TimeSpan.Zero });
        int[] prompt = [.. Enumerable.Range(0, 21).Select(i => i * 37 % 300)];
        GenerationRequest request = Request(prompt, _samplings[sampling], maxTokens: 20);
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(20, plain.Length);
        foreach ((SpeculationMode mode, int nodes) in (ReadOnlySpan<(SpeculationMode, int)>)[(SpeculationMode.Draft, 12),
            (SpeculationMode.Staged, 5), (SpeculationMode.Ngram, 8)])
        {
            Assert.Equal(plain, loop.Decode(request with { Speculation = mode, SpeculationNodes = nodes }));
        }
    }
}
