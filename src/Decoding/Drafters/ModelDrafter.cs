using System.Diagnostics;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Drafters;

/// <summary>
/// A small model that ranks candidates by the target's own decision rule, over its own logits. One call is one draft
/// forward over the committed tokens that it has not seen yet and any number of tree rows.
/// </summary>
public class ModelDrafter : IDraftModel
{
    /// <summary>Most tree rows of one round: a wider pass is bound by arithmetic, and its last rows are unlikely ones.</summary>
    private const int TreeRows = 32;

    /// <summary>Slots of the cache beyond the context that tree rows of one step may take.</summary>
    public const int SpareSlots = 512;

    private readonly Transformer _transformer;
    private readonly ForwardBatch _batch;
    private readonly DecisionBatch _decision;
    private readonly int[] _states = new int[TreeRows + 1];
    private int _nextSlot;

    /// <param name="branch">Candidates per row.</param>
    /// <param name="maxDepth">Deepest node of a tree.</param>
    public ModelDrafter(Transformer transformer, int branch, int maxDepth)
    {
        _transformer = transformer;
        _batch = new ForwardBatch(transformer.MaxRows, maxDepth + 1);
        _decision = new DecisionBatch(TreeRows + 1, branch, maxDepth + 1);
        Branch = branch;
    }

    public Transformer Transformer => _transformer;

    public int Branch { get; }

    public int MaxRows => TreeRows;

    public Stage Stage => Stage.Draft;

    public bool WantsStates => false;

    public int ContextLength => _transformer.Config.ContextLength;

    public double Seconds { get; private set; }

    public int Rows => _batch.Count;

    public int SlotsLeft(TokenContext context) => SpareSlots - (_nextSlot - context.Length);

    public DraftCache CreateCache(KvCache target, int context) => new(_transformer.CreateCache(context, SpareSlots));

    /// <summary>It reads no states but its own.</summary>
    public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state)
    {
    }

    public void BeginStep(TokenContext context) => _nextSlot = context.Length;

    public int MaxPending => _batch.MaxRows - TreeRows;

    public void CatchUp(DraftCache cache, TokenContext context)
    {
        _batch.Clear();
        int end = Math.Min(cache.Committed + MaxPending, context.Length);
        for (int position = cache.Committed; position < end; position++)
        {
            _batch.Add(context.Tokens[position], position);
        }

        _batch.FirstLogitsRow = _batch.Count;
        long start = Stopwatch.GetTimestamp();
        Forward(cache);
        _transformer.Kernels.Finish();
        Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        cache.Committed = end;
    }

    public void Begin(DraftCache cache, TokenContext context)
    {
        ReadOnlySpan<int> tokens = context.Tokens;
        _batch.Clear();
        for (int position = cache.Committed; position < tokens.Length; position++)
        {
            _batch.Add(tokens[position], position);
        }

        _batch.FirstLogitsRow = Math.Max(0, _batch.Count - 1);
        _decision.Rows = _batch.Count - _batch.FirstLogitsRow;
        if (_decision.Rows == 1)
        {
            _decision.PathCount[0] = 0;
            _states[0] = context.State;
        }
    }

    public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
    {
        _batch.Add(tokens[^1], _nextSlot, context.Length, slots);
        int row = _decision.Rows++;
        tokens.CopyTo(_decision.Path.AsSpan(row * _decision.MaxDepth));
        _decision.PathCount[row] = tokens.Length;
        _states[row] = state;
        return _nextSlot++;
    }

    public void Run(DraftCache cache, TokenContext context)
    {
        Tensor logits = Forward(cache);
        // Only now: of a pass that failed the cache holds nothing.
        cache.Committed = context.Length;
        long start = Stopwatch.GetTimestamp();
        context.Describe(_decision, Branch);
        for (int row = 0; row < _decision.Rows; row++)
        {
            _decision.Positions[row] = _batch.Positions[_batch.FirstLogitsRow + row] + 1;
            _decision.Given[row] = -1;
            context.Matcher?.CopyMask(_states[row], _decision, row);
        }

        _transformer.Kernels.Decide(logits, _decision);
        Rank(context, _decision);
        Seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities) =>
        ahead > 0 ? 0 : DraftCandidates.Read(_decision, answer, Branch, context.Greedy, tokens, probabilities);

    public void Accept(DraftCache cache, ReadOnlySpan<int> slots)
    {
        cache.Own!.MoveSlots(slots, cache.Committed);
        cache.Committed += slots.Length;
    }

    /// <summary>Lets a derived drafter put other candidates in the place of the model's.</summary>
    protected virtual void Rank(TokenContext context, DecisionBatch decision)
    {
    }

    private Tensor Forward(DraftCache cache)
    {
        long start = Stopwatch.GetTimestamp();
        Tensor logits = _transformer.Forward(_batch, cache.Own!);
        Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return logits;
    }
}
