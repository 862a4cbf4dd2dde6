using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Tensors;

namespace Understory.Decoding.Drafters;

/// <summary>
/// A draft model with another vocabulary than the target's. It reads the text in its own tokens, and its logits are brought to the
/// target's ids before the decision rule sees them, so that noise, penalties and masks are the target's own.
/// <para>
/// A target token's logit is that of its twin; tokens of the draft that are several of the target's count for the first of these,
/// <c>l_v = log(sum of exp l_d over all d whose text begins, by the target's tokenizer, with v)</c>. Where one of them is the
/// likeliest reason for a candidate, its other tokens are the candidate's tail.
/// </para>
/// </summary>
internal sealed class TranslatedDrafter : ModelDrafter, IDisposable
{
    /// <summary>Nats below the best logit from which on a token is no reason for anything. Chosen.</summary>
    private const float Negligible = 12;

    /// <summary>Reasons of an answer that are kept: more than the tokens that matter. Chosen.</summary>
    private const int MostReasons = 64;

    /// <summary>A token of the draft that counts for a target token without being its twin.</summary>
    private readonly record struct Reason(int Target, int Draft, float Logit, float Twin);

    /// <summary>
    /// What a node of the tree is to the draft: rows of its own behind those of its parent, or (<c>Chain</c> is a token, -1 for none)
    /// part of that token's text, or neither, and then the draft goes no further there.
    /// </summary>
    private readonly record struct Entry(int Parent, int First, int Count, int Chain);

    private readonly VocabularyMap _map;
    private readonly DraftWindow _window;
    private readonly MemoryBlock _block;
    private readonly Tensor _logits;
    private readonly float[] _theirs;
    private readonly float[] _ours;
    private readonly Entry[] _entries = new Entry[4 * SpareSlots];
    private readonly int[] _rowTokens = new int[SpareSlots];
    private readonly int[] _path;
    private readonly int[] _accepted;
    private readonly int[] _acceptedTokens;
    private readonly int[] _rows = new int[TreeRows + 1];
    private readonly int[] _entryOf = new int[TreeRows + 1];
    private readonly Reason[] _reasons = new Reason[(TreeRows + 1) * MostReasons];
    private readonly int[] _reasonCounts = new int[TreeRows + 1];
    private int _entryCount;
    private int _extra;

    /// <param name="vocabulary">Columns of the target's logits.</param>
    public TranslatedDrafter(
        Transformer transformer, VocabularyMap map, int vocabulary, int branch, int maxDepth, DraftWindow window)
        : base(transformer, branch, maxDepth, window, vocabulary: null, 2 * TreeRows, 2 * (maxDepth + 1))
    {
        _map = map;
        _window = window;
        int stride = (vocabulary + 15) / 16 * 16;
        _block = transformer.Kernels.Allocate((TreeRows + 1L) * stride * sizeof(float));
        _logits = _block.View(DType.F32, TreeRows + 1, vocabulary, stride);
        _theirs = new float[transformer.Config.VocabularySize];
        _ours = new float[vocabulary];
        _path = new int[2 * (maxDepth + 1)];
        _accepted = new int[2 * (maxDepth + 1)];
        _acceptedTokens = new int[2 * (maxDepth + 1)];
    }

    /// <summary>In words.</summary>
    public string Vocabulary => _map.ToString();

    /// <summary>A row may take several slots: a pass has as many again for those.</summary>
    public override int SlotsLeft(TokenContext context) => Math.Min(SpareSlots - TreeRows - Used, _entries.Length - _entryCount);

    /// <summary>The same text may be more tokens here: room for as many again is kept.</summary>
    public override DraftCache CreateCache(KvCache target, int context)
    {
        int most = Math.Min(2 * context, ContextLength);
        return new TranslatedCache(CreateOwn(most), _window, _map, most + 1);
    }

    public override bool Reaches(DraftCache cache, TokenContext context, int depth)
    {
        int length = ((TranslatedCache)cache).Translate(context.Tokens);
        int most = _window.Last > 0 ? ContextLength : Math.Min(ContextLength, cache.Own!.Tokens);
        return length > 0 && length + (2 * depth) <= most;
    }

    public override void BeginStep(DraftCache cache, TokenContext context)
    {
        base.BeginStep(cache, context);
        _entryCount = 0;
    }

    public override void Begin(DraftCache cache, TokenContext context)
    {
        base.Begin(cache, context);
        _extra = 0;
        _entryOf[0] = -1;
        _rows[0] = 0;
    }

    public override int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
    {
        int parent = slots.IsEmpty ? -1 : slots[^1];
        ReadOnlySpan<int> own = parent >= 0 && _entries[parent].Chain is >= 0 and var whole ? [whole] : _map.DraftOf(tokens[^1]);
        int depth = Path(parent);
        int answer = Answers.Add(tokens, state);
        bool fits = depth >= 0 && own.Length > 0 && _extra + own.Length - 1 <= TreeRows
            && depth + own.Length < _path.Length && TextLength + depth + own.Length <= ContextLength;
        _entryOf[answer] = _entryCount;
        _entries[_entryCount] = new Entry(parent, Used, fits ? own.Length : 0, -1);
        _rows[answer] = -1;
        for (int i = 0; fits && i < own.Length; i++)
        {
            int slot = FirstSpare + Used;
            _rows[answer] = Batch.Add(own[i], TextLength + depth, slot, FirstSpare, _path.AsSpan(0, depth)) - Batch.FirstLogitsRow;
            _rowTokens[Used++] = own[i];
            _path[depth++] = slot;
        }

        _extra += fits ? own.Length - 1 : 0;
        return _entryCount++;
    }

    public override int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities) =>
        _rows[answer] < 0 ? 0 : base.Candidates(context, answer, ahead, tokens, probabilities);

    public override int Tail(int answer, int rank, Span<int> tokens, out float probability, out int slot)
    {
        (probability, slot) = (0, -1);
        int target = Answers.Token(answer, rank);
        ReadOnlySpan<Reason> reasons = _reasons.AsSpan(answer * MostReasons, _reasonCounts[answer]);
        int best = -1;
        float sum = float.NegativeInfinity;
        for (int i = 0; i < reasons.Length; i++)
        {
            if (reasons[i].Target == target)
            {
                sum = LogAdd(best < 0 ? reasons[i].Twin : sum, reasons[i].Logit);
                best = best < 0 || reasons[i].Logit > reasons[best].Logit ? i : best;
            }
        }

        if (best < 0 || reasons[best].Logit <= reasons[best].Twin || _entryCount >= _entries.Length - SpareSlots)
        {
            return 0;
        }

        ReadOnlySpan<int> chain = _map.TargetOf(reasons[best].Draft)[1..];
        chain.CopyTo(tokens);
        if (chain.IsEmpty)
        {
            return 0;
        }

        _entries[_entryCount] = new Entry(_entryOf[answer], 0, 0, reasons[best].Draft);
        probability = MathF.Exp(reasons[best].Logit - sum);
        slot = _entryCount++;
        return chain.Length;
    }

    public override void Accept(DraftCache cache, ReadOnlySpan<int> slots)
    {
        int last = slots.Length - 1;
        while (last >= 0 && _entries[slots[last]].Count == 0)
        {
            last--;
        }

        int count = last < 0 ? 0 : Path(slots[last]);
        for (int i = 0; i < count; i++)
        {
            _accepted[i] = _path[i];
            _acceptedTokens[i] = _rowTokens[_path[i] - FirstSpare];
        }

        cache.Own!.MoveSlots(_accepted.AsSpan(0, count), cache.Slot(cache.Held));
        ((TranslatedCache)cache).Accept(_acceptedTokens.AsSpan(0, count), last + 1);
    }

    public void Dispose() => _block.Dispose();

    private protected override Tensor ByTargetIds(Tensor logits)
    {
        for (int answer = 0; answer < Answers.Count; answer++)
        {
            _reasonCounts[answer] = 0;
            if (_rows[answer] < 0)
            {
                Array.Clear(_ours);
            }
            else
            {
                Tensor row = logits.RowRange(_rows[answer], 1);
                Transformer.Kernels.Read(row.Data, _theirs);
                Translate(answer);
            }

            Transformer.Kernels.Write(_ours, _logits.RowRange(answer, 1).Data);
        }

        return _logits.RowRange(0, Answers.Count);
    }

    private static float LogAdd(float a, float b)
    {
        float most = Math.Max(a, b);
        return float.IsFinite(most) ? most + MathF.Log(1 + MathF.Exp(Math.Min(a, b) - most)) : most;
    }

    /// <summary>The logits of an answer, from the draft's ids to the target's.</summary>
    private void Translate(int answer)
    {
        ReadOnlySpan<int> twins = _map.Twins;
        float most = float.NegativeInfinity;
        for (int token = 0; token < twins.Length; token++)
        {
            float logit = twins[token] >= 0 ? _theirs[twins[token]] : float.NegativeInfinity;
            _ours[token] = logit;
            most = Math.Max(most, logit);
        }

        foreach (int draft in _map.Others)
        {
            float logit = _theirs[draft];
            if (!(logit > most - Negligible) || _reasonCounts[answer] == MostReasons)
            {
                continue;
            }

            most = Math.Max(most, logit);
            int target = _map.TargetOf(draft)[0];
            float twin = twins[target] >= 0 ? _theirs[twins[target]] : float.NegativeInfinity;
            _ours[target] = LogAdd(_ours[target], logit);
            _reasons[(answer * MostReasons) + _reasonCounts[answer]++] = new Reason(target, draft, logit, twin);
        }
    }

    /// <summary>Slots of the draft's rows from below the root to a node, in depth order.</summary>
    /// <param name="entry">Of the node; -1: the root.</param>
    /// <returns>How many; -1: the draft does not go so far.</returns>
    private int Path(int entry)
    {
        int depth = 0;
        for (int at = entry; at >= 0; at = _entries[at].Parent)
        {
            if (_entries[at] is { Count: 0, Chain: < 0 })
            {
                return -1;
            }

            depth += _entries[at].Count;
        }

        int end = depth;
        for (int at = entry; at >= 0; at = _entries[at].Parent)
        {
            for (int i = _entries[at].Count - 1; i >= 0; i--)
            {
                _path[--end] = FirstSpare + _entries[at].First + i;
            }
        }

        return depth;
    }
}
