using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Architecture;

/// <summary>Plain ways to run a model.</summary>
internal static class Runs
{
    /// <summary>Logits of every position, the prompt cut into chunks of <paramref name="chunk"/> rows.</summary>
    public static float[][] Logits(this Transformer model, KvCache cache, ReadOnlySpan<int> tokens, int chunk, int start = 0)
    {
        var batch = new ForwardBatch(model.MaxRows, 1);
        float[][] logits = new float[tokens.Length][];
        for (int first = 0; first < tokens.Length; first += chunk)
        {
            batch.Clear();
            for (int i = first; i < Math.Min(first + chunk, tokens.Length); i++)
            {
                batch.Add(tokens[i], start + i);
            }

            Tensor rows = model.Forward(batch, cache);
            for (int r = 0; r < rows.Rows; r++)
            {
                logits[first + r] = new float[rows.Columns];
                model.Kernels.Read(rows.RowRange(r, 1).Data, logits[first + r]);
            }
        }

        return logits;
    }

    public static float[][] Logits(this Transformer model, ReadOnlySpan<int> tokens, int chunk = 64)
    {
        using KvCache cache = model.CreateCache(tokens.Length);
        return model.Logits(cache, tokens, chunk);
    }

    /// <summary>The prompt's greedy continuation.</summary>
    public static int[] Greedy(this Transformer model, ReadOnlySpan<int> prompt, int count)
    {
        using KvCache cache = model.CreateCache(prompt.Length + count);
        float[] last = model.Logits(cache, prompt, 64)[^1];
        int[] tokens = new int[count];
        for (int i = 0; i < count; i++)
        {
            tokens[i] = Best(last);
            last = model.Logits(cache, [tokens[i]], 1, prompt.Length + i)[0];
        }

        return tokens;
    }

    public static int Best(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            best = logits[i] > logits[best] ? i : best;
        }

        return best;
    }

    /// <summary>max |a - b| / max |b| over all positions.</summary>
    public static double RelativeError(float[][] actual, float[][] expected)
    {
        Assert.Equal(expected.Length, actual.Length);
        double difference = 0;
        double largest = 0;
        for (int p = 0; p < expected.Length; p++)
        {
            Assert.Equal(expected[p].Length, actual[p].Length);
            for (int i = 0; i < expected[p].Length; i++)
            {
                Assert.True(float.IsFinite(actual[p][i]), $"position {p}, token {i}: {actual[p][i]}");
                difference = Math.Max(difference, Math.Abs(actual[p][i] - expected[p][i]));
                largest = Math.Max(largest, Math.Abs(expected[p][i]));
            }
        }

        return difference / largest;
    }
}
