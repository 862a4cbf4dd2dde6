using Understory.Training.Corpus;
using Understory.Training.Curriculum;
using Understory.Training.Drafting;
using Understory.Training.Files;
using Understory.Training.Network;
using Understory.Training.Optimisation;
using Understory.Training.Texts;
using Understory.Training.Tokens;
using Understory.Training.Torch;

namespace Understory.Training.Demo;

/// <summary>
/// Makes the demo from nothing: texts, vocabulary, target, draft, n-gram, examination, card. Every step keeps what it has made in the work
/// folder and is passed over when it is there, so that a run may be stopped at any moment and started again.
/// </summary>
internal sealed class DemoRun(DemoRequest request, IReadOnlyList<string> taskFiles, WorkFolder work, CancellationToken cancel)
{
    private const string PlanFile = "plan.json";
    private const long MostBytes = 12 << 20;

    private static readonly TimeSpan _probe = TimeSpan.FromSeconds(10);

    /// <summary>Of the finished demo, in the work folder.</summary>
    public const string OutputFolder = "demo";

    /// <summary>What a test trains in place of the demo's own shapes.</summary>
    public Func<PairSettings, PairSettings> Adapt { get; init; } = settings => settings;

    /// <returns>What the demo attains.</returns>
    /// <exception cref="TrainingException">libtorch does not load, or the folder holds the run of another request.</exception>
    public DemoResult Run()
    {
        TorchRuntime.Require();
        DemoPlan? kept = work.Read<DemoPlan>(PlanFile);
        if (kept is not null && kept.Request != request)
        {
            throw new TrainingException(
                $"{work.Path} holds a run with {kept.Request.Describe()}, not {request.Describe()}: ask for the same, or name another "
                + "folder by --work.");
        }

        var texts = DemoTexts.Make(request, taskFiles, work, cancel);
        DemoPlan plan = kept ?? Plan(texts);
        PairSettings settings = Adapt(plan.Settings);
        work.Say($"target {settings.Target.Parameters / 1e6:F2}M weights on {plan.TargetTokens / 1e6:F1}M tokens, "
            + $"draft {settings.Draft.Parameters / 1e6:F2}M on {plan.DraftTokens / 1e6:F1}M");
        var pretraining = new Pretraining(
            settings, texts.Tokenizer, work, (folder, network) => Write(texts.Tokens, folder, network), cancel);
        (TrainingState target, TrainingState draft) = pretraining.Run(texts.Sources);
        string draftPath = Path.Combine(work.File("draft"), "model.gguf");
        string ngram = pretraining.Count(draftPath);
        string targetPath = Path.Combine(work.File("target"), "model.gguf");
        work.Say("examining");
        using var answers = new StreamWriter(work.File("answers.txt"));
        string[] tasks = [.. taskFiles.SelectMany(DebianCorpus.ReadTaskFile).Select(task => task.Prompt).OfType<string>()];
        DemoResult result = Interview.Hold(targetPath, draftPath, ngram, tasks,
            (prompt, reply) => answers.Write($"{prompt}[{(reply.Ended ? "ended" : "cut")}]{reply.Text}\n----\n"), cancel);
        Finish(plan, texts, target, draft, result, targetPath, draftPath, ngram);
        return result;
    }

    private DemoPlan Plan(DemoTexts texts)
    {
        double rate = 0;
        if (request.Tokens is null)
        {
            work.Say("measuring how fast this machine trains");
            DemoPlan one = DemoPlan.Make(request, texts.Tokens.Size, 0);
            TokenFile tokens = TokenFile.Collect(texts.Sources, texts.Tokenizer, texts.Tokenizer.EosId!.Value, 100_000, request.Seed);
            rate = TrainingRun.MeasureRate(one.Settings.Training(one.Settings.Target, one.TargetTokens),
                new TokenBatches(tokens, request.Seed), TorchRuntime.Device(), _probe);
        }

        DemoPlan plan = DemoPlan.Make(request, texts.Tokens.Size, rate);
        work.Keep(PlanFile, plan);
        return plan;
    }

    private static string Write(ByteLevelBpe tokens, string folder, LlamaNetwork network)
    {
        string path = Path.Combine(folder, "model.gguf");
        GgufFile.Write(path, "understory-demo", network.Shape, network.Export(),
            TokenizerFiles.GgufKeys(tokens, ChatMarks.EndOfText, ChatMarks.End, ChatMarks.Template));
        return path;
    }

    private void Finish(DemoPlan plan, DemoTexts texts, TrainingState target, TrainingState draft, DemoResult result,
        string targetPath, string draftPath, string ngram)
    {
        string folder = Directory.CreateDirectory(work.File(OutputFolder)).FullName;
        Copy(targetPath, "target.gguf");
        Copy(draftPath, "draft.gguf");
        Copy(ngram, "draft.ngram");
        Copy(Path.Combine(work.File("target-training"), "loss.svg"), "target-loss.svg");
        Copy(Path.Combine(work.File("draft-training"), "loss.svg"), "draft-loss.svg");
        string card = Path.Combine(folder, "README.md");
        File.Delete(card);
        Dictionary<string, long> parts = new DirectoryInfo(folder).GetFiles().ToDictionary(file => file.Name, file => file.Length);
        if (parts.Values.Sum() > MostBytes)
        {
            throw new TrainingException($"{folder} takes {parts.Values.Sum():N0} bytes, more than {MostBytes:N0}.");
        }

        AtomicFile.WriteText(card, DemoCard.Write(plan, texts, target, draft, result, parts));
        work.Keep("result.json", result);

        void Copy(string from, string name) => File.Copy(from, Path.Combine(folder, name), overwrite: true);
    }
}
