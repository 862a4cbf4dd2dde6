namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>The first line of the decision rule, the same code for every CPU set: <c>l' = logits with penalties, bias and mask applied</c>.</summary>
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
            Penalise(decision.Params, decision.Counts, decision.Path.AsSpan(row * decision.MaxDepth, decision.PathCount[row]), logits, changed);
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

    private static void Penalise(in DecisionParams rule, TokenCounts counts, ReadOnlySpan<int> path, ReadOnlySpan<float> logits, Span<float> changed)
    {
        foreach (int token in counts.Distinct)
        {
            changed[token] = Penalised(rule, logits[token], counts.InOutput(token));
        }

        for (int i = 0; i < path.Length; i++)
        {
            int token = path[i];
            changed[token] = Penalised(rule, logits[token], counts.InOutput(token) + path.Count(token));
        }
    }

    private static float Penalised(in DecisionParams rule, float logit, int inOutput)
    {
        logit = logit > 0 ? logit / rule.RepetitionPenalty : logit * rule.RepetitionPenalty;
        return inOutput > 0 ? logit - rule.PresencePenalty - (rule.FrequencyPenalty * inOutput) : logit;
    }

    private static void Ban(ReadOnlySpan<ulong> mask, Span<float> changed)
    {
        for (int token = 0; token < changed.Length; token++)
        {
            int word = token >> 6;
            if (word >= mask.Length || (mask[word] >> (token & 63) & 1) == 0)
            {
                changed[token] = float.NegativeInfinity;
            }
        }
    }
}
