namespace Understory.Training.Optimisation;

/// <summary>A point of a run's curve: means since the point before it.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Tokens">Tokens seen.</param>
/// <param name="Seconds">Of training, checkpoints and measurements included.</param>
/// <param name="Text">Cross-entropy of texts, nats a token.</param>
/// <param name="Teacher">Divergence from the teacher, nats; 0 without one.</param>
/// <param name="Norm">The gradient's, before clipping.</param>
public sealed record LossPoint(long Step, long Tokens, double Seconds, double LearningRate, double Text, double Teacher, double Norm);

/// <summary>What a run measured on texts that it does not train on.</summary>
/// <param name="Parts">Cross-entropy by part, nats a token.</param>
public sealed record HeldOutPoint(long Step, IReadOnlyDictionary<string, double> Parts);
