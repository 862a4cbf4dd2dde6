using Understory.Decoding.Sampling;

namespace Understory.Decoding.Drafters;

/// <summary>How far one goes for a proposal, in rising order: whoever asks for one level gets those below it, too.</summary>
public enum Reach
{
    /// <summary>What must follow. Asked for in every mode but <c>off</c>.</summary>
    Forced,

    /// <summary>What the request says will follow. Costs next to nothing.</summary>
    Told,

    /// <summary>What has to be looked up, which beside a small target takes a share of a step.</summary>
    LookedUp,
}

/// <summary>Where something is to follow: behind <paramref name="path"/>, hypothetical tokens below the last committed one.</summary>
/// <param name="context">The committed tokens, and how the request samples.</param>
/// <param name="state">The constraint's state behind the path; 0 without a constraint.</param>
public readonly ref struct Place(TokenContext context, ReadOnlySpan<int> path, int state)
{
    public TokenContext Context { get; } = context;

    public ReadOnlySpan<int> Path { get; } = path;

    public int State { get; } = state;
}

/// <summary>
/// Proposes what may follow a place without a model's pass. What it proposes can change the time that a text takes, never the text.
/// It catches up with the committed tokens by itself when it is asked, and allocates nothing then.
/// </summary>
public interface IProposalSource
{
    Reach Reach { get; }

    /// <summary>It knows something of this answer beforehand, so that asking is worth while whatever look-ups were worth.</summary>
    bool Guides(TokenContext context) => false;

    /// <summary>Adds what may follow, best first. A token that an earlier source proposed is passed over.</summary>
    void Propose(in Place place, Proposals proposals);
}
