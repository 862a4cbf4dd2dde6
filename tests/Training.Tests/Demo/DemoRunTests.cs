using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Training.Corpus;
using Understory.Training.Curriculum;
using Understory.Training.Demo;
using Understory.Training.Drafting;
using Understory.Training.Network;
using Understory.Training.Optimisation;

namespace Understory.Training.Tests.Demo;

public sealed class DemoRunTests : IDisposable
{
    private static readonly DemoRequest _request = new(Hours: 1, Tokens: 20_000, NgramTokens: 2_000, Packages: 0, Seed: 1);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [TorchFact]
    public void A_small_demo_is_made_from_nothing_and_made_again_at_once()
    {
        DemoResult first = Run(_request);
        string demo = _folder["work/demo"];
        Assert.Equal(["README.md", "draft-loss.svg", "draft.gguf", "draft.ngram", "target-loss.svg", "target.gguf"],
            Directory.GetFiles(demo).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.True(first.Equal, "speculation changed a text");
        byte[] target = File.ReadAllBytes(Path.Combine(demo, "target.gguf"));

        using (IKernels kernels = KernelCatalog.Create())
        using (LanguageModel model = ModelLoader.Load(Path.Combine(demo, "target.gguf"), kernels, new LoadOptions()))
        {
            // The curriculum alone has hardly so many different words.
            Assert.InRange(model.Tokenizer.VocabularySize, 3000, DemoPlan.VocabularySize);
            Assert.Equal([0, 2], model.Tokenizer.Encode("<|user|>"));
            Assert.Equal([0, 4], model.Config.EosTokenIds.Order());
        }

        using (Gguf file = Gguf.Open(Path.Combine(demo, "target.gguf")))
        {
            Assert.Equal(ChatMarks.Template, file.Metadata.Get<string>("tokenizer.chat_template"));
        }

        // Nothing is left to train: only the examination is held again.
        DemoResult second = Run(_request);
        Assert.Equal(first.Marks, second.Marks);
        Assert.Equal(target, File.ReadAllBytes(Path.Combine(demo, "target.gguf")));
    }

    [TorchFact]
    public void Another_request_in_the_same_folder_is_refused()
    {
        var work = new WorkFolder(_folder["work"], TextWriter.Null);
        work.Keep("plan.json", DemoPlan.Make(_request, 4096, 1000));
        string message = Assert.Throws<TrainingException>(() => Run(_request with { Seed = 2, Excluded = "tasks.jsonl 0123" })).Message;
        Assert.Contains("--seed 1", message);
        Assert.Contains("--seed 2 --exclude FILES (tasks.jsonl 0123)", message);
    }

    [Fact]
    public void A_plan_follows_from_the_hours_and_the_machine_s_speed()
    {
        DemoPlan plan = DemoPlan.Make(_request with { Tokens = null, Hours = 2 }, 4096, 4500);
        Assert.Equal((long)(2 * 3600 * 0.65 * 4500), plan.TargetTokens);
        Assert.Equal(plan.TargetTokens / 2, plan.DraftTokens);
        Assert.Equal(20_000, DemoPlan.Make(_request, 4096, 4500).TargetTokens);
    }

    [Fact]
    public void The_shapes_are_of_the_sizes_that_the_demo_may_have()
    {
        Assert.InRange(DemoPlan.Target(DemoPlan.VocabularySize).Validated().Parameters, 4_000_000, 5_000_000);
        Assert.InRange(DemoPlan.Draft(DemoPlan.VocabularySize).Validated().Parameters, 400_000, 600_000);
    }

    [Fact]
    public void The_card_says_what_it_is_how_good_what_it_is_not_for_and_where_its_texts_come_from()
    {
        var plan = DemoPlan.Make(_request with { Packages = 2 }, 4096, 4500);
        PackageRecord[] packages =
        [
            new("python3-a", "1.0", "abc123", ["MIT", "PSF-2"], null, 7, 700),
            new("python3-b", "2.0", "def456", ["GPL-2"], "GPL-2", 0, 0),
        ];
        var texts = new DemoTexts(null!, null!, packages, ["def f():\n    pass\n"], 9);
        TrainingState state = new()
        {
            Settings = plan.Settings.Training(plan.Settings.Target, 20_000),
            Step = 10,
            HeldOut = [new HeldOutPoint(10, new Dictionary<string, double> { ["curriculum"] = 1.25, ["packages"] = 2.5 })],
        };
        var parts = new Dictionary<string, long> { ["target.gguf"] = 5_000_000, ["draft.gguf"] = 600_000, ["draft.ngram"] = 1_000_000 };
        string card = DemoCard.Write(plan, texts, state, state, new DemoResult(new Marks(37, 35, 1), 0.7, 1.2, true, 82, 41), parts);
        Assert.Contains("demo --tokens 20000 --ngram-tokens 2000 --packages 2 --seed 1", card);
        Assert.Contains("**Not for**", card);
        Assert.Contains("curriculum 1.250, packages 2.500", card);
        Assert.Contains("| 37 | 36 |", card);
        Assert.Contains("of 82 prompts, those that parse with the answer | 41 |", card);
        Assert.Contains("| python3-a | 1.0 | 7 | MIT, PSF-2 | abc123 |", card);
        Assert.DoesNotContain("python3-b", card);
        Assert.DoesNotContain("\n\n\n", card);
    }

    private DemoResult Run(DemoRequest request) => new DemoRun(request, [], new WorkFolder(_folder["work"], TextWriter.Null), default)
    {
        Adapt = settings => settings with
        {
            Target = new LlamaShape(settings.Target.Vocabulary, 64, 1, 2, 1, 64, 1024),
            Draft = new LlamaShape(settings.Draft.Vocabulary, 32, 1, 1, 1, 32, 1024),
            BatchTokens = 1024,
            Bf16 = false,
        },
    }.Run();
}
