using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>What a pass is asked for, before any kernel sees it.</summary>
internal static class BatchCheck
{
    /// <summary>
    /// Kernels follow these numbers into memory without looking. Returns the last position, -1 where there is no row, and the slots that
    /// are written or read.
    /// </summary>
    public static (int Last, int Slots) Check(ForwardBatch batch, KvCache cache, ModelConfig config, int maxRows)
    {
        int last = -1;
        int slots = 0;
        ArgumentOutOfRangeException.ThrowIfNotEqual(cache.Layers.Length, config.Layers.Count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(batch.Count, maxRows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)batch.FirstLogitsRow, (uint)batch.Count);
        ArgumentOutOfRangeException.ThrowIfNegative(batch.FirstStateRow);
        for (int row = 0; row < batch.Count; row++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)batch.Tokens[row], (uint)config.VocabularySize);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)batch.Positions[row], (uint)config.ContextLength);
            last = Math.Max(last, batch.Positions[row]);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)batch.Slots[row], (uint)cache.Slots);
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)batch.Prefix[row], (uint)cache.Slots);
            slots = Math.Max(slots, Math.Max(batch.Slots[row] + 1, batch.Prefix[row]));
            foreach (int slot in batch.Ancestors.AsSpan(row * batch.MaxDepth, batch.AncestorCount[row]))
            {
                ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)slot, (uint)cache.Slots);
                slots = Math.Max(slots, slot + 1);
            }
        }

        return (last, slots);
    }
}
