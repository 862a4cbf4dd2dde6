using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using Understory.Training.Drafting;
using Understory.Training.Files;

namespace Understory.Training.Verbs;

/// <summary><c>draft</c>: a draft and an n-gram for a target, on this machine; installed where they make it faster.</summary>
internal static class DraftVerb
{
    private static readonly Option<string> Target =
        new("--target") { Description = "The model to make a draft for: a folder or a .gguf file.", Required = true, HelpName = "MODEL" };
    private static readonly Option<string[]> Texts = new("--texts")
    {
        Description = "Texts such as you will ask for: files or folders. Without them the target writes all.",
        AllowMultipleArgumentsPerToken = true,
        HelpName = "FILES",
    };
    private static readonly Option<double> Minutes =
        new("--minutes") { Description = "Time that it may take.", DefaultValueFactory = _ => 60, HelpName = "N" };
    private static readonly Option<string?> From =
        new("--from") { Description = "A small Llama of the target's vocabulary to tune, in place of a new one.", HelpName = "DRAFT" };
    private static readonly Option<string?> Work =
        new("--work") { Description = "Where to keep what is done so far; default: a folder of ~/.cache/understory.", HelpName = "FOLDER" };
    private static readonly Option<int> Seed =
        new("--seed") { Description = "Of all that is random.", DefaultValueFactory = _ => 1, HelpName = "N" };

    public static Command Create()
    {
        var verb = new Command("draft", "Train a draft for a model, and install it if it makes that faster. Stopped, it goes on.")
        {
            Target, Texts, Minutes, From, Work, Seed,
        };
        verb.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed, cancellation)));
        return verb;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellation)
    {
        string target = Existing(parsed.GetValue(Target)!, "--target");
        string? from = parsed.GetValue(From) is { } said ? Existing(said, "--from") : null;
        double minutes = parsed.GetValue(Minutes);
        if (minutes is not (>= 0.1 and <= 100_000))
        {
            throw new TrainingException($"--minutes must be from 0.1 to 100000, not {minutes}.");
        }

        IReadOnlyList<string> files = UserTexts.Files(parsed.GetValue(Texts) ?? []);
        string[] described = [.. files.Select(file => $"{Path.GetFullPath(file)} ({new FileInfo(file).Length} bytes)")];
        var request = new DraftRequest(target, described, minutes, from, parsed.GetValue(Seed), FileState.Of(target),
            from is null ? "" : FileState.Of(from));
        var work = new WorkFolder(parsed.GetValue(Work) ?? DefaultWork(target), Console.Out);
        new DraftRun(request, files, work, cancellation).Run();
        return 0;
    }

    private static string Existing(string path, string flag) => Path.Exists(path)
        ? Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)) : throw new TrainingException($"{flag}: there is no '{path}'.");

    private static string DefaultWork(string target)
    {
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(target)))[..8];
        return WorkFolder.Default($"{Path.GetFileName(target)}-{hash}");
    }
}
