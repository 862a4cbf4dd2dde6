using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>
/// The decision rule as it is written (see <see cref="DecisionParams"/>): sort everything, double precision, no shortcut.
/// </summary>
internal sealed class ReferenceDecision
{
    private float[] _logits = [];
    private double[] _scores = [];
    private int[] _order = [];
    private readonly Comparison<int> _bestFirst;

    public ReferenceDecision()
    {
        _bestFirst = (a, b) => _scores[a] != _scores[b] ? _scores[b].CompareTo(_scores[a]) : a.CompareTo(b);
    }

    public void Decide(Tensor logits, DecisionBatch decision)
    {
        if (_logits.Length < logits.Columns)
        {
            _logits = new float[logits.Columns];
            _scores = new double[logits.Columns];
            _order = new int[logits.Columns];
        }

        for (int r = 0; r < decision.Rows; r++)
        {
            Span<float> changed = _logits.AsSpan(0, logits.Columns);
            DecisionLogits.Apply(decision, r, logits.Floats(r), changed);
            foreach (ref float logit in changed)
            {
                logit = float.IsNaN(logit) ? float.NegativeInfinity : MathF.Min(logit, float.MaxValue);
            }

            Decide(changed, r, decision);
        }
    }

    private void Decide(ReadOnlySpan<float> logits, int row, DecisionBatch decision)
    {
        DecisionParams rule = decision.Params;
        double normaliser = LogSumExp(logits);
        float temperature = rule.Temperature;
        int count = 0;
        for (int v = 0; v < logits.Length; v++)
        {
            _scores[v] = temperature > 0 ? logits[v] / (double)temperature : logits[v];
            if (logits[v] != float.NegativeInfinity)
            {
                _order[count++] = v;
            }
        }

        _order.AsSpan(0, count).Sort(_bestFirst);
        if (temperature > 0)
        {
            count = Keep(rule, count);
            foreach (int v in _order.AsSpan(0, count))
            {
                _scores[v] += GumbelNoise.Exact(rule.Seed, decision.Positions[row], v, rule.Choice);
            }

            _order.AsSpan(0, count).Sort(_bestFirst);
        }

        for (int i = 0; i < decision.Best; i++)
        {
            int at = (row * decision.MaxBest) + i;
            int token = i < count ? _order[i] : -1;
            decision.Tokens[at] = token;
            decision.Scores[at] = token < 0 ? float.NegativeInfinity : (float)_scores[token];
            decision.LogProbs[at] = token < 0 ? float.NegativeInfinity : (float)(logits[token] - normaliser);
        }

        int given = decision.Given[row];
        decision.GivenLogProbs[row] = given < 0 ? 0 : (float)(logits[given] - normaliser);
    }

    /// <summary>How many of the sorted tokens top_k, then top_p, then min_p keep.</summary>
    private int Keep(in DecisionParams rule, int count)
    {
        if (count == 0)
        {
            return 0;
        }

        int kept = rule.TopK > 0 ? Math.Min(rule.TopK, count) : count;
        double best = _scores[_order[0]];
        if (rule.TopP < 1)
        {
            double total = 0;
            for (int i = 0; i < kept; i++)
            {
                total += Math.Exp(_scores[_order[i]] - best);
            }

            double sum = 0;
            int i2 = 0;
            while (i2 < kept && (i2 == 0 || sum < rule.TopP * total))
            {
                sum += Math.Exp(_scores[_order[i2++]] - best);
            }

            kept = i2;
        }

        if (rule.MinP > 0)
        {
            while (kept > 1 && _scores[_order[kept - 1]] - best < Math.Log(rule.MinP))
            {
                kept--;
            }
        }

        return kept;
    }

    private static double LogSumExp(ReadOnlySpan<float> logits)
    {
        double max = double.NegativeInfinity;
        foreach (float logit in logits)
        {
            max = Math.Max(max, logit);
        }

        double sum = 0;
        foreach (float logit in logits)
        {
            sum += max == double.NegativeInfinity ? 0 : Math.Exp(logit - max);
        }

        return max + Math.Log(sum);
    }
}
