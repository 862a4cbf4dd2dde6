using Understory.Decoding;
using Understory.Decoding.Drafters;

namespace Understory.Server.Verbs.Bench;

/// <summary>One prompt's pairs.</summary>
/// <param name="Ratio">Speed of the mode by that of <c>off</c>: the median of the pairs.</param>
/// <param name="Control">The same of <c>off</c> by <c>off</c>.</param>
public sealed record PairResult(double Ratio, double Control)
{
    /// <summary>The machine was calm enough to judge by this prompt: <c>off</c> against <c>off</c> is within 3 %.</summary>
    public bool Calm => Math.Abs(Control - 1) <= 0.03;
}

/// <summary>
/// Whether a mode is ever slower than <c>off</c>: on every prompt they run in pairs next to each other, with <c>off</c> once more as
/// control, in turn and back again. The median of a prompt's pairs is what it counts with; nothing is picked.
/// </summary>
public sealed class PairRunner(DecodingLoop loop, OracleDrafter? oracle, BenchSettings settings, BenchMode mode)
{
    private readonly BenchDecoder _decoder = new(loop, settings);

    /// <summary>All runs of a prompt gave the same tokens, on every prompt so far.</summary>
    public bool Equal { get; private set; } = true;

    public PairResult Run(int[] prompt)
    {
        int[] expected = _decoder.Decode(prompt, BenchMode.Off).GeneratedIds.ToArray();
        oracle?.Reveal([.. prompt, .. expected]);
        BenchMode[] turn = [mode, BenchMode.Off, BenchMode.Control];
        var seconds = turn.ToDictionary(one => one, _ => new double[settings.Repeats]);
        for (int pair = 0; pair < settings.Repeats; pair++)
        {
            foreach (BenchMode one in pair % 2 == 0 ? turn : turn.Reverse())
            {
                var sequence = _decoder.Decode(prompt, one);
                Equal &= sequence.GeneratedIds.SequenceEqual(expected);
                seconds[one][pair] = sequence.Statistics.PredictedMilliseconds;
            }
        }

        double Against(BenchMode one) => Medians.Of(seconds[BenchMode.Off].Zip(seconds[one], (off, time) => off / time));
        return new PairResult(Against(mode), Against(BenchMode.Control));
    }
}
