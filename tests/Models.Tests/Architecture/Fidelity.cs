using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Models.Tests.Architecture;

/// <summary>How near one model's distributions are to another's, teacher-forced over the same tokens.</summary>
internal static class Fidelity
{
    /// <summary>The model of a file with its weights decoded to F32, and all arithmetic in F32.</summary>
    /// <param name="rounded">See <see cref="WidenedTensors"/>.</param>
    public static Transformer Widened(string path, IKernels kernels, int? context = null, bool rounded = false)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using var tensors = new WidenedTensors(checkpoint.Tensors, rounded);
        ModelConfig config = checkpoint.Config.WithContext(context).Validated();
        return new Transformer(config, Weights.Load(config, tensors, checkpoint.Names, kernels), kernels, CacheType.F32);
    }

    /// <summary>Mean of KL(expected, actual) over the positions, in nats.</summary>
    public static double MeanKl(float[][] expected, float[][] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double total = 0;
        for (int row = 0; row < expected.Length; row++)
        {
            double[] p = LogSoftmax(expected[row]);
            double[] q = LogSoftmax(actual[row]);
            for (int i = 0; i < p.Length; i++)
            {
                total += Math.Exp(p[i]) * (p[i] - q[i]);
            }
        }

        return total / expected.Length;
    }

    /// <summary>Share of positions whose most probable token is the same.</summary>
    public static double TopOneAgreement(float[][] expected, float[][] actual) =>
        expected.Zip(actual, (a, b) => Runs.Best(a) == Runs.Best(b) ? 1.0 : 0).Average();

    /// <summary>Mean negative log-likelihood of each token behind the first, in nats.</summary>
    public static double MeanNll(float[][] logits, int[] tokens)
    {
        double total = 0;
        for (int i = 1; i < tokens.Length; i++)
        {
            total -= LogSoftmax(logits[i - 1])[tokens[i]];
        }

        return total / (tokens.Length - 1);
    }

    private static double[] LogSoftmax(float[] logits)
    {
        double max = logits.Max();
        double sum = Math.Log(logits.Sum(logit => Math.Exp(logit - max))) + max;
        return Array.ConvertAll(logits, logit => logit - sum);
    }
}
