using Understory.Decoding.Tree;

namespace Understory.Decoding.Verification;

/// <summary>
/// Rows of a target pass that are no nodes: tokens that stand behind a node, or behind another rider, only to be answered. They are never
/// accepted, and what they answer is a drafter's to read after the pass; no other row's numbers depend on them. They take places of nodes.
/// </summary>
public sealed class Riders
{
    private readonly Rider[] _riders = new Rider[TreeVerifier.MaxNodes];

    /// <param name="Node">The node that it stands behind; 0: the root.</param>
    /// <param name="Above">The rider between it and the node; -1: none.</param>
    /// <param name="Depth">Tokens of its path below the root, its own included.</param>
    private readonly record struct Rider(int Token, int Node, int Above, int Depth);

    public int Count { get; private set; }

    public void Clear() => Count = 0;

    /// <summary>Adds a token behind a node that will be verified.</summary>
    /// <returns>Its number, by which it is asked for.</returns>
    public int Add(TokenTree tree, int node, int token) => Add(new Rider(token, node, -1, tree.Depth(node) + 1));

    /// <summary>Adds a token behind another rider.</summary>
    public int AddBehind(int rider, int token) => Add(new Rider(token, _riders[rider].Node, rider, _riders[rider].Depth + 1));

    internal int Token(int rider) => _riders[rider].Token;

    internal int Node(int rider) => _riders[rider].Node;

    internal int Above(int rider) => _riders[rider].Above;

    internal int Depth(int rider) => _riders[rider].Depth;

    private int Add(in Rider rider)
    {
        _riders[Count] = rider;
        return Count++;
    }
}
