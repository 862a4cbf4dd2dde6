using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>
/// A row of a draft round: a node whose children are not known yet, or a guess of what the draft will say under another row.
/// </summary>
internal struct Row
{
    /// <summary>-1: a guess, which has no node until the draft confirms it.</summary>
    public int Node;

    /// <summary>Of a guess: the row that it stands under.</summary>
    public int ParentRow;
    public int Depth;

    /// <summary>Draft slot; -1: the root, which is no tree row.</summary>
    public int Slot;

    /// <summary>Estimated probability that the target's path passes through it.</summary>
    public float A;

    /// <summary>Of a guess: what was proposed. Of a node: its token and state.</summary>
    public Proposal Proposal;
}

/// <summary>A proposal under a node, to be scored against what the target decides there. While it has no node it names its row.</summary>
internal readonly record struct Guess(int Row, int Node, Proposal Proposal);

/// <summary>The rows of the round in hand, the pool that they are taken from, and the guesses under them.</summary>
/// <param name="maxRows">Most rows of a round, the root included.</param>
/// <param name="maxDepth">Deepest node of a tree.</param>
internal sealed class Frontier(int maxRows, int maxDepth)
{
    /// <summary>Nodes and guesses that wait. Chosen: eight times the widest round.</summary>
    private const int MaxPool = 256;

    private readonly Row[] _rows = new Row[maxRows];
    private readonly Row[] _pool = new Row[MaxPool];
    private readonly Guess[] _guesses = new Guess[MaxPool];
    private readonly int[] _slots = new int[maxRows * (maxDepth + 1)];
    private readonly int[] _path = new int[maxDepth + 1];
    private int _poolCount;

    public int RowCount { get; private set; }

    public int GuessCount { get; private set; }

    public bool IsEmpty => _poolCount == 0;

    public ReadOnlySpan<Guess> Guesses => _guesses.AsSpan(0, GuessCount);

    public ref Row this[int row] => ref _rows[row];

    /// <summary>Starts a step: no guesses yet.</summary>
    public void Clear() => GuessCount = 0;

    /// <summary>Starts a round: nodes that the draft can expand wait, no row is taken.</summary>
    public void Begin(TokenTree tree, int deepest)
    {
        RowCount = 0;
        _poolCount = 0;
        for (int node = 0; node < tree.Count && _poolCount < MaxPool; node++)
        {
            // Under a node that the draft has not seen itself there is nothing for it to go on from.
            int parent = tree.Parent(node);
            if (!tree.Expanded(node) && tree.Depth(node) < deepest && (parent <= 0 || tree.DraftSlot(parent) >= 0))
            {
                var known = new Proposal(tree.Token(node), tree.Stage(node), tree.Rank(node), tree.Raw(node), 1, tree.State(node));
                _pool[_poolCount++] = new Row { Node = node, ParentRow = -1, Depth = tree.Depth(node), A = tree.A(node), Proposal = known };
            }
        }
    }

    /// <summary>The likeliest of those that wait becomes the last row.</summary>
    public ref Row TakeBest()
    {
        int best = 0;
        for (int i = 1; i < _poolCount; i++)
        {
            if (_pool[i].A > _pool[best].A)
            {
                best = i;
            }
        }

        ref Row row = ref _rows[RowCount++];
        row = _pool[best];
        _pool[best] = _pool[--_poolCount];
        return ref row;
    }

    /// <summary>
    /// Something is proposed under a row: it will be scored, and it waits to become a row itself unless it is negligible.
    /// </summary>
    /// <param name="asRow">False: it will be no row of this round.</param>
    public void AddGuess(int parentRow, in Proposal proposal, float negligible, bool asRow)
    {
        if (_poolCount == MaxPool || GuessCount == MaxPool)
        {
            return;
        }

        ref readonly Row parent = ref _rows[parentRow];
        float a = parent.A * proposal.Conditional;
        _guesses[GuessCount++] = new Guess(parentRow, -1, proposal);
        if (asRow && a > negligible)
        {
            _pool[_poolCount++] = new Row { Node = -1, ParentRow = parentRow, Depth = parent.Depth + 1, A = a, Proposal = proposal };
        }
    }

    /// <summary>Something is proposed under a node that no round expands.</summary>
    public void AddGuessAt(int node, in Proposal proposal)
    {
        if (GuessCount < MaxPool)
        {
            _guesses[GuessCount++] = new Guess(-1, node, proposal);
        }
    }

    /// <summary>Keeps the first rows, and forgets the guesses under the others.</summary>
    public void Keep(int rows, int guessFrom)
    {
        RowCount = rows;
        int kept = guessFrom;
        for (int i = guessFrom; i < GuessCount; i++)
        {
            if (_guesses[i].Node >= 0 || _guesses[i].Row < RowCount)
            {
                _guesses[kept++] = _guesses[i];
            }
        }

        GuessCount = kept;
    }

    /// <summary>Rows of the round have nodes now (or never will): so have the guesses under them.</summary>
    public void Resolve()
    {
        int kept = 0;
        for (int i = 0; i < GuessCount; i++)
        {
            Guess guess = _guesses[i];
            int node = guess.Node >= 0 ? guess.Node : _rows[guess.Row].Node;
            if (node >= 0)
            {
                _guesses[kept++] = guess with { Node = node };
            }
        }

        GuessCount = kept;
    }

    /// <summary>Gives a row its slot behind those of its ancestors.</summary>
    public void SetSlot(int row, int slot)
    {
        _rows[row].Slot = slot;
        if (_rows[row].Depth > 0)
        {
            _slots[(row * (maxDepth + 1)) + _rows[row].Depth - 1] = slot;
        }
    }

    /// <summary>Draft slots of a row's ancestors below the root, in depth order. Those of rows before it have to be set.</summary>
    public ReadOnlySpan<int> PathSlots(TokenTree tree, int row)
    {
        Span<int> slots = _slots.AsSpan(row * (maxDepth + 1), Math.Max(0, _rows[row].Depth - 1));
        if (_rows[row].Node < 0)
        {
            _slots.AsSpan(_rows[row].ParentRow * (maxDepth + 1), slots.Length).CopyTo(slots);
            return slots;
        }

        for (int node = _rows[row].Node; tree.Depth(node) > 1;)
        {
            node = tree.Parent(node);
            slots[tree.Depth(node) - 1] = tree.DraftSlot(node);
        }

        return slots;
    }

    /// <summary>Tokens of a row's path below the root, its own last.</summary>
    public ReadOnlySpan<int> PathTokens(TokenTree tree, int row)
    {
        int depth = _rows[row].Depth;
        while (_rows[row].Node < 0)
        {
            _path[_rows[row].Depth - 1] = _rows[row].Proposal.Token;
            row = _rows[row].ParentRow;
        }

        _ = tree.PathTokens(_rows[row].Node, _path);
        return _path.AsSpan(0, depth);
    }
}
