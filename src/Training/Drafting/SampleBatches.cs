using Understory.Decoding.Drafters;
using Understory.Training.Optimisation;

namespace Understory.Training.Drafting;

/// <summary>Batches of a file's samples: all of them once, in an order drawn from the seed, then all again in another one.</summary>
/// <param name="map">To the draft's tokens; null: they are the target's.</param>
internal sealed class SampleBatches(SampleFile file, int length, int kept, int seed, VocabularyMap? map = null) : IBatchSource
{
    /// <summary>No weight at all, in nats.</summary>
    private const float Nothing = -1000;

    private readonly ShuffledOrder _order = new(file.Count, seed);

    public TrainingBatch Batch(TrainingPhase phase, long step, int batchTokens)
    {
        int rows = Math.Max(1, batchTokens / length);
        return Batch([.. Enumerable.Range(0, rows).Select(row => _order[(step * rows) + row])]);
    }

    /// <summary>Samples of these numbers.</summary>
    public TrainingBatch Batch(int[] numbers)
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
            Fill(batch, row * length, Pieces(sample), sample);
        }

        return batch;
    }

    /// <summary>A sample's tokens as the draft's, and of each the place of the target's token that it ends; -1: it ends none.</summary>
    private List<(int Token, int Place)> Pieces(Sample sample)
    {
        var pieces = new List<(int Token, int Place)>(sample.Tokens.Length);
        for (int at = 0; at < sample.Tokens.Length; at++)
        {
            ReadOnlySpan<int> own = map is null ? [sample.Tokens[at]] : map.DraftOf(sample.Tokens[at]);
            for (int i = 0; i < own.Length; i++)
            {
                pieces.Add((own[i], i == own.Length - 1 ? at : -1));
            }
        }

        return pieces;
    }

    private void Fill(TrainingBatch batch, int first, List<(int Token, int Place)> pieces, Sample sample)
    {
        for (int at = 0; at < length; at++)
        {
            // A token that the draft cannot write at all leaves the last place empty: it repeats the one before.
            (int token, int place) = pieces[Math.Min(at, pieces.Count - 2)];
            int next = pieces[Math.Min(at, pieces.Count - 2) + 1].Token;
            batch.Tokens[first + at] = token;
            batch.Next[first + at] = next;
            Span<long> tokens = batch.TeacherTokens.AsSpan((first + at) * kept, kept);
            Span<float> logProbs = batch.TeacherLogProbs.AsSpan((first + at) * kept, kept);
            if (place < 0)
            {
                // Within a token of the target's there is one way on.
                tokens.Fill(next);
                logProbs.Fill(Nothing);
                logProbs[0] = 0;
                continue;
            }

            for (int i = 0; i < kept; i++)
            {
                int meant = sample.Kept[(place * kept) + i];
                ReadOnlySpan<int> own = map is null ? [meant] : map.DraftOf(meant);
                tokens[i] = own.IsEmpty ? 0 : own[0];
                logProbs[i] = own.IsEmpty ? Nothing : (float)sample.LogProbs[(place * kept) + i];
            }
        }
    }
}
