using Understory.Models.Tokenizers;
using Understory.Training.Corpus;
using Understory.Training.Curriculum;
using Understory.Training.Drafting;
using Understory.Training.Texts;
using Understory.Training.Tokens;

namespace Understory.Training.Demo;

/// <summary>What the demo is trained on: its texts and their tokens, made once and kept in the work folder.</summary>
/// <param name="Packages">Where the functions of others come from.</param>
/// <param name="Functions">Of others, of at most <see cref="DemoPlan.TextTokens"/> tokens, end of text included.</param>
/// <param name="FunctionTokens">Theirs.</param>
internal sealed record DemoTexts(
    ByteLevelBpe Tokens, Tokenizer Tokenizer, IReadOnlyList<PackageRecord> Packages, IReadOnlyList<string> Functions, long FunctionTokens)
{
    /// <summary>Characters of the curriculum that the vocabulary is learned from; of others' functions as many at most.</summary>
    private const long VocabularyText = 10_000_000;

    /// <summary>The vocabulary must not know what the model will be trained on by heart.</summary>
    private const int VocabularySeed = -1;

    /// <summary>Half each; the curriculum alone where there is nothing else.</summary>
    public IReadOnlyList<ITextSource> Sources =>
        Functions.Count == 0 ? [new CurriculumSource()] : [new CurriculumSource(), new CorpusSource(Functions)];

    /// <param name="taskFiles">Texts of HumanEval's form that must not be trained on.</param>
    public static DemoTexts Make(DemoRequest request, IEnumerable<string> taskFiles, WorkFolder work, CancellationToken cancel)
    {
        var corpus = new DebianCorpus(work.File("packages"), DebianCorpus.HumanEval(taskFiles));
        // Once the texts are written, what did not come stays away.
        bool retry = !File.Exists(work.File(Pretraining.TokensFile));
        IReadOnlyList<PackageRecord> packages = corpus.Collect(DebianCorpus.Packages.Take(request.Packages), retry, record => work.Say(
            $"{record.Package} {record.Version}: "
            + (record.Objection ?? $"{record.Functions} functions, {string.Join(", ", record.Licences)}")), cancel);
        IReadOnlyList<string> all = corpus.Functions(packages);
        (ByteLevelBpe tokens, Tokenizer tokenizer) = Vocabulary(all, work);
        (string Text, int Length)[] functions = [.. all.AsParallel().AsOrdered()
            .Select(text => (text, tokenizer.Bare.Encode(text).Length + 1))
            .Where(function => function.Item2 <= DemoPlan.TextTokens)];
        var texts = new DemoTexts(tokens, tokenizer, packages, [.. functions.Select(function => function.Text)],
            functions.Sum(function => (long)function.Length));
        work.Say($"{texts.Functions.Count:N0} functions of {packages.Count(record => record.Functions > 0)} packages, "
            + $"{texts.FunctionTokens / 1e6:F2}M tokens; {FunctionTemplate.All.Count} functions and {Topic.All.Count} topics of our own");
        return texts;
    }

    private static (ByteLevelBpe Tokens, Tokenizer Tokenizer) Vocabulary(IReadOnlyList<string> functions, WorkFolder work)
    {
        string folder = Directory.CreateDirectory(work.File("tokenizer")).FullName;
        string path = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(path))
        {
            work.Say("learning the vocabulary");
            var counter = new WordCounter(ChatMarks.All);
            Add(counter, new CurriculumSource().Texts(VocabularySeed));
            Add(counter, functions.Count == 0 ? [] : new CorpusSource(functions).Texts(VocabularySeed).Take(functions.Count));
            ByteLevelBpe learned = BpeTrainer.Train(counter.Counts, DemoPlan.VocabularySize, ChatMarks.All);
            TokenizerFiles.Write(folder, learned, ChatMarks.EndOfText, ChatMarks.Template);
        }

        return (TokenizerFiles.Read(path), Tokenizer.Load(path));
    }

    private static void Add(WordCounter counter, IEnumerable<string> texts)
    {
        long characters = 0;
        foreach (string text in texts)
        {
            counter.Add(text);
            characters += text.Length;
            if (characters >= VocabularyText)
            {
                break;
            }
        }
    }
}
