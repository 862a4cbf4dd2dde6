using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>The only text that the request's constraint leaves.</summary>
internal sealed class ForcedText : IProposalSource
{
    /// <summary>
    /// Own estimate of a token that begins a text that must follow, cut as the tokenizer most likely cuts it. Chosen; calibration
    /// corrects it.
    /// </summary>
    private const float Sure = 0.97f;

    /// <summary>The same where what follows the text may be joined to its end. Chosen.</summary>
    private const float Last = 0.7f;

    public Reach Reach => Reach.Forced;

    public bool Guides(TokenContext context) => context.Matcher is not null;

    public void Propose(in Place place, Proposals proposals)
    {
        if (place.Context.Matcher is { } matcher && matcher.Forced(place.State, out bool sure) is var forced and >= 0)
        {
            proposals.Add(forced, Stage.Grammar, 0, sure ? Sure : Last, matcher.IsOnly(place.State, forced));
        }
    }
}
