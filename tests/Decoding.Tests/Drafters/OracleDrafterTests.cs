using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public class OracleDrafterTests(DemoBundle demo)
{
    [Theory]
    [InlineData(1, 60, true)]
    [InlineData(2, 80, true)]
    [InlineData(3, 90, true)]
    [InlineData(1, 60, false)]
    [InlineData(2, 80, false)]
    [InlineData(3, 90, false)]
    public void The_right_token_is_among_the_first_candidates_as_often_as_was_asked(int candidates, double percent, bool greedy)
    {
        int[] prompt = demo.Prompts().First();
        var oracle = new OracleDrafter(demo.Draft.Transformer, 4, 12, [60, 80, 90]);
        using var loop =
            new DecodingLoop(demo.Target.Transformer, demo.Target.Tokenizer, oracle, null, new DecodingOptions { MaxDepth = 12 });
        GenerationRequest request = LoopRuns.Request(prompt, greedy ? SamplingParams.Greedy : new SamplingParams { Seed = 21 }, 400);
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        oracle.Reveal([.. prompt, .. plain]);

        // One level of so many nodes: a pass accepts one exactly where the right token is among them.
        Sequence sequence = loop.Run(request with { Speculation = SpeculationMode.Draft, DraftPasses = 1, SpeculationNodes = candidates });
        Assert.Equal(plain, sequence.GeneratedIds.ToArray());
        double accepted = 100.0 * sequence.Statistics.DraftAccepted / sequence.Statistics.TargetPasses;
        Assert.InRange(accepted, percent - 8, percent + 8);
    }

    [Theory]
    [InlineData(60f, 50f)]
    [InlineData(-1f, 50f)]
    [InlineData(60f, 101f)]
    public void Percentages_that_fall_or_leave_their_range_are_refused(float first, float second) =>
        Assert.Throws<ArgumentException>(() => new OracleDrafter(demo.Draft.Transformer, 4, 12, [first, second]));
}
