using System.Diagnostics;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Drafters;

/// <summary>The draft's KV cache of one sequence: positions below <c>Committed</c> hold committed tokens.</summary>
public sealed record DraftCache(KvCache Cache)
{
    public int Committed { get; set; }
}

/// <summary>
/// Stage 2: a small model that ranks candidates by the target's own decision rule, over its own logits. One call is one draft
/// forward over the committed tokens that it has not seen yet and any number of tree rows.
/// </summary>
public class ModelDrafter
{
    /// <summary>Most tree rows of one round.</summary>
    public const int MaxRows = 32;

    /// <summary>Slots of the cache beyond the context that tree rows of one step may take.</summary>
    public const int SpareSlots = 512;

    private readonly Transformer _transformer;
    private readonly ForwardBatch _batch;
    private readonly DecisionBatch _decision;
    private readonly int[] _states = new int[MaxRows + 1];
    private int _nextSlot;

    /// <param name="branch">Candidates per row.</param>
    /// <param name="maxDepth">Deepest node of a tree.</param>
    public ModelDrafter(Transformer transformer, int branch, int maxDepth)
    {
        _transformer = transformer;
        _batch = new ForwardBatch(transformer.MaxRows, maxDepth + 1);
        _decision = new DecisionBatch(MaxRows + 1, branch, maxDepth + 1);
        Branch = branch;
        MaxDepth = maxDepth;
    }

    public Transformer Transformer => _transformer;

    public int Branch { get; }

    public int MaxDepth { get; }

    public int ContextLength => _transformer.Config.ContextLength;

    /// <summary>Seconds of the last pass, decision included.</summary>
    public double Seconds { get; private set; }

    /// <summary>Rows of the last pass.</summary>
    public int Rows => _batch.Count;

    /// <summary>Slots left for tree rows of this step.</summary>
    public int SlotsLeft(TokenContext context) => SpareSlots - (_nextSlot - context.Length);

    public DraftCache CreateCache(int context) => new(_transformer.CreateCache(context, SpareSlots));

    /// <summary>Starts a step: no tree rows yet.</summary>
    public void BeginStep(TokenContext context) => _nextSlot = context.Length;

    /// <summary>Committed tokens that a round can take in beside its tree rows; where more are missing, <see cref="CatchUp"/> goes first.</summary>
    public int MaxPending => _batch.MaxRows - MaxRows;

    /// <summary>One pass over the oldest <see cref="MaxPending"/> committed tokens not seen yet; nothing is proposed.</summary>
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

    /// <summary>
    /// Starts a round with the committed tokens not seen yet, at most <see cref="MaxPending"/>; the last of them is the root and gets row 0 of the
    /// answers.
    /// </summary>
    public void BeginRound(DraftCache cache, TokenContext context)
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

    /// <summary>Adds a tree row; returns its slot. Its answers follow in the order of adding.</summary>
    /// <param name="slots">Draft slots of its ancestors below the root, in depth order.</param>
    /// <param name="tokens">Tokens of its path below the root, its own last.</param>
    /// <param name="state">Where the path stands in the request's constraint.</param>
    public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state = 0)
    {
        _batch.Add(tokens[^1], _nextSlot, context.Length, slots);
        int row = _decision.Rows++;
        tokens.CopyTo(_decision.Path.AsSpan(row * _decision.MaxDepth));
        _decision.PathCount[row] = tokens.Length;
        _states[row] = state;
        return _nextSlot++;
    }

    /// <summary>One forward over what was added; then the decision rule over the root's and the tree's rows.</summary>
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

    /// <summary>The candidates of an answer, best first: their tokens and the draft's probabilities of them.</summary>
    /// <returns>How many there are.</returns>
    public int Candidates(TokenContext context, int answer, Span<int> tokens, Span<float> probabilities)
    {
        int first = answer * Branch;
        int count = 0;
        float sum = 0;
        for (; count < Branch && _decision.Tokens[first + count] >= 0; count++)
        {
            tokens[count] = _decision.Tokens[first + count];
            probabilities[count] = context.Greedy
                ? MathF.Exp(_decision.LogProbs[first + count])
                : MathF.Exp(_decision.Scores[first + count] - _decision.Scores[first]);
            sum += probabilities[count];
        }

        for (int i = 0; i < count && !context.Greedy; i++)
        {
            probabilities[i] /= sum;
        }

        return count;
    }

    /// <summary>Keeps what the draft computed for the accepted path: <paramref name="slots"/> of its leading nodes that the draft has seen.</summary>
    public static void Accept(DraftCache cache, ReadOnlySpan<int> slots)
    {
        cache.Cache.MoveSlots(slots, cache.Committed);
        cache.Committed += slots.Length;
    }

    /// <summary>Lets a derived drafter put other candidates in the place of the model's.</summary>
    protected virtual void Rank(TokenContext context, DecisionBatch decision)
    {
    }

    private Tensor Forward(DraftCache cache)
    {
        long start = Stopwatch.GetTimestamp();
        Tensor logits = _transformer.Forward(_batch, cache.Cache);
        Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return logits;
    }
}
