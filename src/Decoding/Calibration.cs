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
internal sealed class Calibration(TreePlanner planner, Transformer target, ModelDrafter? drafter)
{
    private static readonly int[] Widths = [1, 8, 2, 4, 16, 3, 6, 12, 32, 24, 64, 5, 10, 20, 40];
    private const int Repeats = 3;
    private const int FarContext = 256;

    public void Run(TimeSpan allowed)
    {
        long start = Stopwatch.GetTimestamp();
        Measure(target, planner.Target, start, allowed * (drafter is null ? 1 : 0.7));
        if (drafter is not null)
        {
            Measure(drafter.Transformer, planner.Draft!, start, allowed);
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
                batch.Add(row, context + row);
            }

            long before = Stopwatch.GetTimestamp();
            transformer.Forward(batch, cache);
            return Stopwatch.GetElapsedTime(before).TotalSeconds;
        }

        int most = Math.Min(64, transformer.Config.ContextLength);
        double Best(int rows, int context)
        {
            double best = Pass(rows, context);
            for (int i = 1; i < Repeats && Stopwatch.GetElapsedTime(start) < until; i++)
            {
                best = Math.Min(best, Pass(rows, context));
            }

            return best;
        }

        // The first passes compile code and touch memory.
        Pass(1, 0);
        Pass(Math.Min(4, most), 0);
        double one = Best(1, 0);
        cost.Observe(1, 0, one);
        if (transformer.Config.ContextLength > FarContext)
        {
            cost.ContextSlope = Math.Max(0, (Best(1, FarContext) - one) / FarContext);
        }

        foreach (int rows in Widths)
        {
            if (rows > 1 && rows <= most && Stopwatch.GetElapsedTime(start) + TimeSpan.FromSeconds(cost.Seconds(rows, 0)) < until)
            {
                cost.Observe(rows, 0, Best(rows, 0));
            }
        }
    }
}
