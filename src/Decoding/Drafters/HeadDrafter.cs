using System.Diagnostics;
using System.Runtime.InteropServices;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Drafters;

/// <summary>
/// A draft head: a next-token-prediction block of the target's own files, or an EAGLE-3 head. Its row of the token at position p begins
/// from the target's state of position p - 1 and guesses the token at p + 1. A row of a tree begins from what the head gave for the row
/// above it; once its token is accepted it is computed again, from the target's state. Candidates are ranked by the target's own rule, over
/// the head's logits at the target's token ids.
/// </summary>
public sealed class HeadDrafter : IDraftModel
{
    /// <summary>Most tree rows of one round: as of other draft models.</summary>
    private const int TreeRows = 32;

    /// <summary>Slots of the cache beyond the context that tree rows of one step may take.</summary>
    private const int SpareSlots = 256;

    private readonly Transformer _network;
    private readonly int[]? _targetIds;
    private readonly ForwardBatch _batch;
    private readonly DraftAnswers _answers;
    private readonly int[] _ownOfRow = new int[TreeRows + 1];
    private readonly int _stateSize;
    private readonly float[] _nothing;

    /// <summary>What the head gave in this step: for the root, then for each slot of a tree row, F32 <c>[hidden]</c> each.</summary>
    private readonly float[] _own;

    /// <summary>F32 <c>[TreeRows + 1, vocabulary]</c>: logits at the target's ids; -infinity where the head has none.</summary>
    private readonly float[] _spread;
    private readonly Tensor _logits;
    private int _firstSlot;
    private int _nextSlot;

    /// <param name="target">Keeps the states that the head reads from here on.</param>
    /// <param name="branch">Candidates per row.</param>
    /// <param name="maxDepth">Deepest node of a tree.</param>
    public HeadDrafter(DraftHead head, Transformer target, int branch, int maxDepth)
    {
        (_network, _targetIds) = (head.Network, head.TargetIds);
        target.KeepStates(head.Plan.Layers);
        _network.KeepStates(head.Plan.OwnLayers);
        ModelConfig config = _network.Config;
        _stateSize = head.Plan.StateSize(config.HiddenSize);
        _nothing = new float[_stateSize];
        _own = new float[(SpareSlots + 1) * config.HiddenSize];
        _batch = new ForwardBatch(_network.MaxRows, maxDepth + 1);
        _answers = new DraftAnswers(TreeRows + 1, branch, maxDepth + 1);

        const int lanes = 16;
        int vocabulary = target.Config.VocabularySize;
        int stride = (vocabulary + lanes - 1) / lanes * lanes;
        bool same = _targetIds is null && config.LogitsSize == vocabulary;
        _spread = same ? [] : GC.AllocateUninitializedArray<float>((TreeRows + 1) * stride, pinned: true);
        Array.Fill(_spread, float.NegativeInfinity);
        _logits = same ? default
            : new Tensor(DType.F32, TreeRows + 1, vocabulary, stride, Marshal.UnsafeAddrOfPinnedArrayElement(_spread, 0));
    }

    public Transformer? Model => _network;

    public Stage Stage => Stage.Draft;

    public int Branch => _answers.Branch;

    public int MaxRows => TreeRows;

    public int MaxPending => _batch.MaxRows - TreeRows;

    public int ContextLength => _network.Config.ContextLength;

    public bool WantsStates => true;

    public bool TakesGuesses => false;

    public int Rows => _batch.Count;

    public double Seconds { get; private set; }

    public DraftCache CreateCache(KvCache target, int context) =>
        new(_network.CreateCache(context, SpareSlots)) { States = new PendingStates(_stateSize, MaxPending + 1) };

    public void BeginStep(DraftCache cache, TokenContext context) => _firstSlot = _nextSlot = context.Length - 1;

    /// <summary>The first token of a text follows no state: there is nothing to draft from.</summary>
    public int SlotsLeft(TokenContext context) => context.Length < 2 ? 0 : SpareSlots - (_nextSlot - _firstSlot);

    public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state)
    {
        while (cache.States!.IsFull && cache.Committed <= position)
        {
            TakeIn(cache, context, Math.Min(cache.Committed + MaxPending, position + 1));
        }

        cache.States.Add(position, state);
    }

    public void CatchUp(DraftCache cache, TokenContext context)
    {
        long start = Stopwatch.GetTimestamp();
        TakeIn(cache, context, Math.Min(cache.Committed + MaxPending, context.Length));
        Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public void Begin(DraftCache cache, TokenContext context)
    {
        AddCommitted(cache, context, context.Length);
        _batch.FirstLogitsRow = Math.Max(0, _batch.Count - 1);
        _answers.Clear();
        if (_batch.Count > 0)
        {
            _ownOfRow[_answers.Add([], context.State)] = 0;
        }
    }

    public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
    {
        int batchRow = _batch.Add(tokens[^1], _nextSlot, _firstSlot, slots);
        _network.WriteState(batchRow, Own(slots.Length == 0 ? 0 : OwnOfSlot(slots[^1])), own: true);
        _ownOfRow[_answers.Add(tokens, state)] = OwnOfSlot(_nextSlot);
        return _nextSlot++;
    }

    public void Run(DraftCache cache, TokenContext context)
    {
        long start = Stopwatch.GetTimestamp();
        _batch.FirstStateRow = _batch.FirstLogitsRow;
        Tensor logits = Spread(_network.Forward(_batch, cache.Own!));
        Took(cache, context.Length);
        for (int row = 0; row < _answers.Count; row++)
        {
            _network.ReadState(row, Own(_ownOfRow[row]));
        }

        _answers.Decide(_network.Kernels, logits, context);
        Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities) =>
        ahead > 0 ? 0 : _answers.Candidates(answer, context.Greedy, tokens, probabilities);

    /// <summary>Accepted rows are computed again when the target's states have come.</summary>
    public void Accept(DraftCache cache, ReadOnlySpan<int> slots)
    {
    }

    /// <summary>One pass over committed tokens; nothing is proposed.</summary>
    /// <param name="end">Behind the last of them.</param>
    private void TakeIn(DraftCache cache, TokenContext context, int end)
    {
        AddCommitted(cache, context, end);
        if (_batch.Count > 0)
        {
            _batch.FirstLogitsRow = _batch.Count;
            _network.Forward(_batch, cache.Own!);
            _network.Kernels.Finish();
        }

        Took(cache, end);
    }

    /// <summary>Begins a batch with the committed tokens not seen yet; a state that nobody kept is taken to be zero.</summary>
    private void AddCommitted(DraftCache cache, TokenContext context, int end)
    {
        _batch.Clear();
        for (int position = Math.Max(1, cache.Committed); position < end; position++)
        {
            ReadOnlySpan<float> state = cache.States!.At(position - 1);
            int row = _batch.Add(context.Tokens[position], position - 1);
            _network.WriteState(row, state.IsEmpty ? _nothing : state, own: false);
        }
    }

    /// <summary>
    /// Only behind a pass: of one that failed the cache holds nothing. The last state is kept, for a root that comes again.
    /// </summary>
    private static void Took(DraftCache cache, int end)
    {
        cache.Committed = end;
        cache.States!.DropBefore(end - 2);
    }

    private int OwnOfSlot(int slot) => slot - _firstSlot + 1;

    private Span<float> Own(int index) => _own.AsSpan(index * _network.Config.HiddenSize, _network.Config.HiddenSize);

    /// <summary>Logits at the target's ids.</summary>
    private Tensor Spread(Tensor logits)
    {
        if (_spread.Length == 0)
        {
            return logits;
        }

        for (int row = 0; row < logits.Rows; row++)
        {
            ReadOnlySpan<float> own = logits.Floats(row);
            Span<float> spread = _logits.Floats(row);
            if (_targetIds is null)
            {
                own.CopyTo(spread);
                continue;
            }

            for (int i = 0; i < own.Length; i++)
            {
                spread[_targetIds[i]] = own[i];
            }
        }

        return _logits.RowRange(0, logits.Rows);
    }
}
