namespace Understory.Peer;

/// <summary>How near distributions are to the true ones, position by position.</summary>
internal sealed class Distance
{
    private readonly List<double> _kl = [];
    private readonly List<bool> _agrees = [];

    /// <summary>Mean of KL(truth, other), in nats.</summary>
    public double MeanKl => _kl.Average();

    /// <summary>Share of positions whose most probable token is the true one.</summary>
    public double TopOne => _agrees.Average(agrees => agrees ? 1.0 : 0);

    /// <summary>
    /// Standard error of the difference of <see cref="TopOne"/> from that of others at the same positions, which differ where just one of
    /// both agrees with the truth.
    /// </summary>
    public double TopOneError(Distance others) => Math.Sqrt(_agrees.Zip(others._agrees, (a, b) => a == b ? 0 : 1).Sum()) / _agrees.Count;

    public void Add(ReadOnlySpan<float> truth, ReadOnlySpan<float> other)
    {
        (double norm, int best) = Describe(truth);
        (double otherNorm, int otherBest) = Describe(other);
        double kl = 0;
        for (int i = 0; i < truth.Length; i++)
        {
            double logit = truth[i] - norm;
            kl += Math.Exp(logit) * (logit - (other[i] - otherNorm));
        }

        _kl.Add(kl);
        _agrees.Add(best == otherBest);
    }

    /// <summary>The logarithm of the sum of exponentials, and the largest logit's id, the lowest where there are two.</summary>
    private static (double Norm, int Best) Describe(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            best = logits[i] > logits[best] ? i : best;
        }

        double sum = 0;
        foreach (float logit in logits)
        {
            sum += Math.Exp(logit - logits[best]);
        }

        return (Math.Log(sum) + logits[best], best);
    }
}
