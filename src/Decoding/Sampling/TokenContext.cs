using Understory.Decoding.Constraints.Matching;
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
    private readonly TokenBias _bias;
    private readonly TokenBias? _firstBias;

    /// <param name="capacity">Most tokens, prompt and output.</param>
    public TokenContext(ReadOnlySpan<int> prompt, SamplingParams sampling, int vocabulary, int capacity)
        : this(prompt, sampling, vocabulary, capacity, null)
    {
    }

    /// <param name="matcher">Follows the request's constraint; null: there is none.</param>
    /// <param name="suppressed">Tokens that are never chosen; null: none.</param>
    /// <param name="suppressedFirst">Tokens that are not chosen behind the prompt; null: none.</param>
    internal TokenContext(ReadOnlySpan<int> prompt, SamplingParams sampling, int vocabulary, int capacity, ConstraintMatcher? matcher,
        IReadOnlyList<int>? suppressed = null, IReadOnlyList<int>? suppressedFirst = null)
    {
        Matcher = matcher;
        State = matcher?.Start ?? 0;
        _tokens = new int[capacity];
        prompt.CopyTo(_tokens);
        Length = PromptLength = prompt.Length;
        Decision = sampling.ToDecision();
        int[] never = [.. (suppressed ?? []).Where(token => (uint)token < (uint)vocabulary)];
        int[] notFirst = [.. (suppressedFirst ?? []).Where(token => (uint)token < (uint)vocabulary)];
        _bias = TokenBias.Of(sampling.LogitBias, never);
        _firstBias = notFirst.Length > 0 ? TokenBias.Of(sampling.LogitBias, [.. never, .. notFirst]) : null;
        if (Decision.HasPenalties)
        {
            _counts = new TokenCounts(vocabulary);
            foreach (int token in prompt)
            {
                _counts.Add(token, output: false);
            }
        }
    }

    /// <summary>The answer that the request predicts; none: empty.</summary>
    public int[] Prediction { get; init; } = [];

    public DecisionParams Decision { get; }

    public bool Greedy => Decision.Temperature == 0;

    public int PromptLength { get; }

    /// <summary>Committed tokens. The successor of the last one is what the next step decides.</summary>
    public int Length { get; private set; }

    public int Capacity => _tokens.Length;

    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    public int Last => _tokens[Length - 1];

    /// <summary>Follows the request's constraint; null: there is none.</summary>
    internal ConstraintMatcher? Matcher { get; }

    /// <summary>Where the committed text stands in the constraint; 0 without one.</summary>
    internal int State { get; private set; }

    /// <summary>What is decided next has a rule of its own, which no guess of what comes behind it shares.</summary>
    internal bool IsDecidedAlone => _firstBias is not null && Length == PromptLength;

    /// <summary>Nothing but the end may follow.</summary>
    internal bool IsOver => Matcher is not null && Matcher.IsOver(State);

    /// <summary>
    /// The constraint's state after a token: 0 without a constraint, <see cref="ConstraintMatcher.Dead"/> where it may not follow.
    /// </summary>
    internal int StateAfter(int state, int token) => Matcher is null ? 0 : Matcher.Advance(state, token);

    public void Append(int token)
    {
        // A token that ends the answer leads nowhere, and nothing follows it.
        int state = StateAfter(State, token);
        State = state == ConstraintMatcher.Dead ? State : state;
        _tokens[Length++] = token;
        _counts?.Add(token, output: true);
    }

    /// <summary>Sets all of <paramref name="decision"/> that does not depend on its rows.</summary>
    public void Describe(DecisionBatch decision, int best)
    {
        decision.Params = Decision;
        decision.Best = best;
        decision.Counts = _counts;
        TokenBias bias = IsDecidedAlone ? _firstBias! : _bias;
        decision.BiasTokens = bias.Tokens;
        decision.BiasValues = bias.Values;
        if (Matcher is null)
        {
            decision.Mask = null;
        }
        else
        {
            // Its rows are written by whoever knows their states.
            decision.UseMask(Matcher.Words);
        }
    }

    /// <summary>What is added to logits: each token comes once.</summary>
    private sealed record TokenBias(int[] Tokens, float[] Values)
    {
        public static TokenBias Of(IReadOnlyDictionary<int, float>? bias, int[] suppressed)
        {
            var all = new Dictionary<int, float>(bias ?? new Dictionary<int, float>());
            foreach (int token in suppressed)
            {
                all[token] = float.NegativeInfinity;
            }

            return new TokenBias([.. all.Keys], [.. all.Values]);
        }
    }
}
