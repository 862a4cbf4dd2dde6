using Understory.Decoding.Sampling;
using Understory.Models.Architecture;

namespace Understory.Decoding.Drafters;

/// <summary>
/// A draft model that was trained to guess several tokens in one pass (PARD, arXiv 2504.18583): behind a row stand rows of a mask token
/// at the next positions, <c>p(x_n+k) = softmax(model(x_0 .. x_n, mask_1 .. mask_k))</c>. They belong to this pass alone: no later row
/// reads their keys and values, whose slots are written anew.
/// </summary>
internal sealed class ParallelDrafter : ModelDrafter
{
    /// <summary>Tokens that a row answers: what published models were trained for.</summary>
    public const int Guesses = 8;

    private readonly int _mask;
    private readonly int[] _path;
    private int _masks;

    /// <param name="mask">The mask token.</param>
    /// <param name="vocabulary">Columns of its logits that are the target's.</param>
    public ParallelDrafter(Transformer transformer, int mask, int branch, int maxDepth, DraftWindow window, int vocabulary)
        : base(transformer, branch, maxDepth, window, vocabulary, 2 * TreeRows, maxDepth + 1 + Guesses)
    {
        _mask = mask;
        _path = new int[maxDepth + 1 + Guesses];
    }

    public override int MaxRows => TreeRows / Guesses;

    public override int Ahead => Guesses;

    /// <summary>The last spare slots are the masks'.</summary>
    public override int SlotsLeft(TokenContext context) => SpareSlots - TreeRows - Used;

    public override bool Reaches(DraftCache cache, TokenContext context, int depth) =>
        context.Length + depth + Guesses <= ContextLength;

    public override void Begin(DraftCache cache, TokenContext context)
    {
        base.Begin(cache, context);
        _masks = 0;
        if (Answers.Count > 0)
        {
            AddMasks([], []);
        }
    }

    public override int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
    {
        int slot = base.Add(context, slots, tokens, state);
        slots.CopyTo(_path);
        _path[slots.Length] = slot;
        AddMasks(_path.AsSpan(0, slots.Length + 1), tokens);
        return slot;
    }

    public override int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities) =>
        ahead >= Guesses ? 0 : base.Candidates(context, (answer * Guesses) + ahead, 0, tokens, probabilities);

    /// <param name="slots">Of the row's path, its own last.</param>
    private void AddMasks(ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens)
    {
        slots.CopyTo(_path);
        for (int depth = slots.Length; depth < slots.Length + Guesses - 1; depth++)
        {
            int slot = FirstSpare + SpareSlots - 1 - _masks++;
            Batch.Add(_mask, TextLength + depth, slot, FirstSpare, _path.AsSpan(0, depth));
            _path[depth] = slot;
            Answers.Add(tokens, DraftAnswers.AnyState, unknown: depth - slots.Length + 1);
        }
    }
}
