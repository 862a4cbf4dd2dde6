using System.Globalization;
using TorchSharp;
using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tokenizers;
using Understory.Training.Drafting;
using Understory.Training.Network;
using Understory.Training.Optimisation;
using Understory.Training.Texts;
using Understory.Training.Torch;

namespace Understory.Training.Demo;

/// <summary>What a pair of models trained from nothing is to be.</summary>
/// <param name="Target">Its shape.</param>
/// <param name="Draft">That of its draft, of the same vocabulary.</param>
/// <param name="TargetTokens">That the target is trained on.</param>
/// <param name="DraftTokens">That the draft is trained on, with the target's opinion of them.</param>
/// <param name="NgramTokens">That the draft writes for the n-gram.</param>
public sealed record PairSettings(LlamaShape Target, LlamaShape Draft, long TargetTokens, long DraftTokens, long NgramTokens)
{
    /// <summary>Length of texts in the first nine tenths.</summary>
    public int ShortTexts { get; init; } = 256;

    /// <summary>In the last tenth.</summary>
    public int LongTexts { get; init; } = 1024;

    public int BatchTokens { get; init; } = 8192;

    public long NgramBytes { get; init; } = 1_572_864;

    public int Seed { get; init; } = 1;

    public bool Bf16 { get; init; } = true;

    public double LearningRate { get; init; } = 2e-3;

    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>A run's steps: nine tenths with short texts, one with long ones.</summary>
    internal TrainingSettings Training(LlamaShape shape, long tokens)
    {
        long steps = Math.Max(10, tokens / BatchTokens);
        return new TrainingSettings
        {
            Shape = shape,
            Phases = [new TrainingPhase(steps - (steps / 10), ShortTexts), new TrainingPhase(steps / 10, LongTexts)],
            BatchTokens = BatchTokens,
            LearningRate = LearningRate,
            WarmUp = Math.Clamp(steps / 50, 5, 200),
            Seed = Seed,
            Bf16 = Bf16,
            Threads = Threads,
        };
    }
}

/// <summary>
/// Trains a target from nothing, a draft beside it that learns from it, and counts the draft's n-grams. Whatever is done is kept in the
/// work folder every few minutes; the same call goes on from there.
/// </summary>
/// <param name="write">Writes a model into a folder, as the server is to load it, and returns its path; called at checkpoints.</param>
internal sealed class Pretraining(PairSettings settings, Tokenizer tokenizer, WorkFolder work,
    Func<string, LlamaNetwork, string> write, CancellationToken cancel)
{
    /// <summary>The texts in tokens, in the work folder.</summary>
    public const string TokensFile = "tokens";

    private const int Kept = 64;
    private const int HeldOutWindows = 32;

    /// <summary>Tokens of different texts at most; runs over more go through them again, in another order. Chosen: two gigabytes.</summary>
    private const long MostTextTokens = 500_000_000;

    public TimeSpan CheckpointEvery { get; init; } = TimeSpan.FromMinutes(5);

    private int End => tokenizer.EosId ?? throw new TrainingException("The tokenizer names no token that ends a text.");

    /// <returns>What the target's run and the draft's were like.</returns>
    public (TrainingState Target, TrainingState Draft) Run(IReadOnlyList<ITextSource> sources)
    {
        TorchRuntime.Require();
        TokenFile tokens = Tokens(sources);
        // A part of a few texts may not fill a single window.
        Dictionary<string, IReadOnlyList<TrainingBatch>> heldOut = sources
            .Select(source => (source.Name, Batches: (IReadOnlyList<TrainingBatch>)TokenBatches.All(
                new TokenFile([.. source.HeldOut().SelectMany(text => (int[])[.. tokenizer.Bare.Encode(text), End])]),
                settings.ShortTexts, HeldOutWindows)))
            .Where(part => part.Batches.Count > 0)
            .ToDictionary(part => part.Name, part => part.Batches);
        var batches = new TokenBatches(tokens, settings.Seed);
        torch.Device device = TorchRuntime.Device();

        (LlamaNetwork target, TrainingState targetState) =
            Train("target", settings.Training(settings.Target, settings.TargetTokens), batches);
        using (target)
        {
            (LlamaNetwork draft, TrainingState draftState) = Train("draft", settings.Training(settings.Draft, settings.DraftTokens),
                new TaughtBatches(batches, target, Kept));
            draft.Dispose();
            return (targetState, draftState);
        }

        (LlamaNetwork Network, TrainingState State) Train(string name, TrainingSettings training, IBatchSource texts)
        {
            work.Say($"training the {name}: {training.Shape.Parameters / 1e6:F2}M weights, {training.Tokens / 1e6:F1}M tokens");
            return new TrainingRun(training, texts, work.File(name + "-training"))
            {
                CheckpointEvery = CheckpointEvery,
                HeldOut = heldOut,
                Saved = (network, _) => write(Directory.CreateDirectory(work.File(name)).FullName, network),
                Progress = (state, loss) => work.Progress($"the {name}", state.Step, training.Steps, string.Create(
                    CultureInfo.InvariantCulture, $", {loss.Text:F3} nats a token, {state.Seconds / 60:F0} minutes")),
            }.Run(device, cancel);
        }
    }

    /// <summary>Counts n-grams of what the trained draft writes.</summary>
    /// <param name="path">The draft, as it was written.</param>
    /// <returns>The n-gram's file.</returns>
    public string Count(string path)
    {
        const int Length = 256;
        string output = work.File("draft.ngram");
        if (File.Exists(output))
        {
            return output;
        }

        using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name);
        using LanguageModel draft = ModelLoader.Load(path, kernels, new LoadOptions());
        using var sampler = new DraftSampler(draft, End, Length, temperature: 1);
        var builder = new NgramBuilder(sampler, draft.Config.VocabularySize, draft.Tokenizer.Fingerprint) { SaveEvery = 2048 };
        int samples = (int)Math.Max(1, settings.NgramTokens / Length);
        NgramCounts counts = builder.Run((ulong)settings.Seed, samples, output + ".counts", new CountingReport(work), cancel);
        NgramModel.Build(counts, new NgramBuildOptions { MaxBytes = settings.NgramBytes }).Save(output);
        File.Delete(output + ".counts");
        return output;
    }

    private TokenFile Tokens(IReadOnlyList<ITextSource> sources)
    {
        string path = work.File(TokensFile);
        if (File.Exists(path))
        {
            return TokenFile.Load(path);
        }

        work.Say("writing the texts");
        TokenFile tokens = TokenFile.Collect(sources, tokenizer, End, Math.Min(settings.TargetTokens, MostTextTokens), settings.Seed);
        tokens.Save(path);
        return tokens;
    }
}
