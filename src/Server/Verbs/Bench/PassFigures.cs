using System.Diagnostics;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Server.Verbs.Bench;

/// <summary>What single passes cost, beside what memory gives at best in the same run. Medians, in seconds.</summary>
public sealed record PassFigures(
    double ReadBandwidth, IReadOnlyDictionary<int, double> Target, IReadOnlyDictionary<int, double> Draft, double PrefillFlops)
{
    private const int PrefillRows = 128;
    private static readonly int[] Rows = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
    private static readonly TimeSpan PerWidth = TimeSpan.FromMilliseconds(400);

    public static PassFigures Measure(Transformer target, Transformer? draft)
    {
        var passes = Passes(target, [.. Rows, PrefillRows]);
        // A short context may not have room for a whole prefill chunk.
        int prefillRows = passes.Keys.Max();
        double prefill = 2.0 * (target.WeightBytes / 2.0) * prefillRows / passes[prefillRows];
        return new PassFigures(
            target.Kernels.MeasureBandwidth(target.WeightBytes), passes, draft is null
                ? new SortedDictionary<int, double>() : Passes(draft, Rows), prefill);
    }

    private static SortedDictionary<int, double> Passes(Transformer transformer, int[] widths)
    {
        int most = Math.Min(transformer.MaxRows, transformer.Config.ContextLength);
        using KvCache cache = transformer.CreateCache(most);
        var batch = new ForwardBatch(most, 1);
        var times = widths.Where(rows => rows <= most).ToDictionary(rows => rows, _ => new List<double>());
        long start = Stopwatch.GetTimestamp();
        // Round after round over all widths, so that a drift of the machine's speed falls on all alike.
        for (int round = 0; round < 3 || (round < 200 && Stopwatch.GetElapsedTime(start) < PerWidth * times.Count); round++)
        {
            foreach (var (rows, list) in times)
            {
                batch.Clear();
                for (int row = 0; row < rows; row++)
                {
                    batch.Add(row + 1, row);
                }

                // A prefill needs the logits of its last row only.
                batch.FirstLogitsRow = rows == PrefillRows ? rows - 1 : 0;
                cache.Assume(0);
                long before = Stopwatch.GetTimestamp();
                transformer.Forward(batch, cache);
                transformer.Kernels.Finish();
                list.Add(Stopwatch.GetElapsedTime(before).TotalSeconds);
            }
        }

        return new SortedDictionary<int, double>(
            times.ToDictionary(pair => pair.Key, pair => pair.Value.Order().ElementAt(pair.Value.Count / 2)));
    }
}
