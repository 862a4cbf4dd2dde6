using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// Keys and values of one sequence, all layers. Slot p holds logical position p of the committed text; slots behind it are free for
/// the nodes of a tree. Memory is reserved whole and taken as slots are first written.
/// </summary>
public sealed class KvCache : IDisposable
{
    private const long Page = 4096;

    private readonly IKernels _kernels;
    private readonly bool _isView;
    private MemoryBlock _block;

    /// <param name="tokens">Committed tokens that must fit.</param>
    /// <param name="spare">Further slots for tree nodes.</param>
    /// <param name="maxRows">Most rows of a pass.</param>
    public KvCache(ModelConfig config, IKernels kernels, CacheType type, int tokens, int spare, int maxRows)
    {
        Recurrent = RecurrentCache.Of(config, kernels, spare, maxRows);
        _kernels = kernels;
        Tokens = tokens;
        Slots = checked(tokens + spare + KvLayer.BlockSlots - 1) / KvLayer.BlockSlots * KvLayer.BlockSlots;
        KvShape[] shapes = [.. config.Layers.Select(layer => layer.Attention.Cache)];
        Layers = new KvLayer[shapes.Length];
        _block = kernels.AllocateCache(Layers, shapes, type, Slots);
        BytesPerSlot = SlotBytes(config, type);
    }

    /// <summary>A view, of nothing yet.</summary>
    private KvCache(ModelConfig config, IKernels kernels, int spare, int maxRows)
    {
        Recurrent = RecurrentCache.Of(config, kernels, spare, maxRows);
        _kernels = kernels;
        _isView = true;
        Layers = new KvLayer[config.Layers.Count];
        _block = null!;
    }

    /// <summary>Committed tokens that fit.</summary>
    public int Tokens { get; private set; }

    /// <summary>A multiple of 16, at least <see cref="Tokens"/> and the spare ones.</summary>
    public int Slots { get; private set; }

    public KvLayer[] Layers { get; }

    /// <summary>What the recurrent layers keep; null where there are none.</summary>
    internal RecurrentCache? Recurrent { get; }

    /// <summary>Bytes of keys and values of one slot, all layers.</summary>
    public long BytesPerSlot { get; private set; }

    /// <summary>
    /// A view of caches of such a model, one after the other (<see cref="Show"/>): their keys and values, and recurrent states of its own,
    /// a scratch.
    /// </summary>
    /// <param name="spare">Slots behind the committed tokens that passes over the view may write.</param>
    /// <param name="maxRows">Most rows of a pass.</param>
    public static KvCache View(ModelConfig config, IKernels kernels, int spare, int maxRows) => new(config, kernels, spare, maxRows);

    /// <summary>
    /// Has this view show another cache: passes over it read and write that one's slots. Its recurrent states are copied, and what becomes
    /// of the copies is nothing to it.
    /// </summary>
    /// <param name="tokens">Committed tokens that it holds.</param>
    public void Show(KvCache other, int tokens)
    {
        if (!_isView)
        {
            throw new InvalidOperationException("Only a view can show another cache.");
        }

        other.Layers.CopyTo(Layers, 0);
        (_block, Tokens, Slots, BytesPerSlot) = (other._block, other.Tokens, other.Slots, other.BytesPerSlot);
        Recurrent?.TakeStates(other.Recurrent!, tokens);
    }

    /// <summary>
    /// Memory that <paramref name="tokens"/> tokens take at most, in bytes: the keys and the values of every head begin elsewhere, and
    /// each takes whole pages.
    /// </summary>
    public long BytesFor(int tokens)
    {
        if (tokens == 0)
        {
            return 0;
        }

        long pages = 0;
        long slots = ((long)tokens + KvLayer.BlockSlots - 1) / KvLayer.BlockSlots * KvLayer.BlockSlots;
        foreach (ref readonly KvLayer layer in Layers.AsSpan())
        {
            long region = slots * layer.Type.Bytes(layer.HeadDim);
            pages += 2L * layer.KvHeads * ((region + (2 * Page) - 1) / Page);
        }

        return Math.Min(_block.Bytes, pages * Page) + (Recurrent?.BytesFor(tokens) ?? 0);
    }

    /// <summary>
    /// The longest prefix of what is held, no longer than <paramref name="tokens"/>, that can be gone on from. Recurrent layers go back
    /// only to where <see cref="Remember"/> was called.
    /// </summary>
    public int Restorable(int tokens) => Recurrent?.Restorable(tokens) ?? tokens;

    /// <summary>Goes back to the first <paramref name="tokens"/> tokens, which must be <see cref="Restorable"/>.</summary>
    public void Truncate(int tokens) => Recurrent?.Truncate(tokens);

    /// <summary>Has the recurrent layers remember their states behind the last pass, so that a later sequence can begin there.</summary>
    public void Remember() => Recurrent?.Remember();

    /// <summary>Where behind a position a long text should be remembered; none is needed where no layer is recurrent.</summary>
    public int NextMemory(int position) => Recurrent is null
        ? int.MaxValue : ((position / RecurrentCache.SnapshotEvery) + 1) * RecurrentCache.SnapshotEvery;

    /// <summary>
    /// Takes whatever is held for so many tokens: for measuring what a pass behind them takes, whose results mean nothing.
    /// </summary>
    public void Assume(int tokens) => Recurrent?.Assume(tokens);

    /// <summary>
    /// Moves slots <c>from[0..]</c> (ascending, each at or above its destination) to <c>to, to + 1, ...</c>: an accepted path becomes
    /// text.
    /// </summary>
    public void MoveSlots(ReadOnlySpan<int> from, int to)
    {
        _kernels.MoveSlots(Layers, from, to);
        Recurrent?.MoveSlots(from, to);
    }

    /// <summary>
    /// Takes over the first <paramref name="count"/> slots of another cache of the same model and type, where they are <see
    /// cref="Restorable"/>.
    /// </summary>
    public void CopyFrom(KvCache source, int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Math.Min(Slots, source.Slots));
        Reach(count);
        _kernels.CopySlots(source.Layers, Layers, count);
        Recurrent?.CopyFrom(source.Recurrent!, count);
    }

    /// <summary>Sees to it that the first <paramref name="slots"/> slots have memory.</summary>
    internal void Reach(int slots) =>
        _block.Reach((slots + KvLayer.BlockSlots - 1L) / KvLayer.BlockSlots * KvLayer.BlockSlots * BytesPerSlot);

    /// <summary>What <see cref="BytesPerSlot"/> of such a cache would be.</summary>
    internal static long SlotBytes(ModelConfig config, CacheType type) =>
        config.Layers.Sum(layer => 2 * layer.Attention.Cache.Bytes(type, 1));

    public void Dispose()
    {
        Recurrent?.Dispose();
        if (!_isView)
        {
            _block.Dispose();
        }
    }
}
