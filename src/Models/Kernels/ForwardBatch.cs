namespace Understory.Models.Kernels;

/// <summary>
/// The rows of one forward pass. A row is a token at a logical position; it attends to the logical positions
/// <c>0 .. Prefix-1</c>, whose KV slots equal their positions, and then to the slots of its <c>Ancestors</c> (the path below the prefix,
/// in depth order, its own slot last). A row of a plain sequence has <c>Prefix = Position + 1</c> and no ancestors.
/// Reused between passes; nothing is allocated by filling it.
/// </summary>
public sealed class ForwardBatch
{
    /// <param name="maxRows">Most rows of one pass.</param>
    /// <param name="maxDepth">Most ancestors of one row, itself included.</param>
    public ForwardBatch(int maxRows, int maxDepth)
    {
        MaxRows = maxRows;
        MaxDepth = maxDepth;
        Tokens = GC.AllocateArray<int>(maxRows, pinned: true);
        Positions = GC.AllocateArray<int>(maxRows, pinned: true);
        Slots = GC.AllocateArray<int>(maxRows, pinned: true);
        Prefix = GC.AllocateArray<int>(maxRows, pinned: true);
        AncestorCount = GC.AllocateArray<int>(maxRows, pinned: true);
        Ancestors = GC.AllocateArray<int>(maxRows * maxDepth, pinned: true);
    }

    public int MaxRows { get; }

    public int MaxDepth { get; }

    /// <summary>Rows in use.</summary>
    public int Count { get; private set; }

    /// <summary>The first row whose logits are wanted; rows before it only fill the KV cache. <c>Count</c>: none.</summary>
    public int FirstLogitsRow { get; set; }

    /// <summary>Rows whose logits the pass computes.</summary>
    public int LogitsRows => Count - FirstLogitsRow;

    /// <summary>The first row whose state is wanted, whether its logits are or not; <c>Count</c> or more: none beyond those.</summary>
    public int FirstStateRow { get; set; } = int.MaxValue;

    /// <summary>Rows that go through all layers, the last ones of the pass: their states can be read behind it.</summary>
    public int KeptRows => Count - Math.Min(FirstLogitsRow, FirstStateRow);

    public int[] Tokens { get; }

    /// <summary>Logical position of each row.</summary>
    public int[] Positions { get; }

    /// <summary>KV slot that each row's key and value go to.</summary>
    public int[] Slots { get; }

    /// <summary>Leading logical positions that each row reads from slots of the same number.</summary>
    public int[] Prefix { get; }

    public int[] AncestorCount { get; }

    /// <summary><c>[MaxRows, MaxDepth]</c>: the slots of each row's path below the prefix, in depth order, own slot last.</summary>
    public int[] Ancestors { get; }

    public void Clear()
    {
        Count = 0;
        FirstLogitsRow = 0;
        FirstStateRow = int.MaxValue;
    }

    /// <summary>Adds a row of a plain sequence: its slot is its position and it reads everything before it.</summary>
    public int Add(int token, int position) => Add(token, position, position);

    /// <summary>As above, where its slot is another: it reads the slots before that one, whatever positions they hold.</summary>
    public int Add(int token, int position, int slot)
    {
        int row = Next(token, position, slot, slot + 1);
        AncestorCount[row] = 0;
        return row;
    }

    /// <summary>
    /// Adds a row of a tree below <paramref name="prefix"/> committed tokens.
    /// <paramref name="path"/> holds the slots of its ancestors below the prefix, in depth order, without its own.
    /// </summary>
    public int Add(int token, int slot, int prefix, ReadOnlySpan<int> path) => Add(token, prefix + path.Length, slot, prefix, path);

    /// <summary>As above, where <paramref name="prefix"/> slots hold other positions than their own.</summary>
    public int Add(int token, int position, int slot, int prefix, ReadOnlySpan<int> path)
    {
        int row = Next(token, position, slot, prefix);
        Span<int> ancestors = Ancestors.AsSpan(row * MaxDepth, MaxDepth);
        path.CopyTo(ancestors);
        ancestors[path.Length] = slot;
        AncestorCount[row] = path.Length + 1;
        return row;
    }

    /// <summary>Becomes the rows of another batch from <paramref name="first"/> on, all of whose logits are wanted.</summary>
    /// <exception cref="ArgumentException">They do not fit.</exception>
    public void TakeFrom(ForwardBatch other, int first)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(other.Count - first, MaxRows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(other.MaxDepth, MaxDepth);
        Clear();
        Count = other.Count - first;
        Array.Copy(other.Tokens, first, Tokens, 0, Count);
        Array.Copy(other.Positions, first, Positions, 0, Count);
        Array.Copy(other.Slots, first, Slots, 0, Count);
        Array.Copy(other.Prefix, first, Prefix, 0, Count);
        Array.Copy(other.AncestorCount, first, AncestorCount, 0, Count);
        Array.Copy(other.Ancestors, first * MaxDepth, Ancestors, 0, Count * MaxDepth);
    }

    private int Next(int token, int position, int slot, int prefix)
    {
        int row = Count++;
        Tokens[row] = token;
        Positions[row] = position;
        Slots[row] = slot;
        Prefix[row] = prefix;
        return row;
    }
}
