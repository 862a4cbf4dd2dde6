using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Training.Texts;

namespace Understory.Training.Corpus;

/// <summary>A package as it was read, for the card.</summary>
/// <param name="Sha256">Of the .deb file.</param>
/// <param name="Objection">Why nothing was taken from it; null if something was.</param>
/// <param name="Functions">Taken.</param>
/// <param name="Characters">Of them.</param>
internal sealed record PackageRecord(
    string Package, string Version, string Sha256, IReadOnlyList<string> Licences, string? Objection, int Functions, long Characters)
{
    /// <summary>It did not come: another time it may.</summary>
    [JsonIgnore]
    public bool Missing => Sha256.Length == 0;
}

/// <summary>
/// Functions from Debian's Python packages. Each package is downloaded with apt, unpacked, read and deleted again; what was taken from it
/// stays in <paramref name="folder"/>, so that a run that was stopped goes on behind the last package.
/// </summary>
/// <param name="folder">Outside of the clone.</param>
/// <param name="overlap">What must not be trained on.</param>
internal sealed class DebianCorpus(string folder, Overlap overlap)
{
    private const string Separator = "\0";

    /// <summary>The packages that the demo is trained on.</summary>
    public static IReadOnlyList<string> Packages { get; } =
        Resources.Text("packages.txt").Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>What overlaps with HumanEval's functions, by their names; and with the texts of files of its form.</summary>
    public static Overlap HumanEval(IEnumerable<string> taskFiles) => new(
        Resources.Text("humaneval.txt").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(name => $"def {name}(")
            .Concat(taskFiles.SelectMany(ReadTaskFile).SelectMany(task => (string?[])[task.Prompt, task.Solution]).OfType<string>()));

    /// <summary>Reads the packages that were not read yet.</summary>
    /// <param name="retry">Those that did not come another time are asked for again.</param>
    /// <param name="tell">Told of each package.</param>
    /// <exception cref="TrainingException">apt or dpkg is missing, or half of the packages do not come.</exception>
    public IReadOnlyList<PackageRecord> Collect(
        IEnumerable<string> packages, bool retry, Action<PackageRecord> tell, CancellationToken cancel)
    {
        Directory.CreateDirectory(folder);
        var records = new List<PackageRecord>();
        foreach (string package in packages)
        {
            cancel.ThrowIfCancellationRequested();
            string path = RecordPath(package);
            PackageRecord? kept = File.Exists(path) ? JsonSerializer.Deserialize<PackageRecord>(File.ReadAllBytes(path)) : null;
            PackageRecord record = kept is null || (kept.Missing && retry) ? Read(package) : kept;
            records.Add(record);
            tell(record);
        }

        if (retry && 2 * records.Count(record => record.Missing) > records.Count)
        {
            throw new TrainingException($"{records.Count(record => record.Missing)} of {records.Count} packages did not come; of the last "
                + $"one: {records.Last(record => record.Missing).Objection}. See to apt's lists and the network (apt-get update) and go on "
                + "with the same command, or leave them all out by --packages 0.");
        }

        return records;
    }

    /// <summary>The functions that may be trained on, none twice, in the order of their packages.</summary>
    public IReadOnlyList<string> Functions(IEnumerable<PackageRecord> records)
    {
        var seen = new HashSet<string>();
        return [.. records.Where(record => record.Functions > 0)
            .SelectMany(record => File.ReadAllText(TextPath(record.Package)).Split(Separator, StringSplitOptions.RemoveEmptyEntries))
            .Where(function => seen.Add(Normal(function)))
            .AsParallel().AsOrdered().Where(function => !overlap.With(function))];
    }

    /// <summary>Copies of a function in other packages differ in blanks at most.</summary>
    private static string Normal(string function) => string.Concat(function.Where(letter => !char.IsWhiteSpace(letter)));

    private PackageRecord Read(string package)
    {
        string work = Path.Combine(folder, "work");
        if (Directory.Exists(work))
        {
            Directory.Delete(work, recursive: true);
        }

        Directory.CreateDirectory(work);
        PackageRecord record;
        List<string> functions = [];
        if (Run(work, "apt-get", "-qq", "download", package) is string failure)
        {
            record = new PackageRecord(package, "", "", [], $"apt-get download: {failure}", 0, 0);
        }
        else
        {
            string deb = Directory.GetFiles(work, "*.deb").Single();
            string unpacked = Path.Combine(work, "unpacked");
            if (Run(work, "dpkg-deb", "-x", deb, unpacked) is string broken)
            {
                throw new TrainingException($"dpkg-deb -x {deb}: {broken}");
            }

            Copyright? copyright = ReadCopyright(unpacked, package);
            string? objection = copyright is null ? "its copyright file is not machine-readable" : copyright.Objection;
            if (objection is null)
            {
                functions = [.. FunctionsUnder(unpacked)];
            }

            using FileStream stream = File.OpenRead(deb);
            record = new PackageRecord(
                package, Path.GetFileName(deb).Split('_')[1].Replace("%3a", ":"), Convert.ToHexStringLower(SHA256.HashData(stream)),
                copyright?.Licences ?? [], objection, functions.Count, functions.Sum(function => (long)function.Length));
        }

        File.WriteAllText(TextPath(package), string.Join(Separator, functions));
        // Last, and in one step: what is there is whole.
        string unfinished = RecordPath(package) + ".part";
        File.WriteAllBytes(unfinished, JsonSerializer.SerializeToUtf8Bytes(record));
        File.Move(unfinished, RecordPath(package), overwrite: true);
        Directory.Delete(work, recursive: true);
        return record;
    }

    private static IEnumerable<string> FunctionsUnder(string unpacked)
    {
        string library = Path.Combine(unpacked, "usr", "lib", "python3", "dist-packages");
        if (!Directory.Exists(library))
        {
            yield break;
        }

        var options = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint };
        foreach (string file in Directory.EnumerateFiles(library, "*.py", options).Order(StringComparer.Ordinal))
        {
            if (Copyright.IsPassedOver(Path.GetRelativePath(library, file).Replace('\\', '/')))
            {
                continue;
            }

            foreach (string function in FunctionExtractor.Functions(File.ReadAllText(file)))
            {
                if (!function.Contains('\0') && !function.Contains('\uFFFD'))
                {
                    yield return function;
                }
            }
        }
    }

    private static Copyright? ReadCopyright(string unpacked, string package)
    {
        string path = Path.Combine(unpacked, "usr", "share", "doc", package, "copyright");
        return File.Exists(path) ? Copyright.Parse(File.ReadAllText(path)) : null;
    }

    /// <summary>Prompts and solutions in a file of HumanEval's form.</summary>
    /// <exception cref="TrainingException">A line is no JSON.</exception>
    public static IReadOnlyList<(string? Prompt, string? Solution)> ReadTaskFile(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return [.. Overlap.ReadTasks(stream, path)];
    }

    private string RecordPath(string package) => Path.Combine(folder, package + ".json");

    private string TextPath(string package) => Path.Combine(folder, package + ".txt");

    /// <returns>The last line of what the program complained of; null if it went well.</returns>
    private static string? Run(string work, string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments)
            {
                WorkingDirectory = work,
                RedirectStandardError = true,
                RedirectStandardOutput = true,
            })!;
            process.OutputDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            string complaint = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : complaint.Trim().Split('\n')[^1];
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new TrainingException($"{program} cannot be run: {e.Message}. The demo's texts are collected on Debian or Ubuntu.", e);
        }
    }
}
