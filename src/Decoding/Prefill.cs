using System.Diagnostics;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding;

/// <summary>Takes a prompt through the target, chunk by chunk.</summary>
/// <param name="feed">Null: no drafter reads the target's states.</param>
/// <param name="reused">Later sequences may take up what is prefilled here.</param>
internal sealed class Prefill(Transformer target, StateFeed? feed, bool reused)
{
    private readonly ForwardBatch _batch = new(target.MaxRows, 1);
    private readonly PromptScorer _scorer = new(target.Kernels, target.MaxRows, GenerationRequest.MaxAlternatives);

    /// <summary>The next chunk of the sequence's prompt.</summary>
    public StepReport Run(Sequence sequence)
    {
        long start = Stopwatch.GetTimestamp();
        _batch.Clear();
        int from = sequence.PrefilledTokens;
        int memory = Math.Min(MemoryBehind(sequence, from), sequence.PrefillEnd);
        int to = Math.Min(from + _batch.MaxRows, memory);
        for (int position = from; position < to; position++)
        {
            _batch.Add(sequence.Context.Tokens[position], position);
        }

        bool fed = feed is not null && StateFeed.Reads(sequence);
        _batch.FirstLogitsRow = sequence.Request.PromptLogProbs ? 0 : _batch.Count;
        _batch.FirstStateRow = fed || sequence.Hidden is not null ? 0 : int.MaxValue;
        Tensor logits = target.Forward(_batch, sequence.Entry.Target);
        if (sequence.Request.PromptLogProbs)
        {
            _scorer.Score(logits, sequence, from);
        }

        sequence.Hidden?.Add(target, _batch.KeptRows);
        for (int row = 0; fed && row < _batch.Count; row++)
        {
            feed!.Row(sequence, row, from + row);
        }

        target.Kernels.Finish();
        sequence.Prefilled(to);
        if (reused && to == memory)
        {
            sequence.Entry.Target.Remember();
            sequence.Entry.Draft?.Remember();
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        sequence.Statistics.PromptMilliseconds += seconds * 1000;
        return new StepReport(0, 0, to - from, seconds, 0, 0, seconds);
    }

    /// <summary>The next place behind a position where a model with recurrent layers should remember their states.</summary>
    private static int MemoryBehind(Sequence sequence, int position)
    {
        int next = sequence.Entry.Target.NextMemory(position);
        foreach (int point in sequence.Request.PartingPoints)
        {
            next = point > position ? Math.Min(next, point) : next;
        }

        return next;
    }
}
