using Understory.Training.Optimisation;

namespace Understory.Training.Texts;

/// <summary>
/// Windows of a stream of tokens: all of them once, in an order drawn from the seed, then again in another one. In each phase of another
/// length they are cut anew.
/// </summary>
public sealed class TokenBatches(TokenFile file, int seed) : IBatchSource
{
    private readonly Dictionary<int, ShuffledOrder> _orders = [];

    public TrainingBatch Batch(TrainingPhase phase, long step, int batchTokens)
    {
        int length = phase.Sequence;
        int windows = (file.Tokens.Length - 1) / length;
        if (windows == 0)
        {
            throw new TrainingException($"{file.Tokens.Length} tokens are too few for texts of {length}.");
        }

        if (!_orders.TryGetValue(length, out ShuffledOrder? order))
        {
            _orders[length] = order = new ShuffledOrder(windows, seed + length);
        }

        int rows = Math.Max(1, batchTokens / length);
        return Windows(file, length, [.. Enumerable.Range(0, rows).Select(row => (long)order[(step * rows) + row] * length)]);
    }

    /// <summary>All whole windows, in batches of a few: for measuring.</summary>
    public static IReadOnlyList<TrainingBatch> All(TokenFile file, int length, int most) =>
    [
        .. Enumerable.Range(0, Math.Min(most, (file.Tokens.Length - 1) / length)).Select(window => (long)window * length).Chunk(8)
            .Select(starts => Windows(file, length, starts)),
    ];

    private static TrainingBatch Windows(TokenFile file, int length, long[] starts)
    {
        var batch = new TrainingBatch(starts.Length, length, new long[starts.Length * length], new long[starts.Length * length]);
        for (int row = 0; row < starts.Length; row++)
        {
            for (int at = 0; at < length; at++)
            {
                batch.Tokens[(row * length) + at] = file.Tokens[starts[row] + at];
                batch.Next[(row * length) + at] = file.Tokens[starts[row] + at + 1];
            }
        }

        return batch;
    }
}
