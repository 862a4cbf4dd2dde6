using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// What the recurrent layers of a model keep of a sequence. Their states stand behind the first <see cref="Applied"/> positions and cannot
/// go back, except to a snapshot. Rows behind them, of a tree or accepted, are kept as inputs: accepting only moves them to where their
/// positions belong, and the next pass applies those before its first row. Whatever the sequence drops in between is never applied.
/// </summary>
internal sealed class RecurrentCache : IDisposable
{
    /// <summary>Snapshots of a long text, beside those that stand where a prompt or its last turn begins to differ.</summary>
    public const int SnapshotEvery = 2048;

    private const long SnapshotBytes = 256L << 20;
    private const int MostSnapshots = 16;
    private const int FewestSnapshots = 3;

    private readonly IKernels _kernels;
    private readonly MemoryBlock _states;
    private readonly MemoryBlock _kept;
    private readonly RecurrentLayer[] _layers;
    private readonly RecurrentShape[] _shapes;
    private readonly RecurrentWalk _walk;
    private readonly List<Snapshot> _snapshots = [];
    private readonly Stack<MemoryBlock> _free = new();
    private readonly int _before;
    private readonly int _rows;
    private readonly int _spare;
    private int _end;
    private int _next;

    /// <param name="spare">Slots for tree nodes.</param>
    private RecurrentCache(ModelConfig config, IKernels kernels, int spare, int maxRows)
    {
        _kernels = kernels;
        _shapes = [.. config.Layers.Select(layer => layer.Recurrent).OfType<RecurrentShape>()];
        _before = _shapes[0].Taps - 1;
        _spare = spare;
        _rows = _before + (2 * (spare + KvLayer.BlockSlots));
        _states = kernels.Allocate(_shapes.Sum(StateBytes));
        _kept = kernels.Allocate(_shapes.Sum(shape => RowBytes(shape) * _rows), sparse: true);
        _walk = new RecurrentWalk(maxRows, _rows, _before + 1);
        _layers = new RecurrentLayer[config.Layers.Count];
        (nint state, nint kept) = (_states.Address, _kept.Address);
        for (int i = 0; i < _layers.Length; i++)
        {
            if (config.Layers[i].Recurrent is { } shape)
            {
                _layers[i] = new RecurrentLayer(shape, state, kept);
                state += (nint)StateBytes(shape);
                kept += (nint)(RowBytes(shape) * _rows);
            }
        }
    }

    /// <summary>Positions that the states stand behind.</summary>
    public int Applied { get; private set; }

    /// <summary>Those of a layer that is recurrent.</summary>
    public ref readonly RecurrentLayer Layer(int number) => ref _layers[number];

    /// <summary>Null where no layer is recurrent.</summary>
    public static RecurrentCache? Of(ModelConfig config, IKernels kernels, int spare, int maxRows) =>
        config.IsHybrid ? new RecurrentCache(config, kernels, spare, maxRows) : null;

    /// <summary>Memory that a sequence of so many tokens takes at most, in bytes.</summary>
    public long BytesFor(int tokens) => tokens == 0
        ? 0 : _states.Bytes + _shapes.Sum(shape => RowBytes(shape) * (_before + _spare))
            + (Math.Min(SnapshotLimit, FewestSnapshots + (tokens / SnapshotEvery)) * OneSnapshotBytes);

    /// <summary>Plans a pass. Until <see cref="EndPass"/> the states are nobody's.</summary>
    /// <exception cref="ArgumentException">A row does not follow what is held.</exception>
    public RecurrentWalk BeginPass(ForwardBatch batch)
    {
        int plain = 0;
        while (plain < batch.Count && batch.AncestorCount[plain] == 0)
        {
            plain++;
        }

        if (plain > 0 && batch.Positions[0] == 0 && Applied != 0)
        {
            Truncate(0);
        }

        Check(batch, plain);
        _next = _walk.Plan(batch, Applied, plain, _rows);
        int end = _next - _before + _walk.KeepCount;
        _end = plain > 0 ? end : Math.Max(_end, end);
        Applied = int.MaxValue;
        return _walk;
    }

    public void EndPass() => Applied = _next;

    /// <summary>The longest prefix of what is held that can be gone on from: no longer than <paramref name="tokens"/>.</summary>
    public int Restorable(int tokens) =>
        tokens >= Applied ? tokens : _snapshots.FindLast(snapshot => snapshot.Position <= tokens)?.Position ?? 0;

    /// <summary>Goes back to the first <paramref name="tokens"/> positions, which are <see cref="Restorable"/>.</summary>
    public void Truncate(int tokens)
    {
        if (tokens == 0 && Applied == 0)
        {
            _end = 0;
        }
        else if (tokens == 0)
        {
            _kernels.Clear(_states.Address, _states.Bytes);
            ForHistory((kept, bytes, _) => _kernels.Clear(kept, bytes));
        }
        else if (tokens < Applied)
        {
            Snapshot snapshot = Find(tokens);
            _kernels.Copy(snapshot.Memory.Address, _states.Address, _states.Bytes);
            ForHistory((kept, bytes, offset) => _kernels.Copy(snapshot.Memory.Address + offset, kept, bytes));
        }
        else
        {
            _end = Math.Min(_end, tokens);
            return;
        }

        Applied = _end = tokens;
        Drop(snapshot => snapshot.Position > tokens);
    }

    /// <summary>Takes over the first <paramref name="tokens"/> positions of another sequence, which are <see cref="Restorable"/>.</summary>
    public void CopyFrom(RecurrentCache source, int tokens)
    {
        Truncate(0);
        Drop(_ => true);
        foreach (Snapshot snapshot in source._snapshots.Where(snapshot => snapshot.Position <= tokens))
        {
            Snapshot copy = NewSnapshot(snapshot.Position);
            _kernels.Copy(snapshot.Memory.Address, copy.Memory.Address, OneSnapshotBytes);
        }

        if (tokens < source.Applied)
        {
            Applied = int.MaxValue;
            Truncate(tokens);
            return;
        }

        TakeStates(source, tokens);
    }

    /// <summary>
    /// As <see cref="CopyFrom"/>, for a scratch: without the snapshots that going back takes, and without allocation. Nothing of these
    /// positions may have been taken back since the source's last pass.
    /// </summary>
    public void TakeStates(RecurrentCache source, int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, source.Applied);
        _kernels.Copy(source._states.Address, _states.Address, _states.Bytes);
        for (int i = 0; i < _layers.Length; i++)
        {
            long bytes = RowBytes(_layers[i].Shape) * Math.Min(_rows, _before + tokens - source.Applied);
            if (bytes > 0)
            {
                _kernels.Copy(source._layers[i].Kept, _layers[i].Kept, bytes);
            }
        }

        (Applied, _end) = (source.Applied, tokens);
    }

    /// <summary>Moves the inputs of accepted rows to where their positions belong.</summary>
    public void MoveSlots(ReadOnlySpan<int> from, int to)
    {
        int first = Applied - _before;
        for (int i = 0; i < from.Length; i++)
        {
            for (int layer = 0; layer < _layers.Length && from[i] != to + i; layer++)
            {
                long bytes = RowBytes(_layers[layer].Shape);
                nint kept = _layers[layer].Kept;
                _kernels.Copy(kept + (nint)(bytes * (from[i] - first)), kept + (nint)(bytes * (to + i - first)), bytes);
            }
        }
    }

    /// <summary>Remembers the states as they are.</summary>
    public void Remember()
    {
        if (Applied == 0 || _snapshots.Exists(snapshot => snapshot.Position == Applied))
        {
            return;
        }

        if (_snapshots.Count == SnapshotLimit)
        {
            Thin();
        }

        MemoryBlock memory = NewSnapshot(Applied).Memory;
        _kernels.Copy(_states.Address, memory.Address, _states.Bytes);
        ForHistory((kept, bytes, offset) => _kernels.Copy(kept, memory.Address + offset, bytes));
    }

    /// <summary>Takes whatever the states are for those behind so many tokens: for measuring what a pass there takes.</summary>
    public void Assume(int tokens) => Applied = _end = tokens;

    public void Dispose()
    {
        Drop(_ => true);
        while (_free.TryPop(out MemoryBlock? memory))
        {
            memory.Dispose();
        }

        _states.Dispose();
        _kept.Dispose();
    }

    private int SnapshotLimit => (int)Math.Clamp(SnapshotBytes / OneSnapshotBytes, FewestSnapshots, MostSnapshots);

    private long OneSnapshotBytes => _states.Bytes + _shapes.Sum(shape => RowBytes(shape) * _before);

    private static long StateBytes(RecurrentShape shape) => (long)shape.StateSize * sizeof(float);

    private static long RowBytes(RecurrentShape shape) => (long)shape.RowSize * sizeof(float);

    /// <summary>Kernels follow these numbers into memory without looking.</summary>
    private void Check(ForwardBatch batch, int plain)
    {
        int start = plain > 0 ? batch.Positions[0] : Applied;
        int behind = start + plain;
        Require(start >= Applied && start <= Math.Max(Applied, _end), start, "where the pass begins");
        for (int row = 0; row < plain; row++)
        {
            Require(batch.Positions[row] == start + row && batch.Slots[row] == start + row, batch.Positions[row], "a row's position");
        }

        for (int row = plain; row < batch.Count; row++)
        {
            Require(batch.Prefix[row] == behind, batch.Prefix[row], "the prefix of a tree's row");
            foreach (int slot in batch.Ancestors.AsSpan(row * batch.MaxDepth, batch.AncestorCount[row]))
            {
                Require(slot >= behind && slot < behind - _before + _rows, slot, "the slot of a tree's row");
                Require(plain == 0 ? slot < _end || batch.Slots.AsSpan(0, row + 1).Contains(slot)
                    : batch.Slots.AsSpan(0, row + 1).Contains(slot), slot, "the slot of a row's ancestor");
            }
        }

        void Require(bool holds, int value, string what)
        {
            if (!holds)
            {
                throw new ArgumentException($"{what} is {value}, and the recurrent layers stand behind {Applied} tokens.", nameof(batch));
            }
        }
    }

    /// <summary>Drops the snapshot that is missed least: that whose neighbours are nearest, measured by how long ago it was.</summary>
    private void Thin()
    {
        int least = 0;
        double nearest = double.MaxValue;
        for (int i = 0; i < _snapshots.Count - 1; i++)
        {
            int before = i == 0 ? 0 : _snapshots[i - 1].Position;
            double gap = (double)(_snapshots[i + 1].Position - before) / (1 + Applied - _snapshots[i].Position);
            if (gap < nearest)
            {
                (least, nearest) = (i, gap);
            }
        }

        Snapshot dropped = _snapshots[least];
        Drop(snapshot => snapshot == dropped);
    }

    private Snapshot Find(int position) => _snapshots.Find(snapshot => snapshot.Position == position)
        ?? throw new ArgumentException($"The recurrent layers cannot go back to {position} tokens.", nameof(position));

    /// <summary>Positions ascend.</summary>
    private Snapshot NewSnapshot(int position)
    {
        var snapshot = new Snapshot(position, _free.TryPop(out MemoryBlock? memory) ? memory : _kernels.Allocate(OneSnapshotBytes));
        _snapshots.Add(snapshot);
        return snapshot;
    }

    private void Drop(Predicate<Snapshot> which)
    {
        foreach (Snapshot snapshot in _snapshots.FindAll(which))
        {
            _free.Push(snapshot.Memory);
        }

        _ = _snapshots.RemoveAll(which);
    }

    /// <summary>Each layer's rows before the state's position, and where in a snapshot they stand.</summary>
    private void ForHistory(Action<nint, long, nint> act)
    {
        nint offset = (nint)_states.Bytes;
        foreach (RecurrentLayer layer in _layers)
        {
            long bytes = RowBytes(layer.Shape) * _before;
            act(layer.Kept, bytes, offset);
            offset += (nint)bytes;
        }
    }

    /// <param name="Memory">All states, then each layer's rows before the position.</param>
    private sealed record Snapshot(int Position, MemoryBlock Memory);
}
