using System.Numerics;

namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>
/// The first line of the decision rule, the same code for every CPU set: <c>l' = logits with penalties, bias and mask applied</c>.
/// </summary>
internal static class DecisionLogits
{
    /// <summary>Whether <c>l'</c> differs from the logits at all.</summary>
    public static bool Changes(DecisionBatch decision) =>
        decision.BiasTokens.Length > 0 || decision.Mask is not null || (decision.Params.HasPenalties && decision.Counts is not null);

    /// <summary>Writes <c>l'</c> of one row over a copy of its logits.</summary>
    public static void Apply(DecisionBatch decision, int row, ReadOnlySpan<float> logits, Span<float> changed)
    {
        logits.CopyTo(changed);
        if (decision.Params.HasPenalties && decision.Counts is not null)
        {
            Penalise(decision.Params, decision.Counts, decision.Path.AsSpan(row * decision.MaxDepth, decision.PathCount[row]), logits,
                changed);
        }

        for (int i = 0; i < decision.BiasTokens.Length; i++)
        {
            changed[decision.BiasTokens[i]] += decision.BiasValues[i];
        }

        if (decision.Mask is not null)
        {
            Ban(decision.Mask.AsSpan(row * decision.MaskWords, decision.MaskWords), changed);
        }
    }

    /// <summary>
    /// <c>l'_v = R(l_v) - presence - frequency * c(v)</c>, the latter two where <c>c(v) &gt; 0</c>: occurrences of <c>v</c> in the output.
    /// <c>R(l) = l / r</c> or, of a negative one, <c>l r</c>, where <c>v</c> stands in the window that ends before the decided token, else
    /// <c>l</c>. The window slides along the row's own path.
    /// </summary>
    private static void Penalise(in DecisionParams rule, TokenCounts counts, ReadOnlySpan<int> path, ReadOnlySpan<float> logits,
        Span<float> changed)
    {
        int first = rule.FirstRepeated(counts.Total + path.Length);
        foreach (int token in counts.Distinct)
        {
            changed[token] = Penalised(rule, logits[token], counts.Last(token) >= first, counts.InOutput(token));
        }

        // Of several occurrences on the path the last one decides, and is written last.
        for (int i = 0; i < path.Length; i++)
        {
            int token = path[i];
            changed[token] = Penalised(rule, logits[token], counts.Total + i >= first, counts.InOutput(token) + path.Count(token));
        }
    }

    private static float Penalised(in DecisionParams rule, float logit, bool repeated, int inOutput)
    {
        logit = !repeated ? logit : logit > 0 ? logit / rule.RepetitionPenalty : logit * rule.RepetitionPenalty;
        return inOutput > 0 ? logit - rule.PresencePenalty - (rule.FrequencyPenalty * inOutput) : logit;
    }

    private static void Ban(ReadOnlySpan<ulong> mask, Span<float> changed)
    {
        for (int first = 0; first < changed.Length; first += 64)
        {
            Span<float> tokens = changed[first..Math.Min(first + 64, changed.Length)];
            ulong allowed = first >> 6 < mask.Length ? mask[first >> 6] : 0;
            if (allowed == 0)
            {
                tokens.Fill(float.NegativeInfinity);
                continue;
            }

            // Most masks allow nearly all tokens, or nearly none.
            for (ulong banned = ~allowed; banned != 0 && BitOperations.TrailingZeroCount(banned) < tokens.Length; banned &= banned - 1)
            {
                tokens[BitOperations.TrailingZeroCount(banned)] = float.NegativeInfinity;
            }
        }
    }
}
