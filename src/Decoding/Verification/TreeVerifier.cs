using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Verification;

/// <summary>
/// One target pass over the root and the chosen nodes of a tree, and the walk down it by the decision rule: from the root, the token that
/// the target decides is looked up among the children; where it is one of them the walk goes on there, else the token is the bonus.
/// </summary>
public sealed class TreeVerifier
{
    /// <summary>Most nodes of one pass, the root not counted.</summary>
    public const int MaxNodes = 63;

    private readonly Transformer _target;
    private readonly ForwardBatch _batch;
    private readonly DecisionBatch _decision;
    private readonly DecisionBatch _alternatives;
    private readonly int[] _rowOfNode;
    private readonly int[] _slots;
    private readonly int[] _accepted = new int[MaxNodes];
    private readonly int[] _acceptedSlots = new int[MaxNodes];
    private readonly int[] _decided = new int[MaxNodes + 1];
    private readonly int[] _decidedRow = new int[MaxNodes + 1];
    private int _acceptedCount;
    private int _nodes;

    public TreeVerifier(Transformer target, int treeCapacity, int maxDepth, int maxAlternatives)
    {
        _target = target;
        _batch = new ForwardBatch(MaxNodes + 1, maxDepth + 1);
        _decision = new DecisionBatch(MaxNodes + 1, 1, maxDepth + 1);
        _alternatives = new DecisionBatch(MaxNodes + 1, maxAlternatives, maxDepth + 1);
        _rowOfNode = new int[treeCapacity];
        _slots = new int[maxDepth + 1];
    }

    /// <summary>The target keeps the states of all rows, to be read behind the pass.</summary>
    public bool KeepsStates { get; set; }

    /// <summary>Accepted nodes of the last walk, from the root's child down.</summary>
    public ReadOnlySpan<int> Accepted => _accepted.AsSpan(0, _acceptedCount);

    /// <summary>What the target decided: one token per accepted node, and the bonus token.</summary>
    public ReadOnlySpan<int> Decided => _decided.AsSpan(0, _acceptedCount + 1);

    /// <summary>log-probability of the i-th decided token.</summary>
    public float LogProb(int i) => _decision.LogProbs[_decidedRow[i]];

    /// <summary>The most probable tokens where the i-th token was decided, if the last pass was asked for them.</summary>
    public (int Token, float LogProb) Alternative(int i, int rank)
    {
        int at = (_decidedRow[i] * _alternatives.MaxBest) + rank;
        return (_alternatives.Tokens[at], _alternatives.LogProbs[at]);
    }

    /// <summary>
    /// Verifies the <paramref name="nodes"/> best nodes of the sorted tree. Afterwards the cache holds the root and the accepted
    /// path in the slots of their positions.
    /// </summary>
    /// <param name="alternatives">Most probable tokens wanted per decided token; 0: none.</param>
    /// <param name="riders">Rows that are no nodes, behind nodes that are verified; null: none. Nodes and riders are at most <see
    /// cref="MaxNodes"/>.</param>
    public void Verify(TokenTree tree, int nodes, TokenContext context, KvCache cache, int alternatives, Riders? riders = null)
    {
        _nodes = nodes;
        FillRows(tree, nodes, context);
        FillRiders(tree, context, riders);
        EndRows();
        _batch.FirstStateRow = KeepsStates ? 0 : int.MaxValue;
        Tensor logits = _target.Forward(_batch, cache);
        context.Describe(_decision, 1);
        FillMasks(tree, nodes, context);
        _target.Kernels.Decide(logits, _decision);
        if (alternatives > 0)
        {
            DecideAlternatives(logits, context);
        }

        Walk(tree, nodes);
        for (int i = 0; i < _acceptedCount; i++)
        {
            _acceptedSlots[i] = _batch.Slots[_rowOfNode[_accepted[i]]];
        }

        cache.MoveSlots(_acceptedSlots.AsSpan(0, _acceptedCount), context.Length);
    }

    /// <summary>
    /// The token that the target's rule chooses behind a rider of the last pass, under the constraint's mask of the root.
    /// </summary>
    public int Answer(int rider) => Answers[rider];

    /// <summary>The answers behind all riders of the last pass; -1: none.</summary>
    public ReadOnlySpan<int> Answers => _decision.Tokens.AsSpan(1 + _nodes, _decision.Rows - 1 - _nodes);

    /// <summary>Row of the i-th decided token in the last pass's logits.</summary>
    public int DecidedRow(int i) => _decidedRow[i];

    /// <summary>What was verified last, as a record of its own: the best <paramref name="nodes"/> of the tree. Allocates.</summary>
    public StepTree Describe(TokenTree tree, int nodes)
    {
        var described = new StepTreeNode[nodes];
        for (int i = 0; i < nodes; i++)
        {
            int node = tree.Ordered(i);
            described[i] = new StepTreeNode(
                tree.Token(node), _rowOfNode[tree.Parent(node)] - 1, tree.Stage(node), tree.A(node), Accepted.Contains(node));
        }

        return new StepTree(tree.Token(0), Decided[^1], described);
    }

    private void FillRows(TokenTree tree, int nodes, TokenContext context)
    {
        int length = context.Length;
        _batch.Clear();
        _batch.Add(context.Last, length - 1);
        _rowOfNode[0] = 0;
        _decision.PathCount[0] = 0;
        for (int i = 0; i < nodes; i++)
        {
            int node = tree.Ordered(i);
            int depth = tree.Depth(node);
            int above = tree.Parent(node);
            for (int d = depth - 1; d > 0; d--, above = tree.Parent(above))
            {
                _slots[d - 1] = length + _rowOfNode[above] - 1;
            }

            int row = _batch.Add(tree.Token(node), length + i, length, _slots.AsSpan(0, depth - 1));
            _rowOfNode[node] = row;
            _decision.PathCount[row] = depth;
            _ = tree.PathTokens(node, _decision.Path.AsSpan(row * _decision.MaxDepth, depth));
        }
    }

    private void FillRiders(TokenTree tree, TokenContext context, Riders? riders)
    {
        for (int i = 0; i < (riders?.Count ?? 0); i++)
        {
            int depth = riders!.Depth(i);
            int row = _batch.Count;
            Span<int> path = _decision.Path.AsSpan(row * _decision.MaxDepth, depth);
            int at = depth - 1;
            for (int rider = i; rider >= 0; rider = riders.Above(rider), at--)
            {
                path[at] = riders.Token(rider);
                if (rider != i)
                {
                    _slots[at] = context.Length + _nodes + rider;
                }
            }

            for (int node = riders.Node(i); node != 0; node = tree.Parent(node), at--)
            {
                path[at] = tree.Token(node);
                _slots[at] = context.Length + _rowOfNode[node] - 1;
            }

            _ = _batch.Add(riders.Token(i), context.Length + _nodes + i, context.Length, _slots.AsSpan(0, depth - 1));
            _decision.PathCount[row] = depth;
        }
    }

    private void EndRows()
    {
        _decision.Rows = _batch.Count;
        for (int row = 0; row < _batch.Count; row++)
        {
            _decision.Positions[row] = _batch.Positions[row] + 1;
            _decision.Given[row] = -1;
        }
    }

    private void FillMasks(TokenTree tree, int nodes, TokenContext context)
    {
        if (context.Matcher is not { } matcher)
        {
            return;
        }

        matcher.CopyMask(context.State, _decision, 0);
        for (int i = 0; i < nodes; i++)
        {
            matcher.CopyMask(tree.State(tree.Ordered(i)), _decision, i + 1);
        }

        for (int row = nodes + 1; row < _decision.Rows; row++)
        {
            // A rider's path is no text that the constraint knows: it gets any mask that leaves a token.
            matcher.CopyMask(context.State, _decision, row);
        }
    }

    private void DecideAlternatives(Tensor logits, TokenContext context)
    {
        context.Describe(_alternatives, _alternatives.MaxBest);
        _alternatives.Params = _alternatives.Params with { Temperature = 0, TopK = 0, TopP = 1, MinP = 0 };
        _alternatives.Mask = _decision.Mask;
        _alternatives.Rows = _decision.Rows;
        Array.Copy(_decision.Positions, _alternatives.Positions, _decision.Rows);
        Array.Copy(_decision.PathCount, _alternatives.PathCount, _decision.Rows);
        Array.Copy(_decision.Path, _alternatives.Path, _decision.Rows * _decision.MaxDepth);
        Array.Fill(_alternatives.Given, -1);
        _target.Kernels.Decide(logits, _alternatives);
    }

    private void Walk(TokenTree tree, int nodes)
    {
        _acceptedCount = 0;
        int node = 0;
        while (true)
        {
            int row = _rowOfNode[node];
            int token = _decision.Tokens[row];
            if (token < 0)
            {
                throw new InvalidOperationException(
                    "No token can be chosen: the logits of all of them are -infinity or not numbers, or the request's constraint and its "
                        + "logit_bias leave none.");
            }

            _decided[_acceptedCount] = token;
            _decidedRow[_acceptedCount] = row;
            node = tree.FindChild(node, token);
            if (node < 0 || !IsVerified(tree, node, nodes))
            {
                return;
            }

            _accepted[_acceptedCount++] = node;
        }
    }

    /// <summary>Is the node among the verified ones? (Rows of earlier steps linger in the map.)</summary>
    private bool IsVerified(TokenTree tree, int node, int nodes)
    {
        int row = _rowOfNode[node];
        return row > 0 && row <= nodes && tree.Ordered(row - 1) == node;
    }
}
