using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>
/// The n-grams that the target itself gave behind rows of guessed text (arXiv 2402.02057): where a text comes to the beginning of one, the
/// rest is proposed. Of each first token the last few are kept. Empty while nobody looks ahead.
/// </summary>
internal sealed class LookaheadPool : IProposalSource
{
    /// <summary>Tokens of the longest n-gram. The paper's choice for every model that it tries.</summary>
    public const int Longest = 5;

    /// <summary>Most n-grams of one first token. Chosen: twice as many as are proposed for one place.</summary>
    public const int MostAlike = 8;

    /// <summary>Sets of n-grams; first tokens that share one drive each other out. Chosen: an answer's worth of different tokens.</summary>
    private const int Sets = 1024;

    /// <summary>2^32 over the golden ratio, odd.</summary>
    private const uint Scatter = 2654435769;

    /// <summary><c>[set, place, token]</c></summary>
    private readonly int[] _tokens = new int[Sets * MostAlike * Longest];

    /// <summary><c>[set, place]</c>: tokens of the n-gram; 0: none.</summary>
    private readonly byte[] _lengths = new byte[Sets * MostAlike];

    /// <summary><c>[set]</c>: where the next one goes.</summary>
    private readonly byte[] _next = new byte[Sets];
    private TokenContext? _context;
    private bool _isEmpty = true;

    public Reach Reach => Reach.LookedUp;

    public void Propose(in Place place, Proposals proposals)
    {
        Follow(place.Context);
        int rank = 0;
        for (int known = Longest - 1; known > 0 && !_isEmpty; known--)
        {
            if (known <= place.Context.Length + place.Path.Length)
            {
                rank = Propose(place, known, rank, proposals);
            }
        }
    }

    /// <summary>Forgets the n-grams of another answer.</summary>
    public void Follow(TokenContext context)
    {
        if (!ReferenceEquals(_context, context))
        {
            _context = context;
            _isEmpty = true;
            Array.Clear(_lengths);
            Array.Clear(_next);
        }
    }

    /// <summary>Keeps an n-gram; one that differs in its last token only gives way to it.</summary>
    /// <param name="gram">2 to <see cref="Longest"/> tokens.</param>
    /// <param name="alike">Most n-grams of one first token, up to <see cref="MostAlike"/>.</param>
    public void Add(ReadOnlySpan<int> gram, int alike)
    {
        int set = SetOf(gram[0]);
        int place = 0;
        while (place < MostAlike && !(Gram(set, place).Length == gram.Length && Gram(set, place).StartsWith(gram[..^1])))
        {
            place++;
        }

        if (place == MostAlike)
        {
            place = _next[set] % Math.Min(alike, MostAlike);
            _next[set] = (byte)((place + 1) % Math.Min(alike, MostAlike));
        }

        gram.CopyTo(_tokens.AsSpan(((set * MostAlike) + place) * Longest));
        _lengths[(set * MostAlike) + place] = (byte)gram.Length;
        _isEmpty = false;
    }

    /// <summary>Proposes what follows the first <paramref name="known"/> tokens of an n-gram, where those are the latest ones.</summary>
    /// <returns>The rank of the next proposal.</returns>
    private int Propose(in Place place, int known, int rank, Proposals proposals)
    {
        Span<int> latest = stackalloc int[known];
        for (int i = 0; i < known; i++)
        {
            int behind = place.Path.Length - known + i;
            latest[i] = behind >= 0 ? place.Path[behind] : place.Context.Tokens[^-behind];
        }

        int set = SetOf(latest[0]);
        for (int i = 0; i < MostAlike; i++)
        {
            // The last one that came first.
            ReadOnlySpan<int> gram = Gram(set, (_next[set] + MostAlike - 1 - i) % MostAlike);
            if (gram.Length > known && gram.StartsWith(latest))
            {
                // The more tokens agree, and the newer it is, the likelier; calibration knows better.
                proposals.Add(gram[known], Stage.Lookahead, rank, (1 - MathF.Pow(0.7f, known)) / (1 + rank));
                rank++;
            }
        }

        return rank;
    }

    private ReadOnlySpan<int> Gram(int set, int place)
    {
        int at = (set * MostAlike) + place;
        return _tokens.AsSpan(at * Longest, _lengths[at]);
    }

    private static int SetOf(int token) => (int)((uint)token * Scatter >> 22);
}
