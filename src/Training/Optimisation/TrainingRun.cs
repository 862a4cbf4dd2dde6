using System.Diagnostics;
using Understory.Training.Files;
using Understory.Training.Network;
using static TorchSharp.torch;

namespace Understory.Training.Optimisation;

/// <summary>
/// Trains a network for the steps of its settings. Every now and then it saves all that it knows into its folder and, when it is run again,
/// goes on from there: the result is that of a run which nothing stopped.
/// </summary>
public sealed class TrainingRun(TrainingSettings settings, IBatchSource batches, string folder)
{
    /// <summary>Steps that a point of the curve is the mean of.</summary>
    private const int StepsPerPoint = 20;

    public TimeSpan CheckpointEvery { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Texts that are not trained on, by part, each as batches; measured a tenth of the run apart.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<TrainingBatch>> HeldOut { get; init; } =
        new Dictionary<string, IReadOnlyList<TrainingBatch>>();

    /// <summary>What the weights begin as; null: random.</summary>
    public Action<LlamaNetwork>? Begin { get; init; }

    /// <summary>Told after every checkpoint, with the network as it is then.</summary>
    public Action<LlamaNetwork, TrainingState>? Saved { get; init; }

    public Action<TrainingState, StepLoss>? Progress { get; init; }

    /// <summary>Does nothing but training itself, for a measurement of its speed: steps until <paramref name="time"/> is up.</summary>
    /// <returns>Tokens a second.</returns>
    public static double MeasureRate(TrainingSettings settings, IBatchSource batches, Device device, TimeSpan time)
    {
        set_num_threads(settings.Threads);
        using var network = new LlamaNetwork(settings.Shape, device, settings.Bf16);
        network.Randomise(settings.Seed);
        network.Master.requires_grad_(true);
        using var optimiser = new AdamW(network.Master, network.MatrixWeights, settings);
        var loss = new DistillationLoss(network, settings.TeacherShare);
        // The first step makes what later ones find.
        Step(0);
        long start = Stopwatch.GetTimestamp();
        long steps = 0;
        do
        {
            Step(++steps);
        }
        while (Stopwatch.GetElapsedTime(start) < time);
        return steps * settings.BatchTokens / Stopwatch.GetElapsedTime(start).TotalSeconds;

        void Step(long step)
        {
            loss.Backward(batches.Batch(settings.Phases[0], step, settings.BatchTokens));
            Learn(network, optimiser, step);
        }
    }

    /// <summary>Goes a step along the gradient, and frees it.</summary>
    /// <returns>Its norm before clipping.</returns>
    private static double Learn(LlamaNetwork network, AdamW optimiser, long step)
    {
        using Tensor gradient = network.Master.grad!;
        double norm = optimiser.Step(gradient, step);
        network.Master.grad = null;
        return norm;
    }

    /// <summary>A checkpoint's file.</summary>
    public static string CheckpointOf(string folder) => Path.Combine(folder, "checkpoint");

    /// <returns>The trained network, the caller's to dispose of, and what the run was like.</returns>
    /// <exception cref="TrainingException">The loss is no number, or the folder holds another run.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; all steps so far are saved.</exception>
    public (LlamaNetwork Network, TrainingState State) Run(Device device, CancellationToken cancel)
    {
        set_num_threads(settings.Threads);
        Directory.CreateDirectory(folder);
        var network = new LlamaNetwork(settings.Shape, device, settings.Bf16);
        try
        {
            if (Begin is null)
            {
                network.Randomise(settings.Seed);
            }
            else
            {
                Begin(network);
            }

            network.Master.requires_grad_(true);
            return (network, Train(network, cancel));
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    private TrainingState Train(LlamaNetwork network, CancellationToken cancel)
    {
        string path = CheckpointOf(folder);
        using var optimiser = new AdamW(network.Master, network.MatrixWeights, settings);
        var loss = new DistillationLoss(network, settings.TeacherShare);
        TrainingState state = Checkpoint.Load(path, settings, network, optimiser) ?? new TrainingState { Settings = settings };
        double before = state.Seconds;
        long start = Stopwatch.GetTimestamp();
        long saved = start;
        long unmeasured = Math.Max(1, settings.Steps / 10);
        var sums = new Sums();
        if (state.Step == settings.Steps)
        {
            // Whoever ended it may not have come to what is made of the last checkpoint.
            Publish(state, network);
        }

        while (state.Step < settings.Steps)
        {
            (TrainingPhase phase, long within) = settings.PhaseOf(state.Step);
            StepLoss step = loss.Backward(batches.Batch(phase, within, settings.BatchTokens));
            if (!double.IsFinite(step.Text))
            {
                throw new TrainingException($"The loss of step {state.Step} is {step.Text}: try another --seed, or leave --from out.");
            }

            sums.Add(step, Learn(network, optimiser, state.Step));
            long done = state.Step + 1;
            state = state with { Step = done, Seconds = before + Stopwatch.GetElapsedTime(start).TotalSeconds };
            if (sums.Steps == StepsPerPoint || done == settings.Steps)
            {
                double rate = settings.LearningRateAt(done - 1);
                state = state with { Curve = [.. state.Curve, sums.Point(state, rate)] };
                sums = new Sums();
            }

            bool last = done == settings.Steps;
            bool stop = cancel.IsCancellationRequested;
            if (last || done - (state.HeldOut is [.., var measured] ? measured.Step : 0) >= unmeasured)
            {
                state = state with { HeldOut = [.. state.HeldOut, new HeldOutPoint(done, Measured(loss))] };
            }

            Progress?.Invoke(state, step);
            if (last || stop || Stopwatch.GetElapsedTime(saved) >= CheckpointEvery)
            {
                Save(path, state, network, optimiser);
                saved = Stopwatch.GetTimestamp();
            }

            if (!last)
            {
                cancel.ThrowIfCancellationRequested();
            }
        }

        return state;
    }

    private void Save(string path, TrainingState state, LlamaNetwork network, AdamW optimiser)
    {
        Checkpoint.Save(path, state, network, optimiser);
        Publish(state, network);
    }

    private void Publish(TrainingState state, LlamaNetwork network)
    {
        AtomicFile.WriteText(Path.Combine(folder, "loss.svg"), LossPlot.Draw(Path.GetFileName(folder), state));
        Saved?.Invoke(network, state);
    }

    private Dictionary<string, double> Measured(DistillationLoss loss) =>
        HeldOut.ToDictionary(part => part.Key, part => part.Value.Average(batch => loss.Measure(batch).Text));

    private sealed class Sums
    {
        private double _text;
        private double _teacher;
        private double _norm;

        public int Steps { get; private set; }

        public void Add(StepLoss loss, double norm)
        {
            (_text, _teacher, _norm) = (_text + loss.Text, _teacher + loss.Teacher, _norm + norm);
            Steps++;
        }

        public LossPoint Point(TrainingState state, double rate) => new(
            state.Step, state.Step * state.Settings.BatchTokens, state.Seconds, rate, _text / Steps, _teacher / Steps, _norm / Steps);
    }
}
