using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Models.Tests.Architecture;

/// <summary>What batch invariance means for a whole model.</summary>
internal static class Invariance
{
    /// <summary>
    /// A row's logits are the same bits however the prompt is cut, on a branch of a tree, behind slots that were moved, and behind a
    /// prefix that was copied.
    /// </summary>
    public static void AssertHolds(Transformer model)
    {
        int[] tokens = [.. Enumerable.Range(0, 45).Select(i => (i * 37) % 200)];
        float[][] expected = model.Logits(tokens, 1);
        foreach (int chunk in (int[])[2, 3, 7, 16, 33, 64])
        {
            AssertSameBits(expected, model.Logits(tokens, chunk), $"in chunks of {chunk}");
        }

        using KvCache cache = model.CreateCache(60, spare: 64);
        model.Logits(cache, tokens.AsSpan(0, 17), 17);
        cache.Remember();
        model.Logits(cache, tokens.AsSpan(17, 23), 40, 17);
        // The last five as a branch whose slots lie elsewhere, among other branches.
        var batch = new ForwardBatch(model.MaxRows, 8);
        int[] slots = [43, 47, 50, 51, 55];
        int[] rows = new int[slots.Length];
        for (int i = 0; i < slots.Length; i++)
        {
            rows[i] = batch.Add(tokens[40 + i], slots[i], 40, slots.AsSpan(0, i));
            for (int other = 0; other < 11; other++)
            {
                batch.Add((7 * other) + i, 60 + (11 * i) + other, 40, slots.AsSpan(0, i));
            }
        }

        Tensors.Tensor all = model.Forward(batch, cache);
        float[] logits = new float[all.Columns];
        for (int i = 0; i < slots.Length; i++)
        {
            model.Kernels.Read(all.RowRange(rows[i], 1).Data, logits);
            AssertSameBits([expected[40 + i]], [logits], $"node {i} of a branch");
        }

        // An accepted path becomes text; then another sequence takes it over.
        cache.MoveSlots(slots, 40);
        using KvCache copy = model.CreateCache(60);
        copy.CopyFrom(cache, 45);
        AssertSameBits(model.Logits([.. tokens, 5, 6])[^2..], model.Logits(copy, [5, 6], 1, 45), "behind a copied prefix");
        int kept = copy.Restorable(20);
        Assert.InRange(kept, 17, 20);
        copy.Truncate(kept);
        AssertSameBits(
            model.Logits([.. tokens[..20], 5, 6])[^2..], model.Logits(copy, [.. tokens[kept..20], 5, 6], 2, kept)[^2..],
            "behind a shorter prefix");
    }

    private static void AssertSameBits(float[][] expected, float[][] actual, string where)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int row = 0; row < expected.Length; row++)
        {
            Assert.True(Kernels.Arena.SameBits(expected[row], actual[row]), $"row {row} differs {where}");
        }
    }
}
