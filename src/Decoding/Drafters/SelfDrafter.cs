using Understory.Decoding.Sampling;
using Understory.Models.Architecture;

namespace Understory.Decoding.Drafters;

/// <summary>
/// The target's own weights in four bits, as a draft over a view of the target's keys and values (after arXiv 2410.13461): nothing is
/// prefilled, since the target has. Its rows write slots from the last committed token's on, and no others; the target writes every one of
/// them anew before it reads it. Recurrent layers go on from a copy of the target's states, taken by the first pass of a step and thrown
/// away behind the last.
/// </summary>
public sealed class SelfDrafter : ModelDrafter, IDisposable
{
    private readonly KvCache _view;
    private int _held;
    private int _slots;
    private bool _taken;

    /// <param name="copy">Of the target's shapes and context.</param>
    /// <param name="branch">Candidates per row.</param>
    /// <param name="maxDepth">Deepest node of a tree.</param>
    public SelfDrafter(Transformer copy, int branch, int maxDepth)
        : base(copy, branch, maxDepth) => _view = copy.CreateView(SpareSlots);

    public override DraftCache CreateCache(KvCache target, int context) => new(null) { Target = target };

    /// <summary>The last committed token has not been through the target: its row is the draft's first.</summary>
    public override void BeginStep(DraftCache cache, TokenContext context)
    {
        base.BeginStep(cache, context);
        _held = cache.Committed = context.Length - 1;
        _slots = cache.Target!.Slots;
        _taken = false;
    }

    /// <summary>Near the end of the context the target has fewer slots than a step could take.</summary>
    public override int SlotsLeft(TokenContext context) => base.SlotsLeft(context) + Math.Min(0, _slots - context.Length - SpareSlots);

    /// <summary>The target has computed what it keeps.</summary>
    public override void Accept(DraftCache cache, ReadOnlySpan<int> slots)
    {
    }

    public void Dispose() => _view.Dispose();

    protected override KvCache Keys(DraftCache cache)
    {
        if (!_taken)
        {
            _view.Show(cache.Target!, _held);
            _taken = true;
        }

        return _view;
    }
}
