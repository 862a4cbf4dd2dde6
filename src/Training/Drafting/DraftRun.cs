using System.Diagnostics;
using System.Globalization;
using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Server.Hosting;
using Understory.Training.Files;
using Understory.Training.Network;
using Understory.Training.Optimisation;
using Understory.Training.Torch;

namespace Understory.Training.Drafting;

/// <summary>
/// Makes a draft for a target: measure what the machine does, collect the target's opinion of texts, train, count the draft's n-grams,
/// measure what it brings, install it where it is faster. Each step keeps what it did in the work folder; taken up again, the run goes on.
/// </summary>
internal sealed class DraftRun(DraftRequest request, IReadOnlyList<string> texts, WorkFolder work, CancellationToken cancel)
{
    private const int Kept = 64;
    private const int LongestSample = 512;
    private const int LongestContext = 2048;
    private const int HeldOutGroup = 0;
    private const int NgramSampleTokens = 256;
    private const long MostNgramTokens = 20_000_000;
    private const long NgramBytes = 1_572_864;

    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <returns>Whether something was installed.</returns>
    public bool Run()
    {
        TorchRuntime.Require();
        DraftInstaller.Require(request.Target);
        using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name);
        using LanguageModel target = ModelLoader.Load(request.Target, kernels, new LoadOptions());
        int length = Math.Min(LongestSample, target.Config.ContextLength / 2);
        List<int[]> pieces = UserTexts.Pieces(texts, target, length, work.Say);
        (List<int[]> training, List<int[]> heldOut) = UserTexts.Parted(pieces);
        work.Say($"Target: {target.Name}; work folder: {work.Path}");

        DraftPlan plan = Plan(target, training, length);
        using var samples = new SampleFile(work.File("samples"), plan.Length, plan.Kept);
        using var unseen = new SampleFile(work.File("heldout"), plan.Length, plan.Kept);
        Collect(plan, target, training, heldOut, samples, unseen);
        DraftVocabulary? vocabulary = plan.Shape.Vocabulary == target.Config.VocabularySize ? null : new DraftVocabulary(
            target, plan.Shape.Vocabulary, Enumerable.Range(0, samples.Count).SelectMany(number => samples.Read(number).Tokens));
        string draft = Train(plan, target, vocabulary, samples, unseen);
        NgramModel ngram = Count(plan, target, vocabulary?.Map, kernels, draft, samples);
        DraftVerdict verdict = Measure(plan, target, kernels, draft, ngram, unseen);
        Report(verdict);
        return Install(verdict, draft);
    }

    private DraftPlan Plan(LanguageModel target, List<int[]> training, int length)
    {
        if (work.Read<DraftPlan>("plan.json") is { } known)
        {
            string differences = request.Differences(known.Request);
            return differences.Length == 0 ? known : throw new TrainingException(
                $"{work.Path} holds a run for another request ({differences}): give the same options, another --work folder, or delete "
                + "it.");
        }

        work.Say("1/6 measuring what this machine does");
        int vocabulary = DraftVocabulary.SizeFor(target) ?? target.Config.VocabularySize;
        LlamaShape shape = request.From is { } from
            ? Tuned(from, target, length)
            : DraftPlan.ShapeFor(target.Transformer.WeightBytes, vocabulary, Math.Min(LongestContext, target.Config.ContextLength),
                ModelFiles.BytesPerWeight(request.Target));
        int kept = Math.Min(Kept, target.Config.VocabularySize);
        DraftRates rates = RateMeasurement.Run(target, training, shape, length, kept, cancel);
        DraftPlan plan = DraftPlan.Make(request, rates, shape, length, kept, training.Count);
        work.Say(string.Create(Invariant, $"  a second: {rates.Score:N0} tokens read, {rates.Write:N0} written by the target, "
            + $"{rates.Train:N0} trained on ({(plan.Bf16 ? "bf16" : "f32")}; {shape.Parameters / 1e6:F2}M weights, {shape.Layers} "
            + $"layers of {shape.Hidden}, {shape.Vocabulary:N0} tokens)"));
        work.Say(string.Create(Invariant, $"  {request.Minutes:0.##} minutes give {plan.Tokens:N0} tokens: {plan.Given * (long)length:N0} "
            + $"of your texts, {plan.Written * (long)length:N0} of the target's own"));
        if (plan.Tokens < DraftPlan.EnoughFromScratch && request.From is null)
        {
            double minutes = DraftPlan.EnoughFromScratch / DraftPlan.TokensIn(1, rates);
            work.Say(string.Create(Invariant, $"  That is less than the {DraftPlan.EnoughFromScratch / 1e6:F0}M which a draft from scratch "
                + $"wants: --minutes {minutes:F0} would give them (in another --work folder). --from DRAFT tunes a small model of this "
                + $"vocabulary, for which half a million suffice; else expect the n-gram alone to be of use."));
        }

        work.Keep("plan.json", plan);
        return plan;
    }

    private static LlamaShape Tuned(string from, LanguageModel target, int length)
    {
        LlamaShape shape = LlamaImport.ShapeOf(from);
        if (shape.Context < length)
        {
            throw new TrainingException($"--from {from}: its context of {shape.Context} tokens is shorter than the samples that it would "
                + $"learn from ({length}); give another, or leave --from out.");
        }

        using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
        ModelSurvey draft = ModelLoader.Survey(from, kernels, new LoadOptions());
        return draft.Tokenizer.Fingerprint == target.Tokenizer.Fingerprint && shape.Vocabulary == target.Config.VocabularySize
            ? shape
            : throw new TrainingException($"--from {from}: it has another vocabulary ({shape.Vocabulary} tokens) than the target "
                + $"({target.Config.VocabularySize}); give a small model of the target's own, or leave --from out.");
    }

    private void Collect(DraftPlan plan, LanguageModel target, List<int[]> training, List<int[]> heldOut, SampleFile samples,
        SampleFile unseen)
    {
        int total = plan.Given + plan.Written;
        work.Say($"2/6 collecting {total:N0} samples of {plan.Length} tokens ({samples.Count:N0} are there)");
        var reader = new TargetReader(target, plan.Length, plan.Kept)
        {
            Progress = share => work.Progress("writing a group of samples", share, 1),
        };
        TextScript documents = TextScript.Documents(target);
        TextScript conversations = TextScript.Conversations(target) ?? documents;
        TextScript Script(int number) => number % 2 == 0 ? conversations : documents;
        int scored = Math.Min(heldOut.Count, TargetReader.SideBySide);
        int unseenTotal = scored + TargetReader.SideBySide;
        while (unseen.Count < unseenTotal)
        {
            cancel.ThrowIfCancellationRequested();
            if (unseen.Count < scored)
            {
                unseen.Append(reader.Score(heldOut[unseen.Count * heldOut.Count / scored]));
                continue;
            }

            // A group is written as a whole; of one that was cut off, the rest is kept.
            Array.ForEach(reader.Write(HeldOutGroup, (ulong)request.Seed, Script, cancel)[(unseen.Count - scored)..], unseen.Append);
        }

        long start = Stopwatch.GetTimestamp();
        int before = samples.Count;
        while (samples.Count < total)
        {
            cancel.ThrowIfCancellationRequested();
            if (samples.Count < plan.Given)
            {
                samples.Append(reader.Score(training[(int)((long)samples.Count * training.Count / plan.Given)]));
            }
            else
            {
                (int group, int done) = Math.DivRem(samples.Count - plan.Given, TargetReader.SideBySide);
                Array.ForEach(reader.Write(HeldOutGroup + 1 + group, (ulong)request.Seed, Script, cancel)[done..], samples.Append);
            }

            double rate = (samples.Count - before) * plan.Length / Stopwatch.GetElapsedTime(start).TotalSeconds;
            work.Progress("collecting", samples.Count, total, string.Create(Invariant, $", {rate:N0} tokens a second"));
        }
    }

    private string Train(DraftPlan plan, LanguageModel target, DraftVocabulary? vocabulary, SampleFile samples, SampleFile unseen)
    {
        string folder = work.File("training");
        var settings = new TrainingSettings
        {
            Shape = plan.Shape,
            Phases = [new TrainingPhase(plan.Steps, plan.Length)],
            BatchTokens = plan.BatchTokens,
            // Chosen: wider models want smaller steps, and one that knows much already smaller ones still.
            LearningRate = (request.From is null ? 3e-3 : 6e-4) * Math.Min(1, 128.0 / plan.Shape.Hidden),
            WarmUp = Math.Max(5, plan.Steps / 25),
            Seed = request.Seed,
            Bf16 = plan.Bf16,
            Threads = plan.Threads,
        };
        work.Say(string.Create(Invariant, $"3/6 training {plan.Steps:N0} steps of {plan.BatchTokens:N0} tokens"));
        int[] all = [.. Enumerable.Range(0, unseen.Count)];
        int given = Math.Max(0, unseen.Count - TargetReader.SideBySide);
        var others = new SampleBatches(unseen, plan.Length, plan.Kept, request.Seed, vocabulary?.Map);
        TrainingBatch[] Batches(int from, int to) => [.. all[from..to].Chunk(4).Select(others.Batch)];
        var heldOut = new Dictionary<string, IReadOnlyList<TrainingBatch>> { ["the target's own"] = Batches(given, unseen.Count) };
        if (given > 0)
        {
            heldOut["your texts"] = Batches(0, given);
        }

        long start = Stopwatch.GetTimestamp();
        long first = -1;
        var run = new TrainingRun(settings, new SampleBatches(samples, plan.Length, plan.Kept, request.Seed, vocabulary?.Map), folder)
        {
            CheckpointEvery = TimeSpan.FromMinutes(Math.Clamp(request.Minutes / 12, 0.1, 5)),
            HeldOut = heldOut,
            Begin = request.From is { } from ? network => LlamaImport.Load(from, network) : null,
            Progress = (state, loss) =>
            {
                first = first < 0 ? state.Step - 1 : first;
                double rate = (state.Step - first) * plan.BatchTokens / Stopwatch.GetElapsedTime(start).TotalSeconds;
                work.Progress("training", state.Step, plan.Steps, string.Create(Invariant,
                    $", {loss.Text:F3} nats a token, {loss.Teacher:F3} from the target, {rate:N0} tokens a second"));
            },
        };
        (LlamaNetwork network, TrainingState state) = run.Run(TorchRuntime.Device(), cancel);
        using (network)
        {
            string parts = string.Join(", ", state.HeldOut[^1].Parts.Select(part =>
                string.Create(Invariant, $"{part.Key} {part.Value:F3}")));
            work.Say($"  held out, nats a token: {parts}; the curve is {Path.Combine(folder, "loss.svg")}");
            return ModelFiles.Write(work.Path, request.Target, $"{target.Name} draft", network, vocabulary?.Tokenizer);
        }
    }

    private NgramModel Count(
        DraftPlan plan, LanguageModel target, VocabularyMap? map, IKernels kernels, string draftPath, SampleFile samples)
    {
        string output = work.File("draft.ngram");
        if (File.Exists(output))
        {
            return NgramModel.Load(output);
        }

        using LanguageModel draft = ModelLoader.Load(draftPath, kernels, new LoadOptions());
        int start = TextScript.Documents(target).Openings[0][0];
        start = map is null ? start : map.DraftOf(start)[0];
        using var sampler = new DraftSampler(draft, start, Math.Min(NgramSampleTokens, plan.Length), temperature: 1);
        ISampleSource source = map is null ? sampler : new TranslatedSamples(sampler, map);
        string keptCount = "ngram.json";
        NgramCountPlan counting = work.Read<NgramCountPlan>(keptCount) ?? MeasuredCount(plan, sampler);
        work.Keep(keptCount, counting);
        work.Say($"4/6 counting n-grams of {counting.Samples * (long)NgramSampleTokens:N0} tokens that the draft writes, and of those "
            + "collected");
        string unfinished = output + ".counts";
        var builder = new NgramBuilder(source, target.Config.VocabularySize, target.Tokenizer.Fingerprint) { SaveEvery = 512 };
        NgramCounts counts = builder.Run((ulong)request.Seed, counting.Samples, unfinished, new CountingReport(work), cancel);
        for (int number = 0; number < samples.Count; number++)
        {
            counts.Add(samples.Read(number).Tokens);
        }

        NgramModel model = NgramModel.Build(counts, new NgramBuildOptions { MaxBytes = NgramBytes });
        model.Save(output);
        File.Delete(unfinished);
        return model;
    }

    private static NgramCountPlan MeasuredCount(DraftPlan plan, DraftSampler sampler)
    {
        int number = 0;
        double rate = RateMeasurement.Rate(() => sampler.Sample(0, number++), 1);
        return new NgramCountPlan((int)Math.Clamp(plan.CountingSeconds * rate, 16, MostNgramTokens / NgramSampleTokens));
    }

    private DraftVerdict Measure(DraftPlan plan, LanguageModel target, IKernels kernels, string draftPath, NgramModel ngram,
        SampleFile unseen)
    {
        string beside = FileState.Of(TrainedDraft.FolderOf(request.Target));
        if (work.Read<DraftVerdict>("verdict.json") is { } known && known.Beside == beside)
        {
            return known;
        }

        work.Say("5/6 measuring on held-out texts: off, chain, staged, auto");
        using LanguageModel draft = ModelLoader.Load(draftPath, kernels, new LoadOptions());
        // Of a sample's first half: the beginning of what somebody wants continued.
        int[][] prompts =
            [.. Enumerable.Range(0, unseen.Count).Select(number => unseen.Read(number).Tokens[..Math.Min(96, plan.Length / 2)])];
        string? oldDraft = TrainedDraft.ModelOf(request.Target);
        string? oldNgram = TrainedDraft.NgramOf(request.Target);
        using LanguageModel? old = oldDraft is null ? null : ModelLoader.Load(oldDraft, kernels, new LoadOptions());
        DraftVerdict verdict = DraftMeasurement.Run(target, draft, ngram,
            (oldDraft ?? oldNgram) is not null ? (old, oldNgram is null ? null : NgramModel.Load(oldNgram)) : null, prompts,
            plan.MeasuringSeconds, share => work.Progress("measuring", share, 1)) with
        {
            Beside = beside,
        };
        work.Keep("verdict.json", verdict);
        return verdict;
    }

    private void Report(DraftVerdict verdict)
    {
        foreach (Measured set in verdict.All)
        {
            string modes = string.Join(", ", set.Modes.Where(mode => mode.Key is "chain" or "staged" or "auto").Select(mode =>
                string.Create(Invariant, $"{mode.Key} {mode.Value.Speedup:F2} ({mode.Value.TokensPerBatch:F2} a batch)")));
            string accepted = double.IsNaN(set.Acceptance)
                ? "" : string.Create(Invariant, $"; {set.Acceptance:F0} % of the draft's tokens are accepted");
            work.Say($"  {set.Name}, times off on {set.ByPrompt.Count} prompts: {modes}{accepted}");
        }

        if (verdict.All.Any(set => !set.Equal))
        {
            throw new TrainingException("Modes gave different texts: that is a fault of the program, worth a report with the folder "
                + $"{work.Path}. Nothing is installed.");
        }
    }

    private bool Install(DraftVerdict verdict, string draft)
    {
        if (verdict.Install is null)
        {
            work.Say("6/6 not installed: nothing is faster than what there is. The target is as it was; what was made is in the work "
                + "folder.");
            return false;
        }

        string folder = DraftInstaller.Install(
            request.Target, verdict.Install == DraftMeasurement.Draft ? draft : null, work.File("draft.ngram"), work.File("verdict.json"));
        work.Say($"6/6 installed {verdict.Install}: {folder}. The server takes it with this target; --draft none --ngram none "
            + "leaves it out.");
        return true;
    }

    /// <summary>Samples of the draft to count, decided once.</summary>
    private sealed record NgramCountPlan(int Samples);
}
