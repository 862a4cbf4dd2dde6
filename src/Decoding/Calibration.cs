using System.Diagnostics;
using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding;

/// <summary>
/// Measures passes of a few widths at start, draft and target, so that the first request is planned on measured costs. What does not
/// fit into the time allowed is learned while decoding.
/// </summary>
internal sealed class Calibration(Ledger ledger, Transformer target, ModelDrafter? drafter)
{
    private static readonly int[] Widths = [1, 2, 4, 8, 16, 3, 6, 12, 32];
    private const int MostRounds = 24;
    private const int FarContext = 256;

    public void Run(TimeSpan allowed)
    {
        long start = Stopwatch.GetTimestamp();
        Measure(target, ledger.Target, start, allowed * (drafter is null ? 1 : 0.7));
        if (drafter is not null)
        {
            Measure(drafter.Transformer, ledger.Draft!, start, allowed);
        }
    }

    private static void Measure(Transformer transformer, CostModel cost, long start, TimeSpan until)
    {
        using KvCache cache = transformer.CreateCache(Math.Min(transformer.Config.ContextLength, FarContext + 64));
        var batch = new ForwardBatch(64, 2);
        double Pass(int rows, int context)
        {
            batch.Clear();
            for (int row = 0; row < rows; row++)
            {
                batch.Add(row % transformer.Config.VocabularySize, context + row);
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
        double far = transformer.Config.ContextLength > FarContext ? Pass(1, FarContext) : one;
        var best = new Dictionary<int, double>();

        // Round after round over all widths: a busy moment of the machine then falls on none of them alone.
        for (int round = 0; round < MostRounds && !Over(one); round++)
        {
            foreach (int rows in Widths.Where(rows => rows <= most))
            {
                double expected = best.GetValueOrDefault(rows, one * (1 + (rows / 8.0)));
                if (!Over(expected))
                {
                    best[rows] = Math.Min(best.GetValueOrDefault(rows, double.MaxValue), Pass(rows, 0));
                }
            }

            if (!Over(far) && transformer.Config.ContextLength > FarContext)
            {
                far = Math.Min(far, Pass(1, FarContext));
            }
        }

        cost.Calibrate(1, best.GetValueOrDefault(1, one));
        foreach (var (rows, seconds) in best)
        {
            cost.Calibrate(rows, seconds);
        }

        cost.ContextSlope = Math.Max(0, (far - cost.Seconds(1, 0)) / FarContext);

        bool Over(double next) => Stopwatch.GetElapsedTime(start) + TimeSpan.FromSeconds(next) > until;
    }
}
