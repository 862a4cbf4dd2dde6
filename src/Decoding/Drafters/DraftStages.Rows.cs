using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <content>The bookkeeping of a round: rows, the pool that they are taken from, and the guesses under them.</content>
public sealed partial class DraftStages
{
    private struct Row
    {
        public int Node;
        public int Token;
        public int ParentRow;
        public int Depth;
        public int Slot;
        public int Rank;
        public float Raw;
        public float A;
        public float Conditional;
        public Stage Stage;
        public int State;
    }

    /// <summary>A candidate of stage 1 under a node, to be scored against what the target decides there.</summary>
    private readonly record struct Guess(int Row, int Node, int Token, int Rank, float Raw, Stage Stage);

    private void FillPool(TokenTree tree, int maxDepth)
    {
        _poolCount = 0;
        for (int node = 0; node < tree.Count && _poolCount < MaxPool; node++)
        {
            if (!tree.Expanded(node) && tree.Depth(node) < maxDepth)
            {
                _pool[_poolCount++] = new Row { Node = node, Token = tree.Token(node), ParentRow = -1, Depth = tree.Depth(node), A = tree.A(node), State = tree.State(node) };
            }
        }
    }

    private Row TakeBest()
    {
        int best = 0;
        for (int i = 1; i < _poolCount; i++)
        {
            if (_pool[i].A > _pool[best].A)
            {
                best = i;
            }
        }

        Row row = _pool[best];
        _pool[best] = _pool[--_poolCount];
        return row;
    }

    private void AddGuesses(TokenTree tree, TokenContext context, int parentRow, bool stageOne)
    {
        ref readonly Row parent = ref _rows[parentRow];
        foreach (ref readonly Proposal proposal in _texts.Best(context, RowTokens(tree, parentRow), parent.State, stageOne, lookUp: stageOne))
        {
            if (_poolCount == MaxPool || _guessCount == MaxPool)
            {
                return;
            }

            float a = parent.A * proposal.Conditional;
            _guesses[_guessCount++] = new Guess(parentRow, -1, proposal.Token, proposal.Rank, proposal.Raw, proposal.Stage);
            if (a > Negligible)
            {
                _pool[_poolCount++] = new Row
                {
                    Node = -1,
                    Token = proposal.Token,
                    ParentRow = parentRow,
                    Depth = parent.Depth + 1,
                    Rank = proposal.Rank,
                    Raw = proposal.Raw,
                    A = a,
                    Conditional = proposal.Conditional,
                    Stage = proposal.Stage,
                    State = proposal.State,
                };
            }
        }
    }

    /// <summary>Forgets guesses under rows that were not taken after all.</summary>
    private void DropGuesses(int from)
    {
        int kept = from;
        for (int i = from; i < _guessCount; i++)
        {
            if (_guesses[i].Node >= 0 || _guesses[i].Row < _rowCount)
            {
                _guesses[kept++] = _guesses[i];
            }
        }

        _guessCount = kept;
    }

    /// <summary>Rows of the round have nodes now (or never will): so have the guesses under them.</summary>
    private void ResolveGuesses()
    {
        int kept = 0;
        for (int i = 0; i < _guessCount; i++)
        {
            Guess guess = _guesses[i];
            int node = guess.Node >= 0 ? guess.Node : _rows[guess.Row].Node;
            if (node >= 0)
            {
                _guesses[kept++] = guess with { Node = node };
            }
        }

        _guessCount = kept;
    }

    /// <summary>Draft slots of a row's ancestors below the root, in depth order; returns how many.</summary>
    private int PathSlots(TokenTree tree, int r, Span<int> slots)
    {
        ref readonly Row row = ref _rows[r];
        if (row.Node < 0)
        {
            int above = row.Depth - 1;
            _slots.AsSpan(row.ParentRow * (MaxDepth + 1), above).CopyTo(slots);
            return above;
        }

        for (int node = row.Node; node != 0; node = tree.Parent(node))
        {
            if (node != row.Node)
            {
                slots[tree.Depth(node) - 1] = tree.DraftSlot(node);
            }
        }

        return Math.Max(0, row.Depth - 1);
    }

    /// <summary>Tokens of a row's path below the root, its own last.</summary>
    private ReadOnlySpan<int> RowTokens(TokenTree tree, int r)
    {
        int depth = _rows[r].Depth;
        while (_rows[r].Node < 0)
        {
            _path[_rows[r].Depth - 1] = _rows[r].Token;
            r = _rows[r].ParentRow;
        }

        _ = tree.PathTokens(_rows[r].Node, _path);
        return _path.AsSpan(0, depth);
    }
}
