using Understory.Models.Kernels;

namespace Understory.Decoding.Drafters;

/// <summary>What a decision over a drafter's logits says of the tokens that it proposes.</summary>
internal static class DraftCandidates
{
    /// <summary>
    /// The candidates of a row, best first, and their probabilities: greedy those of the model, else the softmax of <c>l / T + G</c> over
    /// the candidates, since the target draws with the same noise.
    /// </summary>
    /// <returns>How many there are.</returns>
    public static int Read(DecisionBatch decision, int row, int branch, bool greedy, Span<int> tokens, Span<float> probabilities)
    {
        int first = row * branch;
        int count = 0;
        float sum = 0;
        for (; count < branch && decision.Tokens[first + count] >= 0 && float.IsFinite(decision.LogProbs[first + count]); count++)
        {
            tokens[count] = decision.Tokens[first + count];
            probabilities[count] = greedy
                ? MathF.Exp(decision.LogProbs[first + count])
                : MathF.Exp(decision.Scores[first + count] - decision.Scores[first]);
            sum += probabilities[count];
        }

        for (int i = 0; i < count && !greedy; i++)
        {
            probabilities[i] /= sum;
        }

        return count;
    }
}
