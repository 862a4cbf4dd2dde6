namespace Understory.Decoding;

/// <summary>What the last step did, for metrics; read between steps, on the decoding thread.</summary>
/// <param name="Committed">Tokens that the target pass committed; 0 for a prefill chunk.</param>
/// <param name="Nodes">Tree nodes that the target verified.</param>
/// <param name="PrefilledTokens">Prompt tokens of a prefill chunk.</param>
public readonly record struct StepReport(
    int Committed, int Nodes, int PrefilledTokens, double TargetSeconds, int DraftPasses, double DraftSeconds, double StepSeconds);
