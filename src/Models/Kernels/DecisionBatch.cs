using System.Runtime.InteropServices;

namespace Understory.Models.Kernels;

/// <summary>
/// The parameters of the decision rule, plain data that a kernel takes as it is. The token at absolute position <c>p</c>:
/// <code>
/// l' = logits with penalties, bias and mask applied
/// T = 0:  argmax l'                                   (lowest id wins a tie)
/// T > 0:  argmax over v in S of l'_v / T + G(seed, p, v)    S = what top_k, then top_p, then min_p keep of softmax(l' / T)
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct DecisionParams
{
    public ulong Seed;
    public uint Choice;

    /// <summary>0 is greedy.</summary>
    public float Temperature;

    /// <summary>0 keeps all.</summary>
    public int TopK;

    /// <summary>
    /// 1 keeps all. Applied to what top_k kept, renormalised: the smallest set of most probable tokens whose sum reaches it.
    /// </summary>
    public float TopP;

    /// <summary>0 keeps all. Drops tokens less probable than this fraction of the most probable one.</summary>
    public float MinP;

    /// <summary>
    /// 1 is none. Divides positive, multiplies negative logits of every token among the last <see cref="RepetitionWindow"/> of prompt and
    /// output.
    /// </summary>
    public float RepetitionPenalty;

    /// <summary>Tokens before the decided one that <see cref="RepetitionPenalty"/> looks back at; 0: all.</summary>
    public int RepetitionWindow;

    /// <summary>Subtracted once from every token in the output.</summary>
    public float PresencePenalty;

    /// <summary>Subtracted per occurrence in the output.</summary>
    public float FrequencyPenalty;

    public readonly bool HasPenalties => RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;

    /// <summary>The first position that <see cref="RepetitionPenalty"/> sees where the token at a position is decided.</summary>
    public readonly int FirstRepeated(int position) => RepetitionWindow > 0 ? position - RepetitionWindow : int.MinValue;

    public static DecisionParams Greedy => new() { TopP = 1, RepetitionPenalty = 1 };
}

/// <summary>How often and where each token stands in the prompt and in the output so far; shared by all rows of a batch.</summary>
public sealed class TokenCounts(int vocabulary)
{
    private readonly int[] _output = new int[vocabulary];

    /// <summary>One more than the last position of each token; 0: it has none.</summary>
    private readonly int[] _end = new int[vocabulary];

    private readonly int[] _distinct = new int[vocabulary];
    private int _count;

    /// <summary>Tokens of prompt and output, which stand at positions from 0 on.</summary>
    public int Total { get; private set; }

    /// <summary>Tokens that stand in the prompt or in the output, each once, in order of first appearance.</summary>
    public ReadOnlySpan<int> Distinct => _distinct.AsSpan(0, _count);

    /// <summary>Occurrences of <paramref name="token"/> in the output.</summary>
    public int InOutput(int token) => _output[token];

    /// <summary>The last position of <paramref name="token"/>; -1: it has none.</summary>
    public int Last(int token) => _end[token] - 1;

    public void Add(int token, bool output)
    {
        if (_end[token] == 0)
        {
            _distinct[_count++] = token;
        }

        _end[token] = ++Total;

        if (output)
        {
            _output[token]++;
        }
    }
}

/// <summary>
/// Rows of logits to decide and what came of it. Row <c>r</c> decides the token at absolute position <c>Positions[r]</c>.
/// Reused between passes.
/// </summary>
public sealed class DecisionBatch(int maxRows, int maxBest, int maxDepth)
{
    private ulong[]? _mask;

    public int MaxRows { get; } = maxRows;

    public int MaxBest { get; } = maxBest;

    public int MaxDepth { get; } = maxDepth;

    public DecisionParams Params { get; set; } = DecisionParams.Greedy;

    public int Rows { get; set; }

    /// <summary>Candidates wanted per row, at most <c>MaxBest</c>.</summary>
    public int Best { get; set; } = 1;

    /// <summary>Absolute position of the token that each row decides.</summary>
    public int[] Positions { get; } = new int[maxRows];

    /// <summary>Read only where <c>Params.HasPenalties</c>: the counts up to the committed prefix.</summary>
    public TokenCounts? Counts { get; set; }

    /// <summary>
    /// Read only where <c>Params.HasPenalties</c>: tokens of each row's path that <c>Counts</c> does not hold yet (all of them output),
    /// <c>[MaxRows, MaxDepth]</c>.
    /// </summary>
    public int[] Path { get; } = new int[maxRows * maxDepth];

    public int[] PathCount { get; } = new int[maxRows];

    /// <summary>Added to the logits of these tokens (after the penalties); each token at most once. -infinity bans a token.</summary>
    public int[] BiasTokens { get; set; } = [];

    public float[] BiasValues { get; set; } = [];

    /// <summary>
    /// Optional: <c>[MaxRows, MaskWords]</c> bits, token <c>v</c> allowed if bit <c>v % 64</c> of word <c>v / 64</c> is set.
    /// </summary>
    public ulong[]? Mask { get; set; }

    public int MaskWords { get; set; }

    /// <summary>
    /// Gives every row a mask of so many words, to be written with <see cref="MaskRow"/>. Memory is taken at the first use.
    /// </summary>
    public void UseMask(int words)
    {
        if (_mask is null || _mask.Length < MaxRows * words)
        {
            _mask = new ulong[MaxRows * words];
        }

        (Mask, MaskWords) = (_mask, words);
    }

    public Span<ulong> MaskRow(int row) => Mask.AsSpan(row * MaskWords, MaskWords);

    /// <summary>A token per row whose log-probability is wanted, or -1.</summary>
    public int[] Given { get; } = new int[maxRows];

    /// <summary>Out: <c>[Rows, Best]</c>, best first. Fewer than <c>Best</c> candidates are filled up with -1.</summary>
    public int[] Tokens { get; } = new int[maxRows * maxBest];

    /// <summary>Out: <c>[Rows, Best]</c>: <c>l'/T + G</c>, or <c>l'</c> at T = 0.</summary>
    public float[] Scores { get; } = new float[maxRows * maxBest];

    /// <summary>Out: <c>[Rows, Best]</c>: log softmax(l') (temperature 1, all tokens) of each candidate.</summary>
    public float[] LogProbs { get; } = new float[maxRows * maxBest];

    /// <summary>Out: log softmax(l') of <c>Given</c>.</summary>
    public float[] GivenLogProbs { get; } = new float[maxRows];
}
