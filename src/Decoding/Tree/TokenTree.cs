namespace Understory.Decoding.Tree;

/// <summary>
/// Candidate tokens below the last committed token (the root, node 0). A node knows its parent, the stage that proposed it and <c>a</c>,
/// the estimated probability that the target's own path passes through it: the parent's <c>a</c> times a conditional. So the expected
/// number of tokens that a target pass over a connected set of nodes commits is <c>1 + sum of a</c>. Reused between steps; nothing is
/// allocated by growing it.
/// </summary>
public sealed class TokenTree
{
    private struct Node
    {
        public int Token;
        public int Parent;
        public int Depth;
        public int FirstChild;
        public int NextSibling;
        public int Rank;
        public int DraftSlot;
        public int State;
        public float Raw;
        public float A;
        public Stage Stage;
        public Stage Judge;
        public bool Expanded;
    }

    private readonly Node[] _nodes;
    private readonly long[] _order;

    public TokenTree(int capacity)
    {
        _nodes = new Node[capacity];
        _order = new long[capacity];
    }

    public int Capacity => _nodes.Length;

    /// <summary>Nodes, the root included.</summary>
    public int Count { get; private set; }

    /// <summary>Nodes that the last <see cref="Sort"/> put in order.</summary>
    public int OrderedCount { get; private set; }

    public int Token(int node) => _nodes[node].Token;

    /// <summary>-1 for the root.</summary>
    public int Parent(int node) => _nodes[node].Parent;

    /// <summary>0 for the root.</summary>
    public int Depth(int node) => _nodes[node].Depth;

    /// <summary>Who proposed the node first.</summary>
    public Stage Stage(int node) => _nodes[node].Stage;

    /// <summary>
    /// The stage whose estimate <see cref="Raw"/> is (a guess of the n-gram that the draft confirmed carries the draft's).
    /// </summary>
    public Stage Judge(int node) => _nodes[node].Judge;

    /// <summary>Place among its siblings by its judge's ranking, 0 the best.</summary>
    public int Rank(int node) => _nodes[node].Rank;

    /// <summary>The judge's own conditional probability, before calibration.</summary>
    public float Raw(int node) => _nodes[node].Raw;

    /// <summary>Estimated probability that the target's path passes through the node.</summary>
    public float A(int node) => _nodes[node].A;

    /// <summary>The node's children are known.</summary>
    public bool Expanded(int node) => _nodes[node].Expanded;

    /// <summary>Slot of the node in the draft's KV cache, -1 while the draft has not seen it.</summary>
    public int DraftSlot(int node) => _nodes[node].DraftSlot;

    /// <summary>Where the path to the node stands in the request's constraint; 0 without one.</summary>
    public int State(int node) => _nodes[node].State;

    /// <summary>Another stage is surer of the node than its judge: to be said before it has children.</summary>
    public void RaiseA(int node, float a) => _nodes[node].A = Math.Max(_nodes[node].A, Math.Min(a, _nodes[_nodes[node].Parent].A));

    public int FirstChild(int node) => _nodes[node].FirstChild;

    public int NextSibling(int node) => _nodes[node].NextSibling;

    /// <param name="state">Where the committed text stands in the request's constraint.</param>
    public void Reset(int rootToken, int state = 0)
    {
        Count = 0;
        OrderedCount = 0;
        Add(-1, rootToken, Tree.Stage.Target, 0, 1, 1);
        _nodes[0].State = state;
    }

    /// <summary>Adds a child and returns it, or -1 if the tree is full.</summary>
    /// <param name="judge">The stage that estimated <paramref name="raw"/>.</param>
    /// <param name="conditional">Calibrated probability of the child given its parent.</param>
    public int Add(int parent, int token, Stage judge, int rank, float raw, float conditional)
    {
        if (Count == Capacity)
        {
            return -1;
        }

        int index = Count++;
        ref Node node = ref _nodes[index];
        node = new Node
        {
            Token = token,
            Parent = parent,
            FirstChild = -1,
            NextSibling = -1,
            Rank = rank,
            Raw = raw,
            A = 1,
            Stage = judge,
            Judge = judge,
            DraftSlot = -1,
        };
        if (parent >= 0)
        {
            ref Node above = ref _nodes[parent];
            node.Depth = above.Depth + 1;
            node.A = above.A * conditional;
            node.NextSibling = above.FirstChild;
            above.FirstChild = index;
        }

        return index;
    }

    /// <summary>Adds a proposal and returns its node, or -1 if the tree is full.</summary>
    /// <param name="judge">The stage that estimated its <c>Raw</c>; who proposed it is said by <see cref="SetStage"/> where that is
    /// another.</param>
    public int Add(int parent, in Proposal proposal, Stage judge)
    {
        int node = Add(parent, proposal.Token, judge, proposal.Rank, proposal.Raw, proposal.Conditional);
        if (node >= 0)
        {
            _nodes[node].State = proposal.State;
        }

        return node;
    }

    public void MarkExpanded(int node, int draftSlot = -1)
    {
        _nodes[node].Expanded = true;
        _nodes[node].DraftSlot = draftSlot;
    }

    /// <summary>Says that another stage had proposed the node before its judge did.</summary>
    public void SetStage(int node, Stage stage) => _nodes[node].Stage = stage;

    /// <summary>The child of <paramref name="node"/> that is <paramref name="token"/>, or -1.</summary>
    public int FindChild(int node, int token)
    {
        int child = _nodes[node].FirstChild;
        while (child >= 0 && _nodes[child].Token != token)
        {
            child = _nodes[child].NextSibling;
        }

        return child;
    }

    /// <summary>Tokens of the path from below the root to <paramref name="node"/>, in depth order.</summary>
    public ReadOnlySpan<int> PathTokens(int node, Span<int> buffer)
    {
        int depth = _nodes[node].Depth;
        for (int at = node; at != 0; at = _nodes[at].Parent)
        {
            buffer[_nodes[at].Depth - 1] = _nodes[at].Token;
        }

        return buffer[..depth];
    }

    /// <summary>
    /// Orders the nodes below the root by <c>a</c>, the highest first. A child never comes before its parent (its <c>a</c> is no higher,
    /// and ties go to the older node), so every leading part is connected to the root.
    /// </summary>
    public void Sort()
    {
        for (int node = 1; node < Count; node++)
        {
            // The bits of positive floats are in the order of their values.
            _order[node - 1] = ((long)~BitConverter.SingleToInt32Bits(_nodes[node].A) << 32) | (uint)node;
        }

        OrderedCount = Count - 1;
        _order.AsSpan(0, OrderedCount).Sort();
    }

    /// <summary>The <paramref name="place"/>-th node (0 the best) as of the last <see cref="Sort"/>.</summary>
    public int Ordered(int place) => (int)_order[place];
}
