using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Verification;

/// <summary>
/// Lookahead decoding's window (arXiv 2402.02057) as riders of the target's passes. It has W columns of B guessed tokens each: column j
/// stands behind j tokens of a guessed text that follows the root, so its tokens are guesses for depths j + 1 to j + B. One pass answers
/// the last of each column, depth j + B + 1: a Jacobi iteration of all of them. What a column's head, its tokens and the answer make is an
/// n-gram of <c>N = B + 2</c> tokens, which goes to the pool; the first tokens of the columns are the guessed text of the next window.
/// <code>rows = (W - 1) + W B = W (N - 1) - 1</code>
/// Riders are accepted by nobody: they cannot change the text.
/// </summary>
internal sealed class LookaheadWindow(LookaheadPool pool)
{
    private const int MostLevels = LookaheadPool.Longest - 1;

    /// <summary>2^32 over the golden ratio, odd.</summary>
    private const uint Scatter = 2654435769;

    /// <summary><c>[level, column]</c>: level 0 is the guessed text, of which column 0 is the root itself.</summary>
    private readonly int[] _tokens = new int[MostLevels * TreeVerifier.MaxNodes];

    private readonly int[] _ends = new int[TreeVerifier.MaxNodes];
    private readonly int[] _gram = new int[LookaheadPool.Longest];
    private TokenContext? _context;
    private int _columns;
    private int _levels;

    /// <summary>The window's rows of the pass to come.</summary>
    public Riders Riders { get; } = new();

    /// <summary>
    /// W and N - 1 for so many rows at most: <c>N - 1 = sqrt(rows + 1)</c> between 2 and 4. 59 rows are the paper's W = 15, N = 5.
    /// </summary>
    public static (int Columns, int Levels) Shape(int rows)
    {
        int levels = Math.Clamp((int)Math.Ceiling(Math.Sqrt(rows + 1)), 2, MostLevels);
        return ((rows + 1) / levels, levels);
    }

    /// <summary>Makes the window's rows, no more than <paramref name="rows"/>; 0: none.</summary>
    /// <param name="deepest">Tokens below the root that a rider's path may have.</param>
    public void Ride(TokenTree tree, TokenContext context, int rows, int deepest)
    {
        Riders.Clear();
        (int columns, int levels) = Shape(rows);
        columns = Math.Min(columns, deepest - levels + 2);
        if (rows == 0 || columns < 1)
        {
            return;
        }

        if (!ReferenceEquals(_context, context))
        {
            (_context, _columns, _levels) = (context, 0, 0);
        }

        Reshape(context, columns, levels);
        _tokens[0] = context.Last;
        int above = -1;
        for (int column = 0; column < columns; column++)
        {
            above = column == 0 ? -1 : Behind(tree, above, _tokens[column]);
            int end = above;
            for (int level = 1; level < levels; level++)
            {
                end = Behind(tree, end, Token(level, column));
            }

            _ends[column] = end;
        }
    }

    /// <summary>The pass is over: n-grams go to the pool, and the window moves on.</summary>
    /// <param name="answers">What the target said behind each rider; -1: nothing.</param>
    /// <param name="committed">Tokens by which the root moves on.</param>
    public void Learn(ReadOnlySpan<int> answers, int committed)
    {
        if (Riders.Count == 0)
        {
            return;
        }

        pool.Follow(_context!);
        for (int column = 0; column < _columns; column++)
        {
            int said = answers[_ends[column]];
            for (int level = 0; level < _levels; level++)
            {
                _gram[level] = Token(level, column);
            }

            _gram[_levels] = said;
            if (said >= 0)
            {
                pool.Add(_gram.AsSpan(0, _levels + 1), _columns);
            }

            // Each level becomes the one before it: its tokens are one position nearer to the root that moves on by one.
            for (int level = 0; level < _levels; level++)
            {
                Token(level, column) = _gram[level + 1] >= 0 ? _gram[level + 1] : _gram[level];
            }
        }

        // Where the root moves on by more, so do the columns; those that nothing is known of keep what they had.
        for (int column = 0; column + committed - 1 < _columns && committed > 1; column++)
        {
            for (int level = 0; level < _levels; level++)
            {
                Token(level, column) = Token(level, column + committed - 1);
            }
        }
    }

    private ref int Token(int level, int column) => ref _tokens[(level * TreeVerifier.MaxNodes) + column];

    private int Behind(TokenTree tree, int rider, int token) => rider < 0 ? Riders.Add(tree, 0, token) : Riders.AddBehind(rider, token);

    /// <summary>Columns and levels that are new begin with tokens from anywhere in the text.</summary>
    private void Reshape(TokenContext context, int columns, int levels)
    {
        for (int level = 0; level < levels; level++)
        {
            for (int column = level < _levels ? _columns : 0; column < columns; column++)
            {
                uint anywhere = (uint)((level * TreeVerifier.MaxNodes) + column + 1) * Scatter;
                Token(level, column) = context.Tokens[(int)(anywhere % (uint)context.Length)];
            }
        }

        (_columns, _levels) = (columns, levels);
    }
}
