using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>
/// What the sources propose for one place, in the order of the list: a token comes once, from the first source that has it; what the
/// constraint forbids does not come at all.
/// </summary>
public sealed class Proposals(AcceptanceModel acceptance, IReadOnlyList<IProposalSource> sources)
{
    /// <summary>Most proposals for one place: more were never worth their rows.</summary>
    public const int Most = 4;

    private readonly IProposalSource[] _sources = [.. sources];
    private readonly Proposal[] _found = new Proposal[Most];
    private TokenContext? _context;
    private int _state;
    private int _depth;
    private int _count;
    private bool _closed;

    /// <summary>A source knows something of the answer beforehand.</summary>
    public bool Guided(TokenContext context)
    {
        foreach (IProposalSource source in _sources)
        {
            if (source.Guides(context))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Proposals for a place; valid until the next call.</summary>
    public ReadOnlySpan<Proposal> Best(in Place place, Reach reach)
    {
        _context = place.Context;
        _state = place.State;
        _depth = place.Path.Length;
        _count = 0;
        _closed = false;
        foreach (IProposalSource source in _sources)
        {
            if (source.Reach <= reach && !_closed)
            {
                source.Propose(place, this);
            }
        }

        return _found.AsSpan(0, _count);
    }

    /// <summary>For sources: one more token. What is full, known or forbidden is passed over.</summary>
    /// <param name="raw">The source's own estimate that it follows, given the place.</param>
    /// <param name="only">Nothing else can follow: nobody else is asked.</param>
    public void Add(int token, Stage stage, int rank, float raw, bool only = false)
    {
        if (_count == Most)
        {
            return;
        }

        for (int i = 0; i < _count; i++)
        {
            if (_found[i].Token == token)
            {
                return;
            }
        }

        int after = _context!.StateAfter(_state, token);
        if (after == ConstraintMatcher.Dead)
        {
            return;
        }

        _closed = only;
        float conditional = only ? 1 : acceptance.Calibrate(stage, _context.Greedy, rank, raw, _depth);
        _found[_count++] = new Proposal(token, stage, rank, raw, conditional, after);
    }
}
