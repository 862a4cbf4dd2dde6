namespace Understory.Training.Optimisation;

/// <summary>Texts of one step, all of one length, and what a model should say at every place.</summary>
/// <param name="Tokens"><c>[rows, length]</c></param>
/// <param name="Next"><c>[rows, length]</c>: the token that follows.</param>
public sealed record TrainingBatch(int Rows, int Length, long[] Tokens, long[] Next)
{
    /// <summary>Tokens of the teacher's distribution at every place, 0 where there is no teacher.</summary>
    public int Kept { get; init; }

    /// <summary><c>[rows * length, Kept]</c></summary>
    public long[] TeacherTokens { get; init; } = [];

    /// <summary><c>[rows * length, Kept]</c>: the teacher's log-probabilities of them.</summary>
    public float[] TeacherLogProbs { get; init; } = [];
}

/// <summary>Gives every step its texts: the same for the same step, so that an interrupted run goes on as if nothing had been.</summary>
public interface IBatchSource
{
    /// <param name="step">Within its phase.</param>
    TrainingBatch Batch(TrainingPhase phase, long step, int batchTokens);
}
