using Understory.Training.Optimisation;

namespace Understory.Training.Drafting;

/// <summary>Batches of a file's samples: all of them once, in an order drawn from the seed, then all again in another one.</summary>
internal sealed class SampleBatches(SampleFile file, int length, int kept, int seed) : IBatchSource
{
    private readonly ShuffledOrder _order = new(file.Count, seed);

    public TrainingBatch Batch(TrainingPhase phase, long step, int batchTokens)
    {
        int rows = Math.Max(1, batchTokens / length);
        return Batch(file, length, kept, [.. Enumerable.Range(0, rows).Select(row => _order[(step * rows) + row])]);
    }

    public static TrainingBatch Batch(SampleFile file, int length, int kept, int[] numbers)
    {
        int places = numbers.Length * length;
        var batch = new TrainingBatch(numbers.Length, length, new long[places], new long[places])
        {
            Kept = kept,
            TeacherTokens = new long[places * kept],
            TeacherLogProbs = new float[places * kept],
        };
        for (int row = 0; row < numbers.Length; row++)
        {
            Sample sample = file.Read(numbers[row]);
            for (int at = 0; at < length; at++)
            {
                batch.Tokens[(row * length) + at] = sample.Tokens[at];
                batch.Next[(row * length) + at] = sample.Tokens[at + 1];
            }

            int first = row * length * kept;
            for (int i = 0; i < length * kept; i++)
            {
                batch.TeacherTokens[first + i] = sample.Kept[i];
                batch.TeacherLogProbs[first + i] = (float)sample.LogProbs[i];
            }
        }

        return batch;
    }
}
