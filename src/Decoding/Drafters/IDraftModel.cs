using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;

namespace Understory.Decoding.Drafters;

/// <summary>
/// Drafts by passes of a model. A step begins with <see cref="BeginStep"/>; a round is <see cref="Begin"/>, any number of
/// <see cref="Add"/>, <see cref="Run"/>, and <see cref="Candidates"/> for every row. What it proposes can change the time that a text
/// takes, never the text: the target decides. Nothing is allocated in a round.
/// </summary>
public interface IDraftModel
{
    Stage Stage { get; }

    /// <summary>Most candidates of a row.</summary>
    int Branch { get; }

    /// <summary>Most tree rows of one round.</summary>
    int MaxRows { get; }

    /// <summary>
    /// Committed tokens that a round can take in beside its tree rows; where more are missing, <see cref="CatchUp"/> goes first.
    /// </summary>
    int MaxPending { get; }

    /// <summary>Most tokens of a sequence that it can draft for.</summary>
    int ContextLength { get; }

    /// <summary>
    /// Reads the target's states, those that <see cref="Transformer.KeepStates"/> was asked for: then <see cref="Feed"/> is called for
    /// every row that the target keeps of sequences that may be drafted for.
    /// </summary>
    bool WantsStates { get; }

    /// <summary>The model whose passes are what drafting costs, to be measured at start; null: that is learned while decoding.</summary>
    Transformer? Model => null;

    /// <summary>
    /// Tokens that a row answers, one behind the other, and rows of a pass that it takes: more than 1 for a parallel drafter.
    /// </summary>
    int Ahead => 1;

    /// <summary>
    /// A round may hold rows under rows of its own: false where a row begins from what the one above it gave. What is guessed there is
    /// then a node without a row.
    /// </summary>
    bool TakesGuesses => true;

    /// <summary>Rows of the last pass.</summary>
    int Rows { get; }

    /// <summary>Seconds of the last pass, decision included.</summary>
    double Seconds { get; }

    /// <param name="target">The target's cache of the same sequence, for those who read it.</param>
    /// <param name="context">Most tokens that it has to hold.</param>
    DraftCache CreateCache(KvCache target, int context);

    /// <summary>Can it draft trees so deep behind the committed tokens? Asked after <see cref="ContextLength"/> has been held.</summary>
    bool Reaches(DraftCache cache, TokenContext context, int depth) => true;

    /// <summary>Rows that have to be computed before it can propose: the committed tokens that its cache lacks.</summary>
    int Pending(DraftCache cache, TokenContext context) => context.Length - cache.Committed;

    /// <summary>Starts a step: no tree rows yet.</summary>
    void BeginStep(DraftCache cache, TokenContext context);

    /// <summary>Slots left for tree rows of this step.</summary>
    int SlotsLeft(TokenContext context);

    /// <summary>The target's state at a position that holds a prompt's or an accepted token: see <see cref="WantsStates"/>.</summary>
    void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state);

    /// <summary>One pass over the oldest <see cref="MaxPending"/> committed tokens not seen yet; nothing is proposed.</summary>
    void CatchUp(DraftCache cache, TokenContext context);

    /// <summary>
    /// Starts a round with the committed tokens not seen yet, at most <see cref="MaxPending"/>. The root, if among them, is answer 0.
    /// </summary>
    void Begin(DraftCache cache, TokenContext context);

    /// <summary>Adds a tree row; returns its slot. Its answers follow in the order of adding.</summary>
    /// <param name="slots">Draft slots of its ancestors below the root, in depth order.</param>
    /// <param name="tokens">Tokens of its path below the root, its own last.</param>
    /// <param name="state">Where the path stands in the request's constraint.</param>
    int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state);

    /// <summary>One pass over what was added; afterwards the cache holds all committed tokens.</summary>
    void Run(DraftCache cache, TokenContext context);

    /// <summary>
    /// The candidates of an answer, best first: their tokens, by the target's ids, and the draft's probabilities of them.
    /// </summary>
    /// <param name="ahead">0: of the next token; 1, 2, ...: of those behind it, for drafters that answer several at once. Others have
    /// none there.</param>
    /// <returns>How many there are.</returns>
    int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities);

    /// <summary>
    /// Where a candidate is only the first of several tokens that the drafter proposes together (its own vocabulary has one for their
    /// text): the others, in order, each of which follows with certainty if the drafter was right.
    /// </summary>
    /// <param name="rank">Place among the candidates of the token behind the row.</param>
    /// <param name="probability">The share of the candidate's probability that goes on so.</param>
    /// <param name="slot">Slot of the candidate and of all but the last of the others.</param>
    /// <returns>How many there are.</returns>
    int Tail(int answer, int rank, Span<int> tokens, out float probability, out int slot)
    {
        (probability, slot) = (0, -1);
        return 0;
    }

    /// <summary>
    /// Keeps what was computed for the accepted path: <paramref name="slots"/> of its leading nodes that the draft has seen.
    /// </summary>
    void Accept(DraftCache cache, ReadOnlySpan<int> slots);
}
