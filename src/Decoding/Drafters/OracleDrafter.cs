using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding.Drafters;

/// <summary>
/// A drafter for measurements: it pays for a real draft model's passes, but knows the tokens that plain decoding chose and ranks the
/// right one first, second, ... with given cumulative frequencies. Its candidates are verified like any others. It shows what an
/// acceptance is worth on a machine, never what a model attains.
/// </summary>
public sealed class OracleDrafter : ModelDrafter
{
    private readonly float[] _cumulative;
    private int[] _truth = [];

    /// <param name="cumulativePercent">Percent of positions where the right token is among the first 1, 2, ... candidates.</param>
    public OracleDrafter(Transformer cost, int branch, int maxDepth, IReadOnlyList<float> cumulativePercent)
        : base(cost, branch, maxDepth)
    {
        for (int i = 0; i < cumulativePercent.Count; i++)
        {
            if (cumulativePercent[i] is < 0 or > 100 || (i > 0 && cumulativePercent[i] < cumulativePercent[i - 1]))
            {
                throw new ArgumentException("The percentages must rise from 0 to 100 at most, as in 60,79,82,85.",
                    nameof(cumulativePercent));
            }
        }

        _cumulative = [.. cumulativePercent.Take(branch).Select(percent => percent / 100)];
    }

    /// <summary>Prompt and answer of the plain run.</summary>
    public void Reveal(ReadOnlySpan<int> tokens) => _truth = tokens.ToArray();

    protected override void Rank(TokenContext context, DecisionBatch decision)
    {
        for (int row = 0; row < decision.Rows; row++)
        {
            Span<int> tokens = decision.Tokens.AsSpan(row * Branch, Branch);
            int right = RightToken(context, decision, row);
            int place = right < 0 ? -1 : Place(decision.Positions[row]);
            int known = tokens.IndexOf(right);
            if (known >= 0 && known != place)
            {
                // The model itself had it: that place goes to a token that is wrong.
                tokens[known] = WrongToken(tokens, right);
            }

            if (place >= 0)
            {
                tokens[place] = right;
            }

            for (int rank = 0; rank < Branch; rank++)
            {
                float share = rank >= _cumulative.Length ? 0.005f : _cumulative[rank] - (rank > 0 ? _cumulative[rank - 1] : 0);
                decision.LogProbs[(row * Branch) + rank] = decision.Scores[(row * Branch) + rank] = MathF.Log(Math.Max(share, 0.005f));
            }
        }
    }

    /// <summary>The plain run's token after the row's path; -1 off that path or beyond its end.</summary>
    private int RightToken(TokenContext context, DecisionBatch decision, int row)
    {
        int position = decision.Positions[row];
        ReadOnlySpan<int> path = decision.Path.AsSpan(row * decision.MaxDepth, decision.PathCount[row]);
        return position < _truth.Length && _truth.AsSpan(context.Length, path.Length).SequenceEqual(path) ? _truth[position] : -1;
    }

    /// <summary>Where the right token of a position stands; the same whenever it is asked.</summary>
    private int Place(int position)
    {
        var (x, _, _, _) = GumbelNoise.Philox(0x0AC1E, (uint)position, (uint)_truth.Length, 0);
        float u = x / 4294967296f;
        for (int rank = 0; rank < _cumulative.Length; rank++)
        {
            if (u < _cumulative[rank])
            {
                return rank;
            }
        }

        return -1;
    }

    private static int WrongToken(ReadOnlySpan<int> taken, int right)
    {
        int token = 0;
        while (token == right || taken.Contains(token))
        {
            token++;
        }

        return token;
    }
}
