namespace Understory.Models.Kernels;

/// <summary>
/// In which order a pass takes its rows through the recurrent layers: the same for all of them. First the rows that were accepted by an
/// earlier pass and are not applied yet, then the batch's plain rows, both on the state itself; then the tree behind them, depth first, the
/// largest subtree last, on copies of it. A row therefore goes through the very recurrence of decoding one by one, and of n rows at most
/// log2(n) + 1 copies are held. Refilled for each pass without allocation.
/// <para>
/// Nodes are the rows that are worked on: those that were kept, then those of the batch, in its order. A source is where a row's inputs
/// stand: a row of the batch, or <c>~i</c> for row i of what the cache keeps.
/// </para>
/// </summary>
public sealed class RecurrentWalk
{
    /// <summary>The buffer that is the layer's state.</summary>
    public const int State = 0;

    private readonly int _taps;
    private readonly int[] _nodeOfKept;
    private readonly int[] _parent;
    private readonly int[] _size;
    private readonly int[] _firstChild;
    private readonly int[] _nextSibling;
    private readonly int[] _pending;
    private readonly int[] _pendingBuffer;
    private int _rootChild;

    /// <param name="maxRows">Of a batch.</param>
    /// <param name="maxKept">Rows that a cache keeps.</param>
    /// <param name="taps">Width of the widest convolution.</param>
    public RecurrentWalk(int maxRows, int maxKept, int taps)
    {
        int nodes = maxRows + maxKept;
        _taps = taps;
        _nodeOfKept = new int[maxKept];
        (_parent, _size, _firstChild, _nextSibling) = (new int[nodes], new int[nodes], new int[nodes], new int[nodes]);
        (_pending, _pendingBuffer) = (new int[nodes], new int[nodes]);
        (Sources, Taps) = (new int[nodes], new int[nodes * (taps - 1)]);
        (Steps, From, To) = (new int[nodes], new int[nodes], new int[nodes]);
        Keep = new int[maxKept];
    }

    /// <summary>Nodes.</summary>
    public int Count { get; private set; }

    /// <summary>Nodes before those of the batch's rows.</summary>
    public int Earlier { get; private set; }

    /// <summary>Source of each node.</summary>
    public int[] Sources { get; }

    /// <summary><c>[Count, taps - 1]</c>: sources of the rows before each node on its own path, the oldest first.</summary>
    public int[] Taps { get; }

    /// <summary>The nodes, in the order in which they are applied.</summary>
    public int[] Steps { get; }

    /// <summary>Of each step, the buffer with the state before it.</summary>
    public int[] From { get; }

    /// <summary>Of each step, the buffer for the state behind it, perhaps the same; -1: nobody asks for that.</summary>
    public int[] To { get; }

    /// <summary>Buffers in use, the state included.</summary>
    public int Buffers { get; private set; }

    /// <summary>
    /// Sources of what is kept behind the pass, ascending by their place: row i comes from <c>Keep[i]</c>. Copied in this order nothing is
    /// overwritten that is still to be read. Where nothing is in a row, its own number stands there.
    /// </summary>
    public int[] Keep { get; }

    /// <summary>Rows kept behind the pass.</summary>
    public int KeepCount { get; private set; }

    /// <summary>Plans a pass.</summary>
    /// <param name="applied">Positions that the state is behind.</param>
    /// <param name="plain">The batch's leading rows that are no tree's; the first follows what was accepted.</param>
    /// <param name="kept">Rows that can be kept.</param>
    /// <returns>Positions that the state is behind afterwards.</returns>
    public int Plan(ForwardBatch batch, int applied, int plain, int kept)
    {
        int before = _taps - 1;
        int start = plain > 0 ? batch.Positions[0] : applied;
        int behind = start + plain;
        // Row i is that of slot i + base: taps first, which stand before the state's position.
        int oldBase = applied - before;
        int newBase = behind - before;
        Earlier = 0;
        Array.Fill(_nodeOfKept, -1, 0, kept);
        for (int position = applied; position < start; position++)
        {
            _ = AddKept(position - oldBase, Earlier - 1);
        }

        int pending = Earlier;
        for (int row = plain; row < batch.Count; row++)
        {
            AddAncestors(batch, row, oldBase, pending - 1);
        }

        Count = Earlier + batch.Count;
        KeepCount = before;
        for (int row = 0; row < batch.Count; row++)
        {
            int node = Earlier + row;
            Sources[node] = row;
            _parent[node] = row < plain ? (row == 0 ? pending - 1 : node - 1) : ParentInTree(batch, row, plain, oldBase, pending);
        }

        for (int node = 0; node < Count; node++)
        {
            FillTaps(node, before);
        }

        FillKeep(batch, plain, oldBase, newBase, start);
        FillSteps(pending, plain);
        return behind;
    }

    private int AddKept(int index, int parent)
    {
        int node = Earlier++;
        _nodeOfKept[index] = node;
        Sources[node] = ~index;
        _parent[node] = parent;
        return node;
    }

    /// <summary>Ancestors of earlier passes over the same tree become nodes once more.</summary>
    private void AddAncestors(ForwardBatch batch, int row, int oldBase, int root)
    {
        int parent = root;
        ReadOnlySpan<int> path = batch.Ancestors.AsSpan(row * batch.MaxDepth, batch.AncestorCount[row] - 1);
        foreach (int slot in path)
        {
            if (RowOfSlot(batch, slot, row) >= 0)
            {
                return;
            }

            int known = _nodeOfKept[slot - oldBase];
            parent = known >= 0 ? known : AddKept(slot - oldBase, parent);
        }
    }

    private int ParentInTree(ForwardBatch batch, int row, int plain, int oldBase, int pending)
    {
        int depth = batch.AncestorCount[row];
        if (depth == 1)
        {
            return plain > 0 ? Earlier + plain - 1 : pending - 1;
        }

        int above = batch.Ancestors[(row * batch.MaxDepth) + depth - 2];
        int parent = RowOfSlot(batch, above, row);
        return parent >= 0 ? Earlier + parent : _nodeOfKept[above - oldBase];
    }

    /// <summary>The row before <paramref name="end"/> that writes a slot; -1: none does.</summary>
    private static int RowOfSlot(ForwardBatch batch, int slot, int end) => batch.Slots.AsSpan(0, end).LastIndexOf(slot);

    private void FillTaps(int node, int before)
    {
        int above = _parent[node];
        for (int tap = before - 1; tap >= 0; tap--)
        {
            if (above >= 0)
            {
                Taps[(node * before) + tap] = Sources[above];
                above = _parent[above];
            }
            else
            {
                // -1: the last row before the state's position, -2 the one before it.
                Taps[(node * before) + tap] = ~(before + above);
                above--;
            }
        }
    }

    private void FillKeep(ForwardBatch batch, int plain, int oldBase, int newBase, int start)
    {
        for (int i = 0; i < KeepCount; i++)
        {
            int position = newBase + i;
            Keep[i] = position >= start ? position - start : ~(position - oldBase);
        }

        for (int row = plain; row < batch.Count; row++)
        {
            int index = batch.Slots[row] - newBase;
            for (; KeepCount <= index; KeepCount++)
            {
                // What an earlier pass left there stays: the state has not moved, or nobody reads it again.
                Keep[KeepCount] = ~KeepCount;
            }

            Keep[index] = row;
        }
    }

    private void FillSteps(int pending, int plain)
    {
        int steps = 0;
        for (int node = 0; node < pending; node++)
        {
            Step(node, State, State);
        }

        for (int row = 0; row < plain; row++)
        {
            Step(Earlier + row, State, State);
        }

        Buffers = 1;
        int root = plain > 0 ? Earlier + plain - 1 : pending - 1;
        SortTree(pending, plain, root);

        // A stack of subtrees: the smallest on top, so that the largest, which is done last, may take over its parent's buffer.
        int waiting = 0;
        Push(_rootChild, State);
        while (waiting > 0)
        {
            int node = _pending[--waiting];
            int from = _pendingBuffer[waiting];
            bool last = waiting == 0 || _parent[_pending[waiting - 1]] != _parent[node];
            int child = _firstChild[node];
            // Nobody waits for a buffer above the one that this subtree begins from.
            int to = child < 0 ? -1 : last && from != State ? from : from + 1;
            Step(node, from, to);
            Buffers = Math.Max(Buffers, to + 1);
            if (child >= 0)
            {
                Push(child, to);
            }
        }

        void Step(int node, int from, int to) => (Steps[steps], From[steps], To[steps++]) = (node, from, to);

        void Push(int child, int buffer)
        {
            // Siblings stand largest first: the largest is pushed first and comes last.
            for (; child >= 0; child = _nextSibling[child])
            {
                (_pending[waiting], _pendingBuffer[waiting++]) = (child, buffer);
            }
        }
    }

    /// <summary>Links the tree's nodes, siblings by the size of their subtrees, the largest first.</summary>
    private void SortTree(int pending, int plain, int root)
    {
        _rootChild = -1;
        for (int node = 0; node < Count; node++)
        {
            (_size[node], _firstChild[node], _nextSibling[node]) = (1, -1, -1);
        }

        // Children come after their parents, so from the end every size is complete when it is passed on.
        for (int node = Count - 1; node >= 0; node--)
        {
            if (InTree(node) && _parent[node] != root)
            {
                _size[_parent[node]] += _size[node];
            }
        }

        for (int node = 0; node < Count; node++)
        {
            if (!InTree(node))
            {
                continue;
            }

            int above = _parent[node];
            ref int link = ref above == root ? ref _rootChild : ref _firstChild[above];
            while (link >= 0 && _size[link] >= _size[node])
            {
                link = ref _nextSibling[link];
            }

            _nextSibling[node] = link;
            link = node;
        }

        bool InTree(int node) => node >= pending && (node < Earlier || node >= Earlier + plain);
    }
}
