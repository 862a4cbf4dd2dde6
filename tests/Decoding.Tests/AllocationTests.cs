using Understory.Decoding.Sampling;

namespace Understory.Decoding.Tests;

[Collection(DemoGroup.Name)]
public class AllocationTests(DemoBundle demo)
{
    private static readonly Dictionary<string, SamplingParams> _samplings = new()
    {
        ["greedy"] = SamplingParams.Greedy,
        ["T = 1, top_k 50"] = new SamplingParams { TopK = 50, Seed = 4 },
        ["T = 1, a penalty of the last 32 tokens"] = new SamplingParams { RepetitionPenalty = 1.1f, RepetitionWindow = 32, Seed = 4 },
    };

    public static TheoryData<SpeculationMode, string> Cases
    {
        get
        {
            var cases = new TheoryData<SpeculationMode, string>();
            foreach (SpeculationMode mode in Enum.GetValues<SpeculationMode>())
            {
                foreach (string sampling in _samplings.Keys)
                {
                    cases.Add(mode, sampling);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_step_in_steady_state_allocates_nothing(SpeculationMode mode, string sampling)
    {
        using DecodingLoop loop = demo.CreateLoop();
        GenerationRequest request =
            LoopRuns.Request(demo.Prompts().First(), _samplings[sampling], 600) with { Speculation = mode };
        Assert.Equal(0, loop.Allocated(request));
    }
}
