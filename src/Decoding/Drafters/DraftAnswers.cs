using Understory.Decoding.Sampling;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Drafters;

/// <summary>
/// What a drafter's pass decides, by the target's own rule: a token for each answer, which stands behind a path below the root.
/// </summary>
/// <param name="most">Answers of a pass.</param>
/// <param name="branch">Candidates per answer.</param>
/// <param name="maxPath">Longest path in tokens.</param>
internal sealed class DraftAnswers(int most, int branch, int maxPath)
{
    /// <summary>Where a path stands in the constraint is not known: every token may follow.</summary>
    public const int AnyState = -2;

    private readonly DecisionBatch _decision = new(most, branch, maxPath);
    private readonly int[] _states = new int[most];
    private readonly int[] _unknown = new int[most];

    public int Branch => branch;

    public int Count => _decision.Rows;

    public void Clear() => _decision.Rows = 0;

    /// <param name="path">Tokens below the root.</param>
    /// <param name="state">Of the constraint behind them.</param>
    /// <param name="unknown">Tokens between the path and the one that is decided.</param>
    /// <returns>Its number.</returns>
    public int Add(ReadOnlySpan<int> path, int state, int unknown = 0)
    {
        int answer = _decision.Rows++;
        path.CopyTo(_decision.Path.AsSpan(answer * _decision.MaxDepth));
        _decision.PathCount[answer] = path.Length;
        _states[answer] = state;
        _unknown[answer] = unknown;
        return answer;
    }

    /// <param name="logits">F32 <c>[Count, vocabulary]</c>, by the target's ids.</param>
    /// <returns>The decision, whose candidates may be changed.</returns>
    public DecisionBatch Decide(IKernels kernels, Tensor logits, TokenContext context)
    {
        context.Describe(_decision, branch);
        for (int answer = 0; answer < _decision.Rows; answer++)
        {
            _decision.Positions[answer] = context.Length + _decision.PathCount[answer] + _unknown[answer];
            _decision.Given[answer] = -1;
            if (context.Matcher is not null && _states[answer] == AnyState)
            {
                _decision.MaskRow(answer).Fill(ulong.MaxValue);
            }
            else
            {
                context.Matcher?.CopyMask(_states[answer], _decision, answer);
            }
        }

        kernels.Decide(logits, _decision);
        return _decision;
    }

    /// <summary>A candidate's token.</summary>
    public int Token(int answer, int rank) => _decision.Tokens[(answer * branch) + rank];

    /// <summary>
    /// The candidates of an answer, best first, and their probabilities: greedy those of the model, else the softmax of <c>l / T + G</c>
    /// over the candidates, since the target draws with the same noise.
    /// </summary>
    /// <returns>How many there are.</returns>
    public int Candidates(int answer, bool greedy, Span<int> tokens, Span<float> probabilities)
    {
        int first = answer * branch;
        int count = 0;
        float sum = 0;
        for (; count < branch && _decision.Tokens[first + count] >= 0 && float.IsFinite(_decision.LogProbs[first + count]); count++)
        {
            tokens[count] = _decision.Tokens[first + count];
            probabilities[count] = greedy
                ? MathF.Exp(_decision.LogProbs[first + count])
                : MathF.Exp(_decision.Scores[first + count] - _decision.Scores[first]);
            sum += probabilities[count];
        }

        for (int i = 0; i < count && !greedy; i++)
        {
            probabilities[i] /= sum;
        }

        return count;
    }
}
