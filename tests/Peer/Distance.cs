namespace Understory.Peer;

/// <summary>How near distributions are to the true ones, position by position.</summary>
internal sealed class Distance
{
    private double _kl;
    private int _agreed;
    private int _positions;

    /// <summary>Mean of KL(truth, other), in nats.</summary>
    public double MeanKl => _kl / _positions;

    /// <summary>Share of positions whose most probable token is the true one.</summary>
    public double TopOne => (double)_agreed / _positions;

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

        _kl += kl;
        _agreed += best == otherBest ? 1 : 0;
        _positions++;
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
