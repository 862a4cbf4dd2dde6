using System.Diagnostics;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Decoding;

/// <summary>Has the code of every mode compiled before somebody waits for it.</summary>
internal static class WarmUp
{
    private static readonly SpeculationMode[] Modes =
        [SpeculationMode.Auto, SpeculationMode.Staged, SpeculationMode.Ngram, SpeculationMode.Off];

    /// <summary>Decodes a few tokens in every mode, greedy and sampled, while the time lasts; one however long it takes.</summary>
    public static void Run(DecodingLoop loop, TimeSpan allowed)
    {
        long start = Stopwatch.GetTimestamp();
        int[] prompt = [.. Enumerable.Range(0, Math.Min(4, loop.ContextLength))];
        foreach (SpeculationMode mode in Modes.Where(loop.Supports))
        {
            foreach (float temperature in (float[])[0, 1])
            {
                Sequence sequence = loop.Begin(new GenerationRequest
                {
                    Prompt = prompt,
                    Sampling = new SamplingParams { Temperature = temperature },
                    MaxTokens = 6,
                    IgnoreEos = true,
                    Speculation = mode,
                });
                do
                {
                    loop.Step(sequence);
                }
                while (!sequence.Finished && (sequence.GeneratedTokens == 0 || Stopwatch.GetElapsedTime(start) < allowed));

                _ = sequence.TakeText();
                loop.End(sequence);
            }
        }
    }
}
