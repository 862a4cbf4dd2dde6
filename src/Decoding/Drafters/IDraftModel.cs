using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;

namespace Understory.Decoding.Drafters;

/// <summary>What a draft model keeps of one sequence: positions below <see cref="Committed"/> hold committed tokens.</summary>
/// <param name="own">Keys and values of its own; null: it reads the target's, or keeps none.</param>
/// <param name="states">The target's states that it has yet to take in; null: it reads none.</param>
public sealed class DraftCache(KvCache? own, PendingStates? states = null) : IDisposable
{
    public KvCache? Own { get; } = own;

    public PendingStates? States { get; } = states;

    public int Committed { get; set; }

    /// <summary>Memory that so many tokens take.</summary>
    public long BytesFor(int tokens) => tokens == 0 ? 0 : (Own?.BytesFor(tokens) ?? 0) + (States?.Bytes ?? 0);

    /// <summary>Takes over at most the first <paramref name="count"/> positions of another sequence's.</summary>
    public void CopyFrom(DraftCache source, int count)
    {
        Committed = source.Restorable(count);
        Own?.CopyFrom(source.Own!, Committed);
        States?.CopyFrom(source.States!, count);
    }

    /// <summary>Keeps at most the first <paramref name="count"/> positions.</summary>
    public void Truncate(int count)
    {
        Committed = Restorable(count);
        Own?.Truncate(Committed);
        States?.Truncate(count);
    }

    /// <summary>Later prompts may go on behind what the target holds now.</summary>
    public void Remember() => States?.Remember();

    private int Restorable(int count)
    {
        int held = Math.Min(count, Committed);
        return Own?.Restorable(held) ?? held;
    }

    public void Dispose() => Own?.Dispose();
}

/// <summary>
/// Drafts by passes of a model. A step begins with <see cref="BeginStep"/>; a round is <see cref="Begin"/>, any number of
/// <see cref="Add"/>, <see cref="Run"/>, and <see cref="Candidates"/> for every row. What it proposes can change the time that a text
/// takes, never
/// the text: the target decides. Nothing is allocated in a round.
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

    /// <summary>Starts a step: no tree rows yet.</summary>
    void BeginStep(TokenContext context);

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
    /// Keeps what was computed for the accepted path: <paramref name="slots"/> of its leading nodes that the draft has seen.
    /// </summary>
    void Accept(DraftCache cache, ReadOnlySpan<int> slots);
}
