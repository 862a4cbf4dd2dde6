namespace Understory.Decoding.Planning;

/// <summary>What a step took and gave.</summary>
/// <param name="Context">Committed tokens before it.</param>
/// <param name="Nodes">Verified.</param>
/// <param name="Gain">Tokens that they were expected to gain over verifying none (<see cref="Ledger.Gain"/>).</param>
/// <param name="TargetSeconds">Of the target's pass.</param>
/// <param name="DraftSeconds">Of the draft's passes.</param>
/// <param name="Seconds">Of the whole step.</param>
/// <param name="Drafted">The draft model proposed.</param>
public readonly record struct StepEntry(
    int Context, int Nodes, double Gain, int Committed, double TargetSeconds, double DraftSeconds, double Seconds, bool Drafted)
{
    /// <summary>The ledger decided what was drafted: what others ask for is no source's gain or loss.</summary>
    public bool Auto { get; init; }

    /// <summary>The request does not sample.</summary>
    public bool Greedy { get; init; }

    /// <summary>Rows that looked ahead.</summary>
    public int Riders { get; init; }

    /// <summary>Tokens committed that such rows had found.</summary>
    public int Found { get; init; }
}
