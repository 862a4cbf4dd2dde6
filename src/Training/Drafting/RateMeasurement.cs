using System.Diagnostics;
using TorchSharp;
using Understory.Models.Architecture;
using Understory.Training.Network;
using Understory.Training.Optimisation;
using Understory.Training.Torch;

namespace Understory.Training.Drafting;

/// <summary>What this machine does in a second: ten seconds for four rates.</summary>
internal static class RateMeasurement
{
    private const int Probe = 32;
    private static readonly TimeSpan PerRate = TimeSpan.FromSeconds(2.5);

    /// <param name="training">The user's texts in pieces; none: what the target writes stands for them.</param>
    public static DraftRates Run(
        LanguageModel target, List<int[]> training, LlamaShape shape, int length, int kept, CancellationToken cancel)
    {
        var writer = new TargetReader(target, Probe, kept);
        TextScript script = TextScript.Documents(target);
        int[] text = writer.Write(0, 0, _ => script, cancel)[0].Tokens;
        double write = Rate(() => writer.Write(1, 0, _ => script, cancel), TargetReader.SideBySide * Probe);
        int[] piece = training.Count > 0 ? training[0] : [.. Enumerable.Range(0, length + 1).Select(at => text[at % text.Length])];
        var reader = new TargetReader(target, length, kept);
        Sample sample = reader.Score(piece);
        double score = Rate(() => reader.Score(piece), length);
        var settings = new TrainingSettings
        {
            Shape = shape,
            Phases = [new TrainingPhase(long.MaxValue, length)],
            BatchTokens = 4 * length,
        };
        // Of a smaller vocabulary any tokens will do.
        var batches = new SameBatch(sample, length, kept, shape.Vocabulary);
        torch.Device device = TorchRuntime.Device();
        return new DraftRates(score, write,
            TrainingRun.MeasureRate(settings, batches, device, PerRate),
            TrainingRun.MeasureRate(settings with { Bf16 = true }, batches, device, PerRate));
    }

    /// <summary>Of some doing of so many units, how many a second.</summary>
    public static double Rate(Action once, int units)
    {
        long start = Stopwatch.GetTimestamp();
        long times = 0;
        do
        {
            once();
            times++;
        }
        while (Stopwatch.GetElapsedTime(start) < PerRate);
        return units * times / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>One sample over and over.</summary>
    private sealed class SameBatch(Sample sample, int length, int kept, int vocabulary) : IBatchSource
    {
        public TrainingBatch Batch(TrainingPhase phase, long step, int batchTokens)
        {
            int rows = batchTokens / length;
            long Within(int token) => token % vocabulary;
            T[] Repeated<T>(T[] values) => [.. Enumerable.Repeat(values, rows).SelectMany(all => all)];
            return new TrainingBatch(rows, length, Repeated(Array.ConvertAll(sample.Tokens[..^1], Within)),
                Repeated(Array.ConvertAll(sample.Tokens[1..], Within)))
            {
                Kept = kept,
                TeacherTokens = Repeated(Array.ConvertAll(sample.Kept, Within)),
                TeacherLogProbs = Repeated(Array.ConvertAll(sample.LogProbs, value => (float)value)),
            };
        }
    }
}
