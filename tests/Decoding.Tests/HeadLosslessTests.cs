using System.Text.Json;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests;

/// <summary>
/// The first promise under draft heads, which read the target's own states: of a tiny trained hybrid, and of random checkpoints.
/// </summary>
[Collection(DemoGroup.Name)]
public sealed class HeadLosslessTests : IDisposable
{
    private const string Eagle = "families/qwen3/eagle3";

    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);

    private static SamplingParams[] Samplings { get; } =
    [
        SamplingParams.Greedy, new SamplingParams { Seed = 9 },
        new SamplingParams { Temperature = 0.7f, TopK = 20, Seed = 5, RepetitionPenalty = 1.2f },
    ];

    /// <summary>The heads that are at hand; "mtp" is of the fixtures.</summary>
    public static TheoryData<string> Heads => SharedData.ReasonToSkip("families/qwen35/golden.json") is null
        ? ["mtp", "families/qwen35", "families/qwen35-moe", "families/qwen3-next", Eagle] : ["mtp"];

    [Theory]
    [MemberData(nameof(Heads))]
    public void Every_mode_and_tree_size_gives_the_plain_tokens(string name)
    {
        using LanguageModel model = Load(name);
        int[] prompt = Prompt(model);
        foreach (SamplingParams sampling in Samplings)
        {
            using DecodingLoop loop = Loop(model);
            int[] plain = loop.Decode(Request(prompt, sampling) with { Speculation = SpeculationMode.Off });
            foreach (SpeculationMode mode in Speculating)
            {
                foreach (int? nodes in new int?[] { null, 1, 5, 16, 63 })
                {
                    GenerationRequest request = Request(prompt, sampling) with { Speculation = mode, SpeculationNodes = nodes };
                    Assert.Equal(plain, loop.Decode(request));
                    Assert.Equal(plain, loop.Decode(request with { DraftPasses = 3, Branch = nodes == 5 ? 1 : null }));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Heads))]
    public void Cached_prefixes_that_continue_branch_off_or_were_never_read_change_nothing(string name)
    {
        using LanguageModel model = Load(name);
        int[] prompt = Prompt(model);
        foreach (SamplingParams sampling in Samplings)
        {
            using DecodingLoop warm = Loop(model);
            int[] plain = warm.Decode(Request(prompt, sampling, 40) with { Speculation = SpeculationMode.Draft });
            SpeculationMode[] modes = [SpeculationMode.Draft, SpeculationMode.Off, SpeculationMode.Staged];
            for (int i = 0; i < 8; i++)
            {
                int keep = ((int[])[88, 87, 60, 48, 47, 33, 17, 3])[i];
                int[] branched = [.. prompt.Concat(plain).Take(keep), 70, 71, 72];
                using DecodingLoop cold = Loop(model);
                GenerationRequest request = Request(branched, sampling, 24);
                int[] expected = cold.Decode(request with { Speculation = SpeculationMode.Off });
                // What is not drafted for is not read: the next one finds a gap.
                Assert.Equal(expected, warm.Decode(request with { Speculation = modes[i % 3] }));
                Assert.Equal(expected, warm.Decode(request with { Speculation = SpeculationMode.Auto }));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Heads))]
    public void A_cancelled_prefill_a_continued_turn_and_a_regenerated_answer_give_the_plain_tokens(string name)
    {
        using LanguageModel model = Load(name);
        int[] prompt = [.. Prompt(model), .. Prompt(model).Reverse(), .. Prompt(model)];
        using DecodingLoop loop = Loop(model);
        GenerationRequest request = Request(prompt, new SamplingParams { Seed = 2 }) with
        {
            Speculation = SpeculationMode.Draft,
            PartingPoints = [20, 60],
        };
        int[] plain = Alone(model, request);
        for (int steps = 1; steps < 6; steps++)
        {
            Sequence cancelled = loop.Begin(request);
            for (int step = 0; step < steps; step++)
            {
                loop.Step(cancelled);
            }

            loop.End(cancelled);
            Assert.Equal(plain, loop.Decode(request));
            GenerationRequest next = request with { Prompt = [.. prompt, .. plain.Take(4 * steps), 65, 66] };
            Assert.Equal(Alone(model, next), loop.Decode(next));
            GenerationRequest other = request with { Prompt = [.. prompt.Take(60), 80, 81, 82], Sampling = SamplingParams.Greedy };
            Assert.Equal(Alone(model, other), loop.Decode(other));
        }
    }

    [Fact]
    public void A_prompt_of_one_token_and_the_end_of_the_context_are_drafted_for_as_far_as_they_go()
    {
        using LanguageModel model = ModelLoader.Load(MtpFixture.Folder, _kernels, new LoadOptions(Context: 60, Head: true));
        using DecodingLoop loop = Loop(model);
        GenerationRequest request = Request([70], SamplingParams.Greedy, 100);
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(59, plain.Length);
        foreach (SpeculationMode mode in Speculating)
        {
            Assert.Equal(plain, loop.Decode(request with { Speculation = mode }));
            Assert.Equal(plain, loop.Decode(request with { Speculation = mode, DraftPasses = 3 }));
        }
    }

    [Fact]
    public void A_long_answer_without_drafts_is_read_pass_by_pass_and_drafted_for_behind_that()
    {
        using LanguageModel model = Load("mtp");
        using DecodingLoop loop = Loop(model);
        int[] prompt = MtpFixture.Cases[0].Prompt;
        int[] plain = loop.Decode(Request(prompt, SamplingParams.Greedy, 300) with { Speculation = SpeculationMode.Ngram });
        int[] longer = [.. prompt, .. plain];
        GenerationRequest request = Request(longer, SamplingParams.Greedy, 60);
        Sequence drafted = loop.Run(request with { Speculation = SpeculationMode.Draft, DraftPasses = 2 });
        Assert.True(drafted.CachedTokens > prompt.Length);
        Assert.Equal(Alone(model, request), drafted.GeneratedIds.ToArray());
    }

    public void Dispose() => _kernels.Dispose();

    private static int[] Alone(LanguageModel model, GenerationRequest request)
    {
        using DecodingLoop loop = Loop(model);
        return loop.Decode(request with { Speculation = SpeculationMode.Off });
    }

    private static DecodingLoop Loop(LanguageModel model) =>
        new(model, draft: null, ngram: null, new DecodingOptions { MaxDepth = 12, Calibration = TimeSpan.Zero });

    private LanguageModel Load(string name)
    {
        bool eagle = name == Eagle;
        string folder = name == "mtp" ? MtpFixture.Folder : SharedData.PathOf(eagle ? Path.GetDirectoryName(name)! : name);
        LanguageModel model = ModelLoader.Load(folder, _kernels, new LoadOptions(Head: true));
        model = eagle ? model with { Head = ModelLoader.LoadHead(SharedData.PathOf(name), model, _kernels, new LoadOptions()) } : model;
        Assert.NotNull(model.Head);
        return model;
    }

    /// <summary>Forty-eight tokens: of the golden prompt, or any.</summary>
    private static int[] Prompt(LanguageModel model)
    {
        string golden = Path.Combine(model.Path, "golden.json");
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(golden));
        return json.RootElement.TryGetProperty("prompt", out JsonElement prompt)
            ? [.. prompt.EnumerateArray().Select(item => item.GetInt32()), 90, 91, 92, 93, 94, 95, 96, 97]
            : MtpFixture.Cases[0].Prompt;
    }
}
