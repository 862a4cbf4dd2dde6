using TorchSharp;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Training.Network;
using Understory.Training.Optimisation;

namespace Understory.Training.Tests.Network;

public class LlamaNetworkTests
{
    public const int Vocabulary = 4096;

    public static LlamaShape Small { get; } = new(64, 32, 2, 2, 1, 64, 32);

    /// <summary>All logits of a text by the engine, <c>[text.Length, vocabulary]</c>.</summary>
    internal static float[] Logits(Transformer model, int[] text)
    {
        using KvCache cache = model.CreateCache(text.Length);
        var batch = new ForwardBatch(text.Length, 1);
        for (int at = 0; at < text.Length; at++)
        {
            batch.Add(text[at], at);
        }

        Tensor logits = model.Forward(batch, cache);
        var found = new float[text.Length * model.Config.VocabularySize];
        for (int row = 0; row < text.Length; row++)
        {
            logits.Floats(row).CopyTo(found.AsSpan(row * logits.Columns));
        }

        return found;
    }

    /// <summary>A text that a small model can learn by heart.</summary>
    internal static TrainingBatch Counting(int rows, int length, int vocabulary = 64)
    {
        long[] tokens = new long[rows * length];
        long[] next = new long[rows * length];
        for (int i = 0; i < tokens.Length; i++)
        {
            (int row, int at) = Math.DivRem(i, length);
            tokens[i] = ((row * 7) + (at * 3)) % vocabulary;
            next[i] = ((row * 7) + ((at + 1) * 3)) % vocabulary;
        }

        return new TrainingBatch(rows, length, tokens, next);
    }

    [TorchFact]
    public void The_same_seed_gives_the_same_weights()
    {
        using var first = new LlamaNetwork(Small, torch.CPU, bf16: false);
        using var second = new LlamaNetwork(Small, torch.CPU, bf16: false);
        using var other = new LlamaNetwork(Small, torch.CPU, bf16: false);
        first.Randomise(1);
        second.Randomise(1);
        other.Randomise(2);
        Assert.Equal(first.ReadMaster(), second.ReadMaster());
        Assert.NotEqual(first.ReadMaster(), other.ReadMaster());
        Assert.Equal(Small.Parameters, first.Master.numel());
    }

    [TorchFact]
    public void The_gradient_is_that_of_the_loss_by_differences()
    {
        using var network = new LlamaNetwork(Small, torch.CPU, bf16: false);
        network.Randomise(1);
        network.Master.requires_grad_(true);
        var loss = new DistillationLoss(network, 0.6);
        TrainingBatch batch = Taught(Counting(2, 16));
        loss.Backward(batch);
        float[] gradient = network.Master.grad!.data<float>().ToArray();
        float[] weights = network.ReadMaster();
        double Loss()
        {
            StepLoss measured = loss.Measure(batch);
            return (0.4 * measured.Text) + (0.6 * measured.Teacher);
        }

        // Along the gradient itself, where differences are largest.
        double norm = Math.Sqrt(gradient.Sum(value => (double)value * value));
        const double Step = 1e-2;
        network.WriteMaster([.. weights.Zip(gradient, (weight, slope) => (float)(weight + (Step * slope / norm)))]);
        double above = Loss();
        network.WriteMaster([.. weights.Zip(gradient, (weight, slope) => (float)(weight - (Step * slope / norm)))]);
        double below = Loss();
        Assert.Equal(norm, (above - below) / (2 * Step), norm * 0.02);
    }

    [TorchTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_learns_a_text_by_heart(bool bf16)
    {
        using var network = new LlamaNetwork(Small, torch.CPU, bf16);
        network.Randomise(1);
        network.Master.requires_grad_(true);
        var settings = new TrainingSettings { Shape = Small, Phases = [new TrainingPhase(200, 16)], WarmUp = 10, LearningRate = 1e-2 };
        using var optimiser = new AdamW(network.Master, network.MatrixWeights, settings);
        var loss = new DistillationLoss(network, 0.5);
        TrainingBatch batch = Counting(4, 16);
        double first = loss.Measure(batch).Text;
        for (int step = 0; step < 200; step++)
        {
            loss.Backward(batch);
            optimiser.Step(network.Master.grad!, step);
            network.Master.grad = null;
        }

        Assert.InRange(first, 3.5, 5);
        Assert.InRange(loss.Measure(batch).Text, 0, 0.3);
    }

    [Fact]
    public void Sizes_that_do_not_go_together_are_refused()
    {
        Assert.Throws<TrainingException>(() => (Small with { Hidden = 33 }).Validated());
        Assert.Throws<TrainingException>(() => (Small with { KvHeads = 3 }).Validated());
    }

    /// <summary>A teacher that finds the next token likely and the one after it less so.</summary>
    internal static TrainingBatch Taught(TrainingBatch batch) => batch with
    {
        Kept = 2,
        TeacherTokens = [.. batch.Next.SelectMany(token => (long[])[token, (token + 1) % 64])],
        TeacherLogProbs = [.. batch.Next.SelectMany(_ => (float[])[MathF.Log(0.7f), MathF.Log(0.2f)])],
    };
}
