using System.Diagnostics;
using Understory.Decoding.Planning;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding;

/// <summary>
/// Measures passes of a few widths at start, draft and target, so that the first request is planned on measured costs. What does not
/// fit into the time allowed is learned while decoding.
/// </summary>
internal sealed class Calibration(Ledger ledger, Transformer target, Transformer? draft)
{
    private static readonly int[] Widths = [1, 2, 4, 8, 16, 3, 6, 12, 32];
    private const int MostRounds = 24;
    private const int FarContext = 256;

    /// <summary>Rows for which attention has code of its own.</summary>
    private const int AttentionRows = 6;

    /// <summary>
    /// Most that a token of context is taken to cost, over what reading its keys and values takes at the speed of the weights. Chosen: far
    /// from where it was measured, noise of a percent would keep a slow model from ever verifying two rows.
    /// </summary>
    private const double MostSlope = 2;

    /// <summary>2^32 over the golden ratio, odd.</summary>
    private const uint Scatter = 2654435769;

    /// <param name="known">What an earlier run knew: today's measurement then only says how fast the machine is today.</param>
    public void Run(TimeSpan allowed, CostCurves? known)
    {
        long start = Stopwatch.GetTimestamp();
        Measure(target, ledger.Target, start, allowed * (draft is null ? 1 : 0.7), known?.Target);
        if (draft is not null)
        {
            Measure(draft, ledger.Draft!, start, allowed, known?.Draft);
        }
    }

    private static void Measure(Transformer transformer, CostModel cost, long start, TimeSpan until, CostCurve? known)
    {
        using KvCache cache = transformer.CreateCache(Math.Min(transformer.Config.ContextLength, FarContext + 64));
        var batch = new ForwardBatch(64, 2);
        uint tokens = 0;
        double Pass(int rows, int context)
        {
            batch.Clear();
            for (int row = 0; row < rows; row++)
            {
                // Which experts a pass reads depends on its tokens: these are spread over the vocabulary, and others every time.
                int token = transformer.HasExperts ? (int)(tokens++ * Scatter % (uint)transformer.Config.VocabularySize) : row;
                batch.Add(token % transformer.Config.VocabularySize, context + row);
            }

            cache.Assume(context);
            long before = Stopwatch.GetTimestamp();
            transformer.Forward(batch, cache);
            transformer.Kernels.Finish();
            return Stopwatch.GetElapsedTime(before).TotalSeconds;
        }

        // The first passes compile code and touch memory.
        int most = Math.Min(64, transformer.Config.ContextLength);
        Pass(1, 0);
        double one = Math.Min(Pass(1, 0), Pass(1, 0));
        bool reaches = transformer.Config.ContextLength > FarContext + AttentionRows;
        for (int rows = 2; rows <= AttentionRows && reaches && !Over(rows * one); rows++)
        {
            Pass(rows, FarContext);
        }

        double far = reaches ? Pass(1, FarContext) : one;
        var measured = new Dictionary<int, List<double>>();

        // Round after round over all widths: a busy moment of the machine then falls on none of them alone.
        for (int round = 0; round < MostRounds && !Over(one); round++)
        {
            foreach (int rows in Widths.Where(rows => rows <= most))
            {
                double guess = one * ((transformer.ExpectedBytes(rows) / transformer.ExpectedBytes(1)) + (rows / 8.0));
                if (!Over(measured.TryGetValue(rows, out List<double>? times) ? Typical(times) : guess))
                {
                    _ = measured.TryAdd(rows, []);
                    measured[rows].Add(Pass(rows, 0));
                }
            }

            if (!Over(far) && reaches)
            {
                far = Math.Min(far, Pass(1, FarContext));
            }
        }

        var today = measured.ToDictionary(pair => pair.Key, pair => Typical(pair.Value));
        today.TryAdd(1, one);
        double mostSlope = MostSlope * one * transformer.CacheBytesPerToken / transformer.WeightBytes;
        if (known is { IsSound: true } && cost.Recall(known, today))
        {
            cost.ContextSlope = Math.Min(cost.ContextSlope, mostSlope);
            return;
        }

        foreach (var (rows, seconds) in today)
        {
            cost.Calibrate(rows, seconds, measured.TryGetValue(rows, out List<double>? times) ? times.Count : 1);
        }

        cost.ContextSlope = Math.Clamp((far - cost.Seconds(1, 0)) / FarContext, 0, mostSlope);

        // The same pass takes longer only where the machine is busy; passes of other experts differ: the middle one counts.
        double Typical(List<double> seconds) => transformer.HasExperts ? seconds.Order().ElementAt(seconds.Count / 2) : seconds.Min();

        bool Over(double next) => Stopwatch.GetElapsedTime(start) + TimeSpan.FromSeconds(next) > until;
    }
}
