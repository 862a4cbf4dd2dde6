using Understory.Decoding.Sampling;
using Understory.Models.Architecture;

namespace Understory.Decoding.Drafters;

/// <summary>What a draft attends to: the first few positions, which models rest their attention on, and the last ones.</summary>
/// <param name="Last">At least so many of the last positions; 0: all that there are.</param>
public readonly record struct DraftWindow(int Last)
{
    /// <summary>First positions that stay: "attention sinks" (arXiv 2309.17453, where four were enough).</summary>
    public const int Sinks = 4;

    /// <summary>Positions beyond the window that gather before they are dropped, so that few are moved often. Chosen.</summary>
    public const int Slack = 64;

    /// <summary>Positions that are held at most.</summary>
    public int Most(int context) => Last == 0 ? context : (int)Math.Min(context, (long)Sinks + Last + Slack);
}

/// <summary>
/// What a draft model keeps of one sequence: positions below <see cref="Committed"/> hold committed tokens. With a window those in the
/// middle are dropped; the others keep their true positions, and only their slots move up.
/// </summary>
/// <param name="own">Keys and values of its own; null: it reads the target's, or keeps none.</param>
public class DraftCache(KvCache? own, DraftWindow window = default) : IDisposable
{
    private readonly int[] _moved = new int[window.Last];

    public KvCache? Own { get; } = own;

    /// <summary>The target's, which it reads; null: it does not.</summary>
    public KvCache? Target { get; init; }

    /// <summary>The target's states that it has yet to take in; null: it reads none.</summary>
    public PendingStates? States { get; init; }

    /// <summary>Tokens of the sequence that it holds.</summary>
    public int Committed { get; set; }

    /// <summary>Positions of the drafter's text that it holds (or has dropped).</summary>
    public virtual int Held => Committed;

    /// <summary>Positions behind the sinks that it holds no longer.</summary>
    public int Dropped { get; private set; }

    /// <summary>The committed tokens as the drafter reads them.</summary>
    public virtual ReadOnlySpan<int> Text(TokenContext context) => context.Tokens;

    /// <summary>So many positions of <see cref="Text"/> are held now.</summary>
    public virtual void Hold(TokenContext context, int positions) => Committed = positions;

    /// <summary>Memory that so many tokens take.</summary>
    public long BytesFor(int tokens) =>
        tokens == 0 ? 0 : (Own?.BytesFor(Math.Min(tokens, Own.Slots)) ?? 0) + (States?.Bytes ?? 0);

    /// <summary>The slot of a position that is held, or of the next one.</summary>
    public int Slot(int position) => position < DraftWindow.Sinks ? position : position - Dropped;

    /// <summary>Rows that a text of so many positions still needs.</summary>
    public int Missing(int length)
    {
        int held = Math.Max(Held, Dropped > 0 ? DraftWindow.Sinks + Dropped : 0);
        if (window.Last == 0 || length - held <= window.Last)
        {
            return length - held;
        }

        // What lies between the sinks and the window is never computed.
        return Math.Min(length - held, Math.Max(0, DraftWindow.Sinks - held) + window.Last);
    }

    /// <summary>Makes room for a text of so many positions: drops what the window has left behind.</summary>
    /// <param name="position">The next one to be computed.</param>
    /// <returns>The next one to be computed now.</returns>
    public int Slide(int position, int length)
    {
        int first = length - window.Last;
        int next = Dropped > 0 ? Math.Max(position, DraftWindow.Sinks + Dropped) : position;
        if (window.Last == 0 || first <= DraftWindow.Sinks + Dropped || next < DraftWindow.Sinks)
        {
            return next;
        }

        int kept = Math.Max(0, next - first);
        if (kept > 0 && next - Dropped <= DraftWindow.Sinks + window.Last + DraftWindow.Slack)
        {
            return next;
        }

        int from = Slot(next) - kept;
        for (int i = 0; i < kept; i++)
        {
            _moved[i] = from + i;
        }

        Own!.MoveSlots(_moved.AsSpan(0, kept), DraftWindow.Sinks);
        Dropped = first - DraftWindow.Sinks;
        return Math.Max(next, first);
    }

    /// <summary>Takes over at most the first <paramref name="count"/> tokens of another sequence's.</summary>
    public virtual void CopyFrom(DraftCache source, int count)
    {
        Committed = CopyPositions(source, Math.Min(count, source.Committed));
        States?.CopyFrom(source.States!, count);
    }

    /// <summary>Keeps at most the first <paramref name="count"/> tokens.</summary>
    public virtual void Truncate(int count)
    {
        Committed = Rewind(Math.Min(count, Committed));
        States?.Truncate(count);
    }

    /// <summary>Later prompts may go on behind what the target holds now.</summary>
    public void Remember() => States?.Remember();

    /// <summary>Takes over at most so many positions that another holds; returns how many.</summary>
    protected int CopyPositions(DraftCache source, int positions)
    {
        Dropped = source.Dropped;
        positions = Restorable(source.Own, positions);
        Own?.CopyFrom(source.Own!, Slot(positions));
        return positions;
    }

    /// <summary>Goes back to at most so many positions of those held; returns how many.</summary>
    protected int Rewind(int positions)
    {
        positions = Restorable(Own, positions);
        Own?.Truncate(positions);
        return positions;
    }

    public void Dispose()
    {
        Own?.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Where less than half of the window would be left it is read anew.</summary>
    private int Restorable(KvCache? cache, int positions)
    {
        if (Dropped > 0 && positions < DraftWindow.Sinks + Dropped + (window.Last / 2))
        {
            positions = Math.Min(positions, DraftWindow.Sinks);
            Dropped = 0;
        }

        return cache?.Restorable(positions) ?? positions;
    }
}
