using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Decoding.Tests;

[Collection(DemoGroup.Name)]
public class AllocationTests(DemoBundle demo)
{
    public static TheoryData<SpeculationMode, bool> Cases
    {
        get
        {
            var cases = new TheoryData<SpeculationMode, bool>();
            foreach (SpeculationMode mode in Enum.GetValues<SpeculationMode>())
            {
                cases.Add(mode, true);
                cases.Add(mode, false);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_step_in_steady_state_allocates_nothing(SpeculationMode mode, bool greedy)
    {
        using DecodingLoop loop = demo.CreateLoop();
        GenerationRequest request =
            LoopRuns.Request(demo.Prompts().First(), greedy ? SamplingParams.Greedy : new SamplingParams { TopK = 50, Seed = 4 }, 600)
            with
            { Speculation = mode };
        loop.Run(request with { MaxTokens = 100 });
        Sequence sequence = loop.Begin(request);
        for (int step = 0; step < 20; step++)
        {
            loop.Step(sequence);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 40; step++)
        {
            loop.Step(sequence);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.False(sequence.Finished);
        loop.End(sequence);
        Assert.Equal(0, allocated);
    }
}
