using Understory.Decoding.Tree;

namespace Understory.Decoding.Verification;

/// <summary>The part of a tree that a target pass verified.</summary>
/// <param name="Root">The last token before it.</param>
/// <param name="Bonus">The token that the target decided at the end of the accepted path.</param>
/// <param name="Nodes">By <see cref="StepTreeNode.A"/>, the highest first; parents before their children.</param>
public sealed record StepTree(int Root, int Bonus, IReadOnlyList<StepTreeNode> Nodes);

/// <param name="Parent">Index into <see cref="StepTree.Nodes"/>; -1: the root.</param>
/// <param name="A">Estimated probability, before the pass, that the target's path goes through the node.</param>
/// <param name="Accepted">It does.</param>
public readonly record struct StepTreeNode(int Token, int Parent, Stage Stage, float A, bool Accepted);
