using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Decoding.Tests;

[Collection("demo")]
public class LongPromptTests(DemoBundle demo)
{
    [Theory]
    [InlineData(SpeculationMode.Draft)]
    [InlineData(SpeculationMode.Staged)]
    [InlineData(SpeculationMode.Auto)]
    public void A_prompt_longer_than_a_pass_is_caught_up_by_the_draft_without_changing_the_tokens(SpeculationMode mode)
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] prompt = [.. Enumerable.Range(0, 700).Select(i => (i * 37 % 4000) + 1)];
        var request = new GenerationRequest { Prompt = prompt, Sampling = SamplingParams.Greedy, MaxTokens = 40, IgnoreEos = true };
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Sequence sequence = loop.Run(request with { Speculation = mode });
        Assert.Equal(plain, sequence.GeneratedIds.ToArray());
        if (mode != SpeculationMode.Auto)
        {
            Assert.True(sequence.Statistics.Draft.Proposed > 0);
        }
    }
}
