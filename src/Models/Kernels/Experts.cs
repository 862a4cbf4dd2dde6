using Understory.Models.Tensors;

namespace Understory.Models.Kernels;

/// <summary>What a router makes of its logits.</summary>
public enum RouterScore
{
    /// <summary><c>exp(l) / sum of exp(l)</c> over all experts.</summary>
    Softmax,

    /// <summary><c>1 / (1 + exp(-l))</c></summary>
    Sigmoid,
}

/// <summary>
/// How a row's experts are chosen and weighed: the <paramref name="Used"/> largest logits, the lowest id winning a tie;
/// <c>w = score / (Renormalised ? sum of the chosen scores : 1) * Scale * ExpertScales[expert]</c>. A softmax over the chosen logits alone
/// (gpt-oss) is a renormalised one.
/// </summary>
/// <param name="ExpertScales">F32 [1, experts]; <c>Data</c> 0 for none.</param>
public readonly record struct RouterParams(
    int Used, RouterScore Score, bool Renormalised, float Scale = 1, Tensor ExpertScales = default);

/// <summary>What a gated block makes of its two products.</summary>
/// <param name="Alpha">Read where there is a limit.</param>
/// <param name="Limit">
/// 0: <c>activation(gate) * up</c>. Else <c>g / (1 + exp(-Alpha g)) * (u + 1)</c>, where <c>g = min(gate, Limit)</c> and <c>u</c> is up
/// between -Limit and Limit (gpt-oss).
/// </param>
public readonly record struct GatedUnit(Activation Activation, float Alpha = 0, float Limit = 0);

/// <summary>One matrix of every expert of a layer.</summary>
/// <param name="Matrices"><c>[outputs, inputs]</c>, of each expert.</param>
/// <param name="Bias">F32 [experts, outputs]; <c>Data</c> 0 for none.</param>
public sealed record ExpertProjection(WeightMatrix[] Matrices, Tensor Bias = default)
{
    /// <summary>Of all experts.</summary>
    public long Bytes { get; } = Matrices.Sum(matrix => matrix.Bytes);
}

/// <summary>
/// Which experts the rows of a pass go to. The pairs of a row and an expert have places: all of the first expert's rows, ascending, then
/// all of the second one's. Reused between layers and passes.
/// </summary>
/// <param name="mostExperts">Most experts of a layer.</param>
/// <param name="mostUsed">Most experts of a row.</param>
public sealed class Routing(int maxRows, int mostExperts, int mostUsed)
{
    private readonly int[] _ranked = new int[mostUsed];
    private int _experts;

    public int Rows { get; private set; }

    /// <summary>Experts of a row.</summary>
    public int Used { get; private set; }

    /// <summary><c>Rows * Used</c></summary>
    public int Places => Rows * Used;

    /// <summary><c>[Rows, Used]</c>: each row's experts, ascending.</summary>
    public int[] Experts { get; } = new int[maxRows * mostUsed];

    /// <summary><c>[Rows, Used]</c>: what each of them weighs.</summary>
    public float[] Weights { get; } = new float[maxRows * mostUsed];

    /// <summary><c>[Rows, Used]</c>: the place of each.</summary>
    public int[] PlaceOf { get; } = new int[maxRows * mostUsed];

    /// <summary><c>[Places]</c>: the row of each place.</summary>
    public int[] RowOf { get; } = new int[maxRows * mostUsed];

    /// <summary><c>[experts + 1]</c>: each expert's first place; the last entry is the number of places.</summary>
    public int[] First { get; } = new int[mostExperts + 1];

    /// <summary>Begins anew, for a layer of so many experts.</summary>
    public void Begin(int rows, int used, int experts)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, maxRows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(experts, mostExperts);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(used, Math.Min(mostUsed, experts));
        (Rows, Used, _experts) = (rows, used, experts);
    }

    /// <summary>A row's experts, by its logits alone.</summary>
    /// <param name="logits"><c>[experts]</c></param>
    /// <param name="scales">What the experts' weights are multiplied by; empty: nothing.</param>
    public void Choose(int row, ReadOnlySpan<float> logits, in RouterParams router, ReadOnlySpan<float> scales)
    {
        Span<int> chosen = Experts.AsSpan(row * Used, Used);
        Rank(logits).CopyTo(chosen);
        // Largest first: what the others are measured by.
        double largest = logits[chosen[0]];
        chosen.Sort();
        double sum = 0;
        for (int i = 0; i < Used && router.Renormalised; i++)
        {
            sum += Score(logits[chosen[i]], largest, router.Score);
        }

        for (int expert = 0; expert < logits.Length && !router.Renormalised && router.Score == RouterScore.Softmax; expert++)
        {
            sum += Score(logits[expert], largest, router.Score);
        }

        sum = sum == 0 ? 1 : sum;
        for (int i = 0; i < Used; i++)
        {
            double weight = Score(logits[chosen[i]], largest, router.Score) / sum * router.Scale;
            Weights[(row * Used) + i] = (float)(scales.IsEmpty ? weight : weight * scales[chosen[i]]);
        }
    }

    /// <summary>Gives the pairs their places, once every row has chosen.</summary>
    public void Gather()
    {
        Array.Clear(First);
        foreach (int expert in Experts.AsSpan(0, Places))
        {
            First[expert + 1]++;
        }

        for (int expert = 0; expert < _experts; expert++)
        {
            First[expert + 1] += First[expert];
        }

        // First moves along while places are given, and back again.
        for (int pair = 0; pair < Places; pair++)
        {
            int place = First[Experts[pair]]++;
            PlaceOf[pair] = place;
            RowOf[place] = pair / Used;
        }

        for (int expert = _experts; expert > 0; expert--)
        {
            First[expert] = First[expert - 1];
        }

        First[0] = 0;
    }

    private static double Score(double logit, double largest, RouterScore score) =>
        score == RouterScore.Softmax ? Math.Exp(logit - largest) : 1 / (1 + Math.Exp(-logit));

    /// <summary>The experts of the largest logits, largest first; of equal ones the lowest id first.</summary>
    private ReadOnlySpan<int> Rank(ReadOnlySpan<float> logits)
    {
        int count = 0;
        for (int expert = 0; expert < logits.Length; expert++)
        {
            if (count == Used && !(logits[expert] > logits[_ranked[count - 1]]))
            {
                continue;
            }

            int at = count == Used ? count - 1 : count++;
            for (; at > 0 && logits[expert] > logits[_ranked[at - 1]]; at--)
            {
                _ranked[at] = _ranked[at - 1];
            }

            _ranked[at] = expert;
        }

        return _ranked.AsSpan(0, Used);
    }
}
