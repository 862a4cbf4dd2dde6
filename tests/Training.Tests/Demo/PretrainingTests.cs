using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tokenizers;
using Understory.Training.Demo;
using Understory.Training.Drafting;
using Understory.Training.Files;
using Understory.Training.Network;
using Understory.Training.Optimisation;
using Understory.Training.Texts;

namespace Understory.Training.Tests.Demo;

public sealed class PretrainingTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private sealed class Rhyme : ITextSource
    {
        public string Name => "rhyme";

        public IEnumerable<string> Texts(int seed) => Enumerable.Repeat("one two three four five six seven eight nine ten", 100);

        public IEnumerable<string> HeldOut() => Enumerable.Repeat("one two three four five", 20);
    }

    [TorchFact]
    public void A_pair_is_trained_in_two_lengths_the_draft_by_the_target_and_its_n_gram_counted()
    {
        const int Vocabulary = 257;
        string[] letters = [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Char((byte)value).ToString()), "<end>"];
        var tokenizer = Tokenizer.FromGguf(new GgufVocabulary(
            "gpt2", null, letters, null, [.. Enumerable.Repeat(1, 256), 3], [], null, 256, null, false, false, false));
        var settings = new PairSettings(
            new LlamaShape(Vocabulary, 64, 2, 2, 1, 64, 64), new LlamaShape(Vocabulary, 32, 1, 1, 1, 32, 64), 40_000, 20_000, 512)
        {
            ShortTexts = 32,
            LongTexts = 64,
            BatchTokens = 512,
            Bf16 = false,
        };
        string Write(string folder, LlamaNetwork network)
        {
            string path = Path.Combine(folder, "model.gguf");
            GgufFile.Write(path, "pair", network.Shape, network.Export(), new Dictionary<string, object>
            {
                ["tokenizer.ggml.model"] = "gpt2",
                ["tokenizer.ggml.tokens"] = letters,
                ["tokenizer.ggml.token_type"] = (long[])[.. Enumerable.Repeat(1L, 256), 3],
                ["tokenizer.ggml.merges"] = (string[])[],
                ["tokenizer.ggml.eos_token_id"] = 256L,
            });
            return path;
        }

        var work = new WorkFolder(_folder["work"], TextWriter.Null);
        var pretraining = new Pretraining(settings, tokenizer, work, Write, default);
        (TrainingState target, TrainingState draft) = pretraining.Run([new Rhyme()]);
        Assert.InRange(target.HeldOut[^1].Parts["rhyme"], 0, 2);
        Assert.True(draft.Curve[^1].Teacher < draft.Curve[0].Teacher, "the draft is no nearer to the target than at first");
        Assert.Equal([32, 64], target.Settings.Phases.Select(phase => phase.Sequence));

        string ngram = pretraining.Count(work.File("draft/model.gguf"));
        Assert.True(File.Exists(ngram));
        using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
        using LanguageModel loaded = ModelLoader.Load(work.File("target/model.gguf"), kernels, new LoadOptions());
        Assert.Equal(tokenizer.Fingerprint, loaded.Tokenizer.Fingerprint);

        // All is done: the same call only looks.
        (TrainingState again, _) = pretraining.Run([new Rhyme()]);
        Assert.Equal(target.Step, again.Step);
        Assert.Equal(target.Seconds, again.Seconds);
    }
}
