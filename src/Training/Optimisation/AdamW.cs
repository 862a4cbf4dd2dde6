using TorchSharp;
using static TorchSharp.torch;

namespace Understory.Training.Optimisation;

/// <summary>
/// Adam with decoupled weight decay (Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101) over one vector of weights.
/// <code>
/// m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2
/// w = w (1 - rate decay)       w = w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + 1e-8)
/// </code>
/// </summary>
internal sealed class AdamW : IDisposable
{
    private const double Epsilon = 1e-8;

    private readonly Tensor _weights;
    private readonly long _decayed;
    private readonly TrainingSettings _settings;

    /// <param name="decayed">Weights at the vector's beginning that decay.</param>
    public AdamW(Tensor weights, long decayed, TrainingSettings settings)
    {
        (_weights, _decayed, _settings) = (weights, decayed, settings);
        First = zeros_like(weights).DetachFromDisposeScope();
        Second = zeros_like(weights).DetachFromDisposeScope();
    }

    /// <summary>Running mean of the gradient.</summary>
    public Tensor First { get; }

    /// <summary>Running mean of its square.</summary>
    public Tensor Second { get; }

    /// <param name="step">From 0 on.</param>
    /// <returns>The gradient's norm before clipping.</returns>
    public double Step(Tensor gradient, long step)
    {
        using IDisposable untracked = no_grad();
        using DisposeScope scope = NewDisposeScope();
        double norm = gradient.norm().item<float>();
        Tensor g = gradient;
        if (norm > _settings.Clip)
        {
            g.mul_(_settings.Clip / norm);
        }

        double rate = _settings.LearningRateAt(step);
        First.mul_(_settings.Beta1).add_(g, alpha: 1 - _settings.Beta1);
        Second.mul_(_settings.Beta2).addcmul_(g, g, 1 - _settings.Beta2);
        Tensor scale = (Second / (1 - Math.Pow(_settings.Beta2, step + 1))).sqrt_().add_(Epsilon);
        _weights.narrow(0, 0, _decayed).mul_(1 - (rate * _settings.WeightDecay));
        _weights.addcdiv_(First, scale, -rate / (1 - Math.Pow(_settings.Beta1, step + 1)));
        return norm;
    }

    public void Dispose()
    {
        First.Dispose();
        Second.Dispose();
    }
}
