using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>A token that may follow, and what is known of it.</summary>
/// <param name="Rank">Place among those of its source, 0 the best.</param>
/// <param name="Raw">Its source's own estimate.</param>
/// <param name="Conditional">The estimate after calibration; 1 where nothing else can follow.</param>
/// <param name="State">The constraint's state behind it; 0 without a constraint.</param>
internal readonly record struct Proposal(int Token, Stage Stage, int Rank, float Raw, float Conditional, int State);

/// <summary>
/// What can be proposed without a model: the only text that a constraint leaves, the predicted answer, and the n-gram. A token comes once, from
/// the first of them that has it; what the constraint forbids does not come at all.
/// </summary>
internal sealed class TextProposals(AcceptanceModel acceptance, NgramDrafter ngram)
{
    /// <summary>Most proposals for one place.</summary>
    public const int Most = 4;

    private const int MaxGuesses = 2;
    private const float Forced = 0.97f;
    private const float ForcedLast = 0.7f;

    private readonly PredictedText _prediction = new();
    private readonly Proposal[] _found = new Proposal[Most];
    private readonly int[] _tokens = new int[MaxGuesses];
    private readonly float[] _raw = new float[MaxGuesses];
    private int _count;

    /// <summary>Catches up with the committed tokens; the n-gram does so when it is asked.</summary>
    public void Follow(TokenContext context) => _prediction.Follow(context);

    /// <summary>Something is known of the answer beforehand, so that proposals are worth a look whatever the n-gram was worth.</summary>
    public bool Guided(TokenContext context) => context.Matcher is not null || _prediction.Active;

    /// <summary>Proposals to follow <paramref name="path"/>; valid until the next call.</summary>
    /// <param name="state">The constraint's state behind the path.</param>
    /// <param name="stageOne">The prediction may propose.</param>
    /// <param name="lookUp">The n-gram may propose.</param>
    public ReadOnlySpan<Proposal> Best(TokenContext context, ReadOnlySpan<int> path, int state, bool stageOne, bool lookUp)
    {
        _count = 0;
        if (context.Matcher is { } matcher && matcher.Forced(state, out bool sure) is var forced and >= 0)
        {
            float raw = sure ? Forced : ForcedLast;
            bool only = matcher.IsOnly(state, forced);
            Add(context, state, forced, Stage.Grammar, 0, raw);
            if (only && _count == 1)
            {
                _found[0] = _found[0] with { Conditional = 1 };
                return _found.AsSpan(0, 1);
            }
        }

        if (stageOne && _prediction.Next(context, path, out float probability) is var predicted and >= 0)
        {
            Add(context, state, predicted, Stage.Prediction, 0, probability);
        }

        if (lookUp)
        {
            ngram.Follow(context);
            int count = ngram.Best(context, path, state, _tokens, _raw);
            for (int rank = 0; rank < count; rank++)
            {
                Add(context, state, _tokens[rank], Stage.Ngram, rank, _raw[rank]);
            }
        }

        return _found.AsSpan(0, _count);
    }

    private void Add(TokenContext context, int state, int token, Stage stage, int rank, float raw)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_found[i].Token == token)
            {
                return;
            }
        }

        int after = context.StateAfter(state, token);
        if (after != ConstraintMatcher.Dead)
        {
            _found[_count++] = new Proposal(token, stage, rank, raw, acceptance.Calibrate(stage, context.Greedy, rank, raw), after);
        }
    }
}
