using TorchSharp;
using Understory.Training.Network;
using static TorchSharp.torch;

namespace Understory.Training.Optimisation;

/// <summary>Texts of another source with what a trained network thinks of them.</summary>
/// <param name="kept">Tokens of its distribution that are kept at every place.</param>
public sealed class TaughtBatches(IBatchSource texts, LlamaNetwork teacher, int kept) : IBatchSource
{
    public TrainingBatch Batch(TrainingPhase phase, long step, int batchTokens)
    {
        TrainingBatch batch = texts.Batch(phase, step, batchTokens);
        using IDisposable untracked = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor logits = teacher.Logits(tensor(batch.Tokens, [batch.Rows, batch.Length]).to(teacher.Device));
        (Tensor values, Tensor tokens) = logits.topk(kept, 1);
        Tensor logProbs = values - logits.logsumexp(1, keepdim: true);
        return batch with
        {
            Kept = kept,
            TeacherTokens = tokens.cpu().flatten().data<long>().ToArray(),
            TeacherLogProbs = logProbs.cpu().flatten().data<float>().ToArray(),
        };
    }
}
