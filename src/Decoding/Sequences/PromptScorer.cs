using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Sequences;

/// <summary>
/// The log-probabilities of a prompt's own tokens, chunk by chunk as it is prefilled. They are the model's own: no penalty and no bias,
/// which speak of the answer. A token has the bits that decoding it in this place would have given it.
/// </summary>
/// <param name="maxRows">Most rows of a chunk.</param>
internal sealed class PromptScorer(IKernels kernels, int maxRows, int maxAlternatives)
{
    // Prompts are seldom scored: no memory is taken before one is.
    private DecisionBatch? _decision;

    /// <param name="logits">Row r decides the token behind position <paramref name="from"/> + r.</param>
    public void Score(Tensor logits, Sequence sequence, int from)
    {
        DecisionBatch decision = _decision ??= new DecisionBatch(maxRows, maxAlternatives, 1);
        int alternatives = Math.Max(0, sequence.Request.TopLogProbs);
        ReadOnlySpan<int> tokens = sequence.Context.Tokens;
        decision.Params = DecisionParams.Greedy;
        decision.Best = Math.Max(1, alternatives);
        decision.Rows = logits.Rows;
        for (int row = 0; row < decision.Rows; row++)
        {
            decision.Positions[row] = from + row + 1;
            decision.PathCount[row] = 0;
            decision.Given[row] = tokens[from + row + 1];
        }

        kernels.Decide(logits, decision);
        for (int row = 0; row < decision.Rows; row++)
        {
            var top = new (int, float)[alternatives];
            for (int rank = 0; rank < alternatives; rank++)
            {
                int at = (row * decision.MaxBest) + rank;
                top[rank] = (decision.Tokens[at], decision.LogProbs[at]);
            }

            sequence.Scored(new TokenLogProb(decision.Given[row], decision.GivenLogProbs[row], top, 0));
        }
    }
}
