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
    private protected const int TreeRows = 32;

    /// <summary>Slots of the cache beyond the context that tree rows of one step may take.</summary>
    public const int SpareSlots = 512;

    private readonly Transformer _transformer;
    private readonly DraftWindow _window;
    private readonly int _columns;

    /// <param name="branch">Candidates per row.</param>
    /// <param name="maxDepth">Deepest node of a tree.</param>
    /// <param name="window">What it attends to.</param>
    /// <param name="vocabulary">Columns of its logits that are the target's; null: all.</param>
    public ModelDrafter(Transformer transformer, int branch, int maxDepth, DraftWindow window = default, int? vocabulary = null)
        : this(transformer, branch, maxDepth, window, vocabulary, TreeRows, maxDepth + 1)
    {
    }

    /// <param name="reserved">Rows of a pass that committed tokens leave to those of a tree.</param>
    /// <param name="maxPath">Most rows of a path, its own included.</param>
    private protected ModelDrafter(
        Transformer transformer, int branch, int maxDepth, DraftWindow window, int? vocabulary, int reserved, int maxPath)
    {
        _transformer = transformer;
        _window = window;
        _columns = vocabulary ?? transformer.Config.VocabularySize;
        Batch = new ForwardBatch(transformer.MaxRows, maxPath);
        Answers = new DraftAnswers(TreeRows + 1, branch, maxDepth + 1);
        MaxPending = transformer.MaxRows - reserved;
    }

    public Transformer Transformer => _transformer;

    public Transformer? Model => _transformer;

    public int Branch => Answers.Branch;

    public virtual int MaxRows => TreeRows;

    public virtual int Ahead => 1;

    public Stage Stage => Stage.Draft;

    public bool WantsStates => false;

    public int ContextLength => _transformer.Config.ContextLength;

    public double Seconds { get; private set; }

    public int Rows => Batch.Count;

    public int MaxPending { get; }

    private protected ForwardBatch Batch { get; }

    private protected DraftAnswers Answers { get; }

    /// <summary>Spare slots that this step's tree rows have taken.</summary>
    private protected int Used { get; set; }

    /// <summary>The slot behind the committed text: the first of the spare ones.</summary>
    private protected int FirstSpare { get; private set; }

    /// <summary>Positions of the committed text, as the drafter reads it.</summary>
    private protected int TextLength { get; private set; }

    public virtual int SlotsLeft(TokenContext context) => SpareSlots - Used;

    public virtual bool Reaches(DraftCache cache, TokenContext context, int depth) => true;

    public int Pending(DraftCache cache, TokenContext context) => cache.Missing(cache.Text(context).Length);

    public virtual DraftCache CreateCache(KvCache target, int context) => new(CreateOwn(context), _window);

    /// <summary>It reads no states but its own.</summary>
    public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state)
    {
    }

    public virtual void BeginStep(DraftCache cache, TokenContext context) => Used = 0;

    public void CatchUp(DraftCache cache, TokenContext context)
    {
        int end = AddPending(cache, cache.Text(context), MaxPending);
        Batch.FirstLogitsRow = Batch.Count;
        long start = Stopwatch.GetTimestamp();
        Forward(cache);
        _transformer.Kernels.Finish();
        Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        cache.Hold(context, end);
    }

    public virtual void Begin(DraftCache cache, TokenContext context)
    {
        ReadOnlySpan<int> text = cache.Text(context);
        TextLength = AddPending(cache, text, Batch.MaxRows);
        FirstSpare = cache.Slot(TextLength);
        Batch.FirstLogitsRow = Math.Max(0, Batch.Count - 1);
        Answers.Clear();
        if (Batch.Count > 0)
        {
            Answers.Add([], context.State);
        }
    }

    public virtual int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
    {
        int slot = FirstSpare + Used++;
        Batch.Add(tokens[^1], TextLength + slots.Length, slot, FirstSpare, slots);
        Answers.Add(tokens, state);
        return slot;
    }

    public void Run(DraftCache cache, TokenContext context)
    {
        Tensor logits = Forward(cache);
        // Only now: of a pass that failed the cache holds nothing.
        cache.Hold(context, TextLength);
        long start = Stopwatch.GetTimestamp();
        Rank(context, Answers.Decide(_transformer.Kernels, ByTargetIds(logits), context));
        Seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public virtual int Tail(int answer, int rank, Span<int> tokens, out float probability, out int slot)
    {
        (probability, slot) = (0, -1);
        return 0;
    }

    public virtual int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities) =>
        ahead > 0 ? 0 : Answers.Candidates(answer, context.Greedy, tokens, probabilities);

    public virtual void Accept(DraftCache cache, ReadOnlySpan<int> slots)
    {
        cache.Own!.MoveSlots(slots, cache.Slot(cache.Committed));
        cache.Committed += slots.Length;
    }

    /// <summary>Lets a derived drafter put other candidates in the place of the model's.</summary>
    protected virtual void Rank(TokenContext context, DecisionBatch decision)
    {
    }

    /// <summary>What the next pass reads and writes.</summary>
    protected virtual KvCache Keys(DraftCache cache) => cache.Own!;

    /// <summary>The logits of the rows that are answered, by the target's ids.</summary>
    private protected virtual Tensor ByTargetIds(Tensor logits) =>
        logits.Columns > _columns ? logits.ColumnRange(0, _columns) : logits;

    /// <param name="context">Positions of the drafter's text that it has to hold at most.</param>
    private protected KvCache CreateOwn(int context)
    {
        int most = _window.Most(context);
        return _transformer.CreateCache(most < context ? Math.Min(context, most + MaxPending) : context, SpareSlots);
    }

    /// <summary>Begins a batch with at most so many of the committed tokens that the cache lacks.</summary>
    /// <returns>The position behind the last of them.</returns>
    private int AddPending(DraftCache cache, ReadOnlySpan<int> text, int most)
    {
        Batch.Clear();
        // While nothing is pending the rows of a tree stand behind the text: it stays where it is.
        int position = cache.Held < text.Length ? cache.Slide(cache.Held, text.Length) : text.Length;
        while (position < text.Length && Batch.Count < most)
        {
            if (position == DraftWindow.Sinks)
            {
                position = cache.Slide(position, text.Length);
            }

            Batch.Add(text[position], position, cache.Slot(position));
            position++;
        }

        return position;
    }

    private Tensor Forward(DraftCache cache)
    {
        long start = Stopwatch.GetTimestamp();
        Tensor logits = _transformer.Forward(Batch, Keys(cache));
        Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return logits;
    }
}
