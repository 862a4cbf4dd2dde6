using TorchSharp;
using Understory.Training.Network;
using Understory.Training.Optimisation;
using Understory.Training.Tests.Network;
using Understory.Training.Texts;

namespace Understory.Training.Tests.Optimisation;

public sealed class TrainingRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static TrainingSettings Settings => new()
    {
        Shape = LlamaNetworkTests.Small,
        Phases = [new TrainingPhase(30, 8), new TrainingPhase(6, 16)],
        BatchTokens = 64,
        WarmUp = 5,
        Threads = 2,
        Bf16 = true,
    };

    private static TokenBatches Texts => new(new TokenFile([.. Enumerable.Range(0, 2000).Select(i => i * i % 61)]), seed: 1);

    [TorchFact]
    public void A_run_that_is_killed_at_any_step_ends_with_the_weights_of_one_that_nothing_stopped()
    {
        (float[] weights, TrainingState state) = Run("whole", stopAt: []);
        (float[] resumed, TrainingState after) = Run("killed", stopAt: [1, 13, 14, 31]);
        Assert.Equal(weights, resumed);
        Assert.Equal(state.Step, after.Step);
        Assert.Equal(state.HeldOut[^1].Parts["counting"], after.HeldOut[^1].Parts["counting"]);
    }

    [TorchFact]
    public void A_checkpoint_that_was_being_written_when_the_process_died_does_not_matter()
    {
        (float[] weights, _) = Run("whole", stopAt: []);
        Directory.CreateDirectory(_folder["killed"]);
        File.WriteAllText(_folder["killed/checkpoint.partial"], "half of");
        (float[] resumed, _) = Run("killed", stopAt: [7]);
        Assert.Equal(weights, resumed);
    }

    [TorchFact]
    public void What_is_made_of_the_last_checkpoint_is_made_by_whoever_finds_it()
    {
        var whole = new TrainingRun(Settings, Texts, _folder["whole"])
        {
            Saved = (_, state) => throw new IOException($"The disk is full at step {state.Step}."),
        };
        Assert.Throws<IOException>(() => whole.Run(torch.CPU, default));
        File.Delete(_folder["whole/loss.svg"]);
        var told = new List<long>();
        var again = new TrainingRun(Settings, Texts, _folder["whole"]) { Saved = (_, state) => told.Add(state.Step) };
        again.Run(torch.CPU, default).Network.Dispose();
        Assert.Equal([Settings.Steps], told);
        Assert.True(File.Exists(_folder["whole/loss.svg"]));
    }

    [TorchFact]
    public void The_loss_falls_and_is_drawn()
    {
        (_, TrainingState state) = Run("whole", stopAt: []);
        Assert.True(state.Curve[^1].Text < state.Curve[0].Text, $"{state.Curve[0].Text} to {state.Curve[^1].Text}");
        string plot = File.ReadAllText(_folder["whole/loss.svg"]);
        Assert.StartsWith("<svg", plot);
        Assert.Contains("held out: counting", plot);
    }

    [TorchFact]
    public void A_folder_with_another_run_is_refused()
    {
        Run("whole", stopAt: []);
        TrainingException error = Assert.Throws<TrainingException>(
            () => new TrainingRun(Settings with { LearningRate = 1 }, Texts, _folder["whole"]).Run(torch.CPU, default));
        Assert.Contains("--work", error.Message);
    }

    [TorchTheory]
    [InlineData(4)]
    [InlineData(200)]
    [InlineData(3000)]
    public void A_checkpoint_that_was_cut_short_is_named(int bytes)
    {
        Run("whole", stopAt: []);
        string path = TrainingRun.CheckpointOf(_folder["whole"]);
        using (FileStream stream = File.OpenWrite(path))
        {
            stream.SetLength(bytes);
        }

        TrainingException error = Assert.Throws<TrainingException>(
            () => new TrainingRun(Settings, Texts, _folder["whole"]).Run(torch.CPU, default));
        Assert.Contains(path, error.Message);
    }

    /// <param name="stopAt">Steps behind which the process dies: what it has not saved is lost.</param>
    private (float[] Weights, TrainingState State) Run(string name, int[] stopAt)
    {
        var deaths = new Queue<int>(stopAt);
        while (true)
        {
            var run = new TrainingRun(Settings, Texts, _folder[name])
            {
                // Behind every step; the one that the process dies in is lost.
                CheckpointEvery = TimeSpan.Zero,
                HeldOut = new Dictionary<string, IReadOnlyList<TrainingBatch>> { ["counting"] = [LlamaNetworkTests.Counting(2, 16, 61)] },
                Progress = (state, _) =>
                {
                    if (deaths.TryPeek(out int death) && state.Step == death)
                    {
                        deaths.Dequeue();
                        throw new OperationCanceledException();
                    }
                },
            };
            try
            {
                (LlamaNetwork network, TrainingState state) = run.Run(torch.CPU, default);
                using (network)
                {
                    return (network.ReadMaster(), state);
                }
            }
            catch (OperationCanceledException)
            {
                // Begins again below, as the next process would.
            }
        }
    }
}
