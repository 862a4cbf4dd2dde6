using System.CommandLine;
using Understory.Training.Corpus;
using Understory.Training.Curriculum;
using Understory.Training.Demo;
using Understory.Training.Drafting;
using Understory.Training.Files;

namespace Understory.Training.Verbs;

/// <summary><c>demo</c>: the model that comes with the program, from nothing.</summary>
internal static class DemoVerb
{
    private static readonly Option<double> Hours =
        new("--hours") { Description = "Time that training may take.", DefaultValueFactory = _ => 2.5, HelpName = "N" };
    private static readonly Option<long?> Tokens =
        new("--tokens") { Description = "Train on so many tokens, however long that takes.", HelpName = "N" };
    private static readonly Option<long> NgramTokens = new("--ngram-tokens")
    {
        Description = "That the draft writes for the n-gram.",
        DefaultValueFactory = _ => 20_000_000,
        HelpName = "N",
    };
    private static readonly Option<int> Packages = new("--packages")
    {
        Description = "Debian packages to take functions from, the first ones of the list; 0: the curriculum alone.",
        DefaultValueFactory = _ => DebianCorpus.Packages.Count,
        HelpName = "N",
    };
    private static readonly Option<string[]> Exclude = new("--exclude")
    {
        Description = "Files of HumanEval's form (a JSON line a task) whose text must not be trained on.",
        AllowMultipleArgumentsPerToken = true,
        HelpName = "FILES",
    };
    private static readonly Option<string?> Work =
        new("--work") { Description = "Where to keep what is done so far; default: a folder of ~/.cache/understory.", HelpName = "FOLDER" };
    private static readonly Option<int> Seed =
        new("--seed") { Description = "Of all that is random.", DefaultValueFactory = _ => 1, HelpName = "N" };

    public static Command Create()
    {
        var verb = new Command("demo", "Train the demo from nothing: texts, vocabulary, target, draft, n-gram, card. Stopped, it goes on.")
        {
            Hours, Tokens, NgramTokens, Packages, Exclude, Work, Seed,
        };
        verb.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed, cancellation)));
        return verb;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellation)
    {
        double hours = parsed.GetValue(Hours);
        if (hours is not (> 0 and <= 10_000))
        {
            throw new TrainingException($"--hours must be more than 0 and at most 10000, not {hours}.");
        }

        foreach ((string flag, long value, long least) in new[]
        {
            ("--tokens", parsed.GetValue(Tokens) ?? 1, 1), ("--ngram-tokens", parsed.GetValue(NgramTokens), 1L),
            ("--packages", parsed.GetValue(Packages), 0),
        })
        {
            if (value < least)
            {
                throw new TrainingException($"{flag} must be {least} or more, not {value}.");
            }
        }

        string[] files = parsed.GetValue(Exclude) ?? [];
        foreach (string file in files.Where(file => !File.Exists(file)))
        {
            throw new TrainingException($"--exclude: there is no '{file}'.");
        }

        var request = new DemoRequest(hours, parsed.GetValue(Tokens), parsed.GetValue(NgramTokens),
            Math.Min(parsed.GetValue(Packages), DebianCorpus.Packages.Count), parsed.GetValue(Seed),
            string.Join(", ", files.Select(file => $"{Path.GetFileName(file)} {FileState.Of(file)}")));
        var work = new WorkFolder(parsed.GetValue(Work) ?? WorkFolder.Default("demo"), Console.Out);
        DemoResult result = new DemoRun(request, files, work, cancellation).Run();
        work.Say($"{result.Marks.Functions} of {CurriculumSource.HeldOutPrompts} functions, {result.Marks.Questions} of "
            + $"{CurriculumSource.HeldOutPrompts} questions, {result.Marks.Repeating} that repeat; {100 * result.Acceptance:F0} % of "
            + $"the draft's tokens taken, auto {result.Auto:F2} times off: "
            + (result.Holds ? "all that is wanted" : "less than is wanted"));
        work.Say($"The demo is in {work.File(DemoRun.OutputFolder)}; copied to models/demo, it is what the server comes with.");
        return 0;
    }
}
