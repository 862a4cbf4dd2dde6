using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Decoding.Tests;

/// <summary>Whole answers from a loop.</summary>
internal static class LoopRuns
{
    public static SpeculationMode[] Speculating { get; } =
        [SpeculationMode.Ngram, SpeculationMode.Draft, SpeculationMode.Staged, SpeculationMode.Auto];

    public static GenerationRequest Request(int[] prompt, SamplingParams sampling, int maxTokens = 32) =>
        new() { Prompt = prompt, Sampling = sampling, MaxTokens = maxTokens, IgnoreEos = true };

    public static Sequence Run(this DecodingLoop loop, GenerationRequest request)
    {
        Sequence sequence = loop.Begin(request);
        while (!sequence.Finished)
        {
            loop.Step(sequence);
        }

        loop.End(sequence);
        return sequence;
    }

    /// <summary>Bytes that steps in steady state allocate.</summary>
    /// <param name="before">Tokens of another answer that is decoded first.</param>
    /// <param name="steps">Of the answer, before they are looked at.</param>
    public static long Allocated(this DecodingLoop loop, GenerationRequest request, int before = 100, int steps = 20)
    {
        _ = loop.Run(request with { MaxTokens = before });
        Sequence sequence = loop.Begin(request);
        void Steps(int count)
        {
            for (int step = 0; step < count; step++)
            {
                loop.Step(sequence);
            }
        }

        Steps(steps);
        long allocated = Allocations.Least(() => Steps(20));
        Assert.False(sequence.Finished);
        loop.End(sequence);
        return allocated;
    }

    public static int[] Decode(this DecodingLoop loop, GenerationRequest request) => loop.Run(request).GeneratedIds.ToArray();

    public static (string Text, FinishReason Reason) Text(this DecodingLoop loop, GenerationRequest request)
    {
        Sequence sequence = loop.Begin(request);
        string text = "";
        while (!sequence.Finished)
        {
            loop.Step(sequence);
            text += sequence.TakeText();
        }

        loop.End(sequence);
        return (text, sequence.FinishReason);
    }
}
