using TorchSharp;
using Understory.Training.Network;
using static TorchSharp.torch;

namespace Understory.Training.Optimisation;

/// <param name="Text">Mean cross-entropy of the text's own tokens, nats a token.</param>
/// <param name="Teacher">
/// Mean divergence from the teacher over the tokens that it kept, <c>sum p (log p - log q)</c>, nats; 0 without one.
/// </param>
public readonly record struct StepLoss(double Text, double Teacher);

/// <summary>
/// The loss <c>a KL(teacher, model) + (1 - a) CE(text)</c> with its gradient. The teacher's part is over the tokens that were kept:
/// <c>-sum p log q</c> plus what no weight changes. Logits of a large vocabulary are made for some hundred places at a time.
/// </summary>
internal sealed class DistillationLoss(LlamaNetwork network, double teacherShare)
{
    /// <summary>Chosen: logits of 96 MB.</summary>
    private const int LogitsAtOnce = 24 << 20;

    private readonly int _places = Math.Max(64, LogitsAtOnce / network.Shape.Vocabulary);

    /// <summary>Adds the loss's gradient to <c>network.Master.grad</c>.</summary>
    public StepLoss Backward(TrainingBatch batch)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] parts = network.Parts(network.Master);
        Tensor hidden = network.Hidden(parts, Tokens(batch));
        // Head and body apart: the head's gradient is summed over chunks before it goes on.
        Tensor states = hidden.detach().requires_grad_(true);
        Tensor head = network.Head(parts).detach().requires_grad_(true);
        StepLoss loss = OverChunks(batch, states, head, backward: true);
        autograd.backward([hidden, parts[0]], [states.grad!, head.grad!.to(ScalarType.Float32)]);
        return loss;
    }

    public StepLoss Measure(TrainingBatch batch)
    {
        using IDisposable untracked = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor[] parts = network.Parts(network.Master);
        return OverChunks(batch, network.Hidden(parts, Tokens(batch)), network.Head(parts), backward: false);
    }

    private Tensor Tokens(TrainingBatch batch) => tensor(batch.Tokens, [batch.Rows, batch.Length]).to(network.Device);

    private StepLoss OverChunks(TrainingBatch batch, Tensor states, Tensor head, bool backward)
    {
        (double text, double teacher) = (0, 0);
        int places = batch.Tokens.Length;
        for (int from = 0; from < places; from += _places)
        {
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(_places, places - from);
            Tensor wanted = tensor(batch.Next[from..(from + count)], [count, 1]).to(network.Device);
            Tensor? logProbs = null;
            if (batch.Kept > 0)
            {
                (int first, int last) = (from * batch.Kept, (from + count) * batch.Kept);
                wanted = cat([wanted, tensor(batch.TeacherTokens[first..last], [count, batch.Kept]).to(network.Device)], 1);
                logProbs = tensor(batch.TeacherLogProbs[first..last], [count, batch.Kept]).to(network.Device);
            }

            Tensor logits = LlamaNetwork.Logits(states.narrow(0, from, count), head);
            Tensor log = logits.gather(1, wanted) - logits.logsumexp(1, keepdim: true);
            Tensor own = log.narrow(1, 0, 1).sum();
            text -= own.item<float>();
            Tensor loss = own;
            if (logProbs is not null)
            {
                Tensor probabilities = logProbs.exp();
                Tensor taught = log.narrow(1, 1, batch.Kept);
                teacher += (probabilities * (logProbs - taught.detach())).sum().item<float>();
                loss = (own * (1 - teacherShare)) + ((probabilities * taught).sum() * teacherShare);
            }

            if (backward)
            {
                (loss / -places).backward();
            }
        }

        return new StepLoss(text / places, teacher / places);
    }
}
