namespace Understory.Decoding.Tree;

/// <summary>A token that may follow, and what is known of it.</summary>
/// <param name="Rank">Place among those of its source, 0 the best.</param>
/// <param name="Raw">Its source's own estimate.</param>
/// <param name="Conditional">The estimate after calibration; 1 where nothing else can follow.</param>
/// <param name="State">The constraint's state behind it; 0 without a constraint.</param>
public readonly record struct Proposal(int Token, Stage Stage, int Rank, float Raw, float Conditional, int State);
