using Understory.Models.Kernels;

namespace Understory.Decoding.Sampling;

/// <summary>
/// The committed tokens of one sequence, prompt and output, and what the decision rule needs to know of them. Target and drafters
/// read the same one.
/// </summary>
public sealed class TokenContext
{
    private readonly int[] _tokens;
    private readonly TokenCounts? _counts;
    private readonly int[] _biasTokens;
    private readonly float[] _biasValues;

    /// <param name="capacity">Most tokens, prompt and output.</param>
    public TokenContext(ReadOnlySpan<int> prompt, SamplingParams sampling, int vocabulary, int capacity)
    {
        _tokens = new int[capacity];
        prompt.CopyTo(_tokens);
        Length = PromptLength = prompt.Length;
        Decision = sampling.ToDecision();
        var bias = sampling.LogitBias ?? new Dictionary<int, float>();
        _biasTokens = [.. bias.Keys];
        _biasValues = [.. bias.Values];
        if (Decision.HasPenalties)
        {
            _counts = new TokenCounts(vocabulary);
            foreach (int token in prompt)
            {
                _counts.Add(token, output: false);
            }
        }
    }

    public DecisionParams Decision { get; }

    public bool Greedy => Decision.Temperature == 0;

    public int PromptLength { get; }

    /// <summary>Committed tokens. The successor of the last one is what the next step decides.</summary>
    public int Length { get; private set; }

    public int Capacity => _tokens.Length;

    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    public int Last => _tokens[Length - 1];

    public void Append(int token)
    {
        _tokens[Length++] = token;
        _counts?.Add(token, output: true);
    }

    /// <summary>Sets all of <paramref name="decision"/> that does not depend on its rows.</summary>
    public void Describe(DecisionBatch decision, int best)
    {
        decision.Params = Decision;
        decision.Best = best;
        decision.Counts = _counts;
        decision.BiasTokens = _biasTokens;
        decision.BiasValues = _biasValues;
        decision.Mask = null;
    }
}
