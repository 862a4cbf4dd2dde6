using TorchSharp;
using Understory.Training.Optimisation;
using Understory.Training.Tests.Network;

namespace Understory.Training.Tests.Optimisation;

public class AdamWTests
{
    [TorchFact]
    public void A_step_is_the_published_formula()
    {
        var settings = new TrainingSettings
        {
            Shape = LlamaNetworkTests.Small,
            Phases = [new TrainingPhase(100, 16)],
            WarmUp = 10,
            Clip = 1,
            WeightDecay = 0.1,
        };
        double[] weights = [0.5, -2, 3, 0.25];
        using torch.Tensor vector = torch.tensor(Array.ConvertAll(weights, weight => (float)weight));
        using var optimiser = new AdamW(vector, 3, settings);
        double[] first = new double[4];
        double[] second = new double[4];
        for (int step = 0; step < 5; step++)
        {
            double[] gradient = [0.1 * (step + 1), -0.3, 2, 0.5 - step];
            using torch.Tensor given = torch.tensor(Array.ConvertAll(gradient, value => (float)value));
            double norm = Math.Sqrt(gradient.Sum(value => value * value));
            Assert.Equal(norm, optimiser.Step(given, step), 1e-4);
            double rate = settings.LearningRateAt(step);
            for (int i = 0; i < 4; i++)
            {
                double g = gradient[i] / Math.Max(1, norm);
                first[i] = (0.9 * first[i]) + (0.1 * g);
                second[i] = (0.95 * second[i]) + (0.05 * g * g);
                weights[i] *= i < 3 ? 1 - (rate * 0.1) : 1;
                weights[i] -= rate * (first[i] / (1 - Math.Pow(0.9, step + 1)))
                    / (Math.Sqrt(second[i] / (1 - Math.Pow(0.95, step + 1))) + 1e-8);
            }
        }

        Assert.All(weights.Zip(vector.data<float>().ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
    }

    [Fact]
    public void The_rate_rises_linearly_and_falls_to_a_tenth_along_a_cosine()
    {
        var settings = new TrainingSettings
        {
            Shape = LlamaNetworkTests.Small,
            Phases = [new TrainingPhase(60, 16), new TrainingPhase(50, 32)],
            WarmUp = 10,
            LearningRate = 1,
        };
        Assert.Equal(0.1, settings.LearningRateAt(0), 1e-9);
        Assert.Equal(1, settings.LearningRateAt(9), 1e-9);
        Assert.Equal(1, settings.LearningRateAt(10), 1e-9);
        Assert.Equal(0.55, settings.LearningRateAt(60), 1e-9);
        Assert.Equal(0.1, settings.LearningRateAt(110), 1e-9);
        Assert.Equal((settings.Phases[1], 4), settings.PhaseOf(64));
    }
}
