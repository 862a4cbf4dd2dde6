using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;

namespace Understory.Decoding.Tests.Planning.Simulation;

/// <summary>A draft model without a model: what it answers stands in a text, and what a pass takes is told to it.</summary>
/// <param name="seconds">Seconds of a pass of so many rows.</param>
internal sealed class ScriptedDrafter(GuessedText text, ScriptedClock clock, Func<int, double> seconds) : IDraftModel
{
    private readonly (int Depth, bool Right)[] _rows = new (int, bool)[40];
    private int _answers;
    private int _slots;

    public Stage Stage => Stage.Draft;

    public int Branch => 4;

    public int MaxRows => 32;

    public int MaxPending => 64;

    public int ContextLength => int.MaxValue;

    public bool WantsStates => false;

    public int Rows { get; private set; }

    public double Seconds { get; private set; }

    /// <summary>Passes so far.</summary>
    public int Passes { get; private set; }

    public DraftCache CreateCache(KvCache target, int context) => new(null);

    public void BeginStep(DraftCache cache, TokenContext context) => _slots = 0;

    public int SlotsLeft(TokenContext context) => 512 - _slots;

    public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state)
    {
    }

    public void CatchUp(DraftCache cache, TokenContext context)
    {
        Rows = Math.Min(MaxPending, context.Length - cache.Committed);
        cache.Committed += Rows;
        Spend();
    }

    public void Begin(DraftCache cache, TokenContext context)
    {
        Rows = context.Length - cache.Committed;
        _answers = 0;
        if (Rows > 0)
        {
            _rows[_answers++] = (0, true);
        }
    }

    public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
    {
        bool right = true;
        for (int i = 0; i < tokens.Length; i++)
        {
            right &= tokens[i] == GuessedText.Token(context.Length + i);
        }

        _rows[_answers++] = (tokens.Length, right);
        Rows++;
        return _slots++;
    }

    public void Run(DraftCache cache, TokenContext context)
    {
        cache.Committed = context.Length;
        Spend();
    }

    public int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities)
    {
        if (ahead > 0)
        {
            return 0;
        }

        (int depth, bool right) = _rows[answer];
        int position = context.Length + depth;
        int place = right ? text.Place(position, depth) : -1;
        float left = 1;
        for (int rank = 0; rank < Branch; rank++)
        {
            tokens[rank] = rank == place ? GuessedText.Token(position) : GuessedText.Vocabulary + (rank * 100) + (position % 100);
            probabilities[rank] = left * (rank == 0 ? text.Said(position) : 0.5f);
            left -= probabilities[rank];
        }

        return Branch;
    }

    public void Accept(DraftCache cache, ReadOnlySpan<int> slots) => cache.Committed += slots.Length;

    private void Spend()
    {
        Seconds = seconds(Rows);
        clock.Pass(Seconds);
        Passes++;
    }
}

/// <summary>An n-gram without a table: in copied passages it is nearly always right and says so, elsewhere it says little.</summary>
internal sealed class ScriptedNgram(GuessedText text) : IProposalSource
{
    public Reach Reach => Reach.LookedUp;

    public void Propose(in Place place, Proposals proposals)
    {
        int position = place.Context.Length + place.Path.Length;
        bool on = true;
        for (int i = 0; i < place.Path.Length; i++)
        {
            on &= place.Path[i] == GuessedText.Token(place.Context.Length + i);
        }

        if (on && text.Copied(position))
        {
            proposals.Add(GuessedText.Token(position), Stage.Ngram, 0, 0.85f);
        }
        else if (position % 5 == 0 || text.Misleads)
        {
            proposals.Add((2 * GuessedText.Vocabulary) + (position % 100), Stage.Ngram, 0, text.Misleads ? 0.85f : 0.12f);
        }
    }
}
