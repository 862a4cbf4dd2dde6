using Understory.Training.Network;

namespace Understory.Training.Optimisation;

/// <summary>Steps at one length of text.</summary>
/// <param name="Sequence">Tokens of a text.</param>
public sealed record TrainingPhase(long Steps, int Sequence);

/// <summary>Everything that the result of a training run depends on beside its texts.</summary>
public sealed record TrainingSettings
{
    public required LlamaShape Shape { get; init; }

    /// <summary>One after the other.</summary>
    public required IReadOnlyList<TrainingPhase> Phases { get; init; }

    /// <summary>Tokens of a step.</summary>
    public int BatchTokens { get; init; } = 4096;

    /// <summary>The highest; it rises to it linearly and falls to a tenth of it along a cosine.</summary>
    public double LearningRate { get; init; } = 3e-3;

    public long WarmUp { get; init; } = 50;

    /// <summary>Of matrices, decoupled (Loshchilov and Hutter, arXiv 1711.05101).</summary>
    public double WeightDecay { get; init; } = 0.05;

    public double Beta1 { get; init; } = 0.9;

    public double Beta2 { get; init; } = 0.95;

    /// <summary>Gradients are scaled down to this norm.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>Share of the teacher's distribution in the loss, where there is one; the rest is that of the text's own tokens.</summary>
    public double TeacherShare { get; init; } = 0.8;

    public int Seed { get; init; } = 1;

    public bool Bf16 { get; init; }

    /// <summary>Sums fall differently on another number of threads.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    public long Steps => Phases.Sum(phase => phase.Steps);

    public long Tokens => Steps * BatchTokens;

    /// <summary>Where a step lies: in which phase, and how many steps of that phase come before it.</summary>
    public (TrainingPhase Phase, long Step) PhaseOf(long step)
    {
        foreach (TrainingPhase phase in Phases)
        {
            if (step < phase.Steps)
            {
                return (phase, step);
            }

            step -= phase.Steps;
        }

        throw new ArgumentOutOfRangeException(nameof(step));
    }

    /// <summary><c>max(s / warmUp)</c>, then <c>max (0.1 + 0.9 (1 + cos(pi t)) / 2)</c> with t from 0 to 1.</summary>
    public double LearningRateAt(long step)
    {
        if (step < WarmUp)
        {
            return LearningRate * (step + 1) / WarmUp;
        }

        double t = (double)(step - WarmUp) / Math.Max(1, Steps - WarmUp);
        return LearningRate * (0.1 + (0.45 * (1 + Math.Cos(Math.PI * t))));
    }
}
