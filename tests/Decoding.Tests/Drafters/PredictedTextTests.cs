using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public class PredictedTextTests(DemoBundle demo)
{
    [Fact]
    public void It_begins_at_the_beginning_and_finds_its_way_back_after_a_divergence()
    {
        int[] predicted = [10, 11, 12, 13, 14, 12, 15, 16];
        var text = new PredictedText();
        var context = new TokenContext([1, 2, 3], SamplingParams.Greedy, 100, 40) { Prediction = predicted };
        Assert.Equal([10, 11, 12, 13], Guesses(text, context, 4));
        context.Append(10);
        context.Append(50);
        Assert.Empty(Guesses(text, context, 1));
        context.Append(13);
        context.Append(14);
        Assert.Equal([12, 15, 16], Guesses(text, context, 4));
        context.Append(12);
        Assert.Equal([15, 16], Guesses(text, context, 4));

        // A path that leaves the prediction is followed as the answer is.
        text.Follow(context);
        Assert.Equal(12, text.Next(context, [60, 11], out _));
        var other = new TokenContext([1, 10], SamplingParams.Greedy, 100, 40);
        Assert.Empty(Guesses(text, other, 1));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void An_exact_prediction_gives_several_times_the_tokens_of_a_batch_and_the_same_text(float temperature)
    {
        using var loop = new DecodingLoop(demo.Target, null, null, new DecodingOptions());
        GenerationRequest request =
            LoopRuns.Request(demo.Prompts().First(), new SamplingParams { Temperature = temperature, Seed = 4 }, 120);
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Sequence sequence = loop.Run(request with { Speculation = SpeculationMode.Ngram, SpeculationNodes = 20, Prediction = plain });
        Assert.Equal(plain, sequence.GeneratedIds.ToArray());
        Assert.InRange(sequence.Statistics.TokensPerBatch, 5, 21);
        Assert.InRange(sequence.Statistics.Prediction.Accepted, 90, 120);
        Assert.InRange(sequence.Statistics.RejectedPrediction, 0, 40);
    }

    [Fact]
    public void A_prediction_in_part_wrong_changes_no_text_in_any_mode()
    {
        using DecodingLoop loop = demo.CreateLoop();
        GenerationRequest request = LoopRuns.Request(demo.Prompts().First(), new SamplingParams { Seed = 4 }, 80);
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        int[] edited = [.. plain[..20], 7, 8, .. plain[25..60], 9, .. plain[60..]];
        foreach (int[] prediction in new[] { edited, plain[40..], [], [5, 5, 5, 5] })
        {
            foreach (SpeculationMode mode in Enum.GetValues<SpeculationMode>())
            {
                Sequence sequence = loop.Run(request with { Speculation = mode, Prediction = prediction });
                Assert.Equal(plain, sequence.GeneratedIds.ToArray());
                Assert.True(mode is not (SpeculationMode.Off or SpeculationMode.Draft) || sequence.Statistics.Prediction.Proposed == 0);
            }
        }

        Sequence helped = loop.Run(request with { Speculation = SpeculationMode.Ngram, SpeculationNodes = 12, Prediction = edited });
        Assert.InRange(helped.Statistics.Prediction.Accepted, 40, 80);
        Assert.Throws<InvalidRequestException>(() => loop.Begin(request with { Prediction = [1 << 20] }));
    }

    private static int[] Guesses(PredictedText text, TokenContext context, int count)
    {
        text.Follow(context);
        var path = new List<int>();
        for (int i = 0; i < count && text.Next(context, path.ToArray(), out _) is var token and >= 0; i++)
        {
            path.Add(token);
        }

        return [.. path];
    }
}
