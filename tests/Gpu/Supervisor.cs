using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Models.Kernels.Cuda;

namespace Understory.Gpu;

/// <summary>
/// Runs stages of checks, each check in a process of its own, since a fault takes a process's context with it. A result is written when
/// it is there, and nothing that a check does ends the rest. What failed runs again in the time that is left: one launch at a time,
/// without overlap, without graphs, and under compute-sanitizer where the machine has it.
/// </summary>
/// <param name="command">Program and arguments of a check that writes what it finds to a file.</param>
/// <param name="folder">Takes results.jsonl (a line for each run of a check), summary.txt and log.txt (what the checks printed).</param>
/// <param name="emulated">Checks of another's time or size are skipped, and limits are wide.</param>
internal sealed class Supervisor(Func<Check, string, string[]> command, string folder, bool emulated)
{
    public const int NoDevice = 3;
    public const int Fault = 4;

    private const int MostTogether = 4;
    private const int MostAgain = 8;
    private const int EmulatedPatience = 6;
    private static readonly TimeSpan _leastTime = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan _mostAgain = TimeSpan.FromSeconds(30);

    private readonly List<Outcome> _outcomes = [];
    private readonly Lock _writing = new();
    private readonly long _start = Stopwatch.GetTimestamp();

    /// <param name="Again">How it was run when it was not the first time.</param>
    private sealed record Outcome(int Stage, Check Check, string? Again, string Status, double Seconds, string? Error, string? Summary)
    {
        public bool Failed => Status is not ("held" or "skipped");
    }

    /// <returns>0: every check held; 1: one did not; 3: there is no usable device.</returns>
    public async Task<int> RunAsync(Stage[] stages, int seconds)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "results.jsonl"), "");
        File.WriteAllText(Path.Combine(folder, "log.txt"), "");
        TimeSpan end = Limit(seconds);
        foreach (Stage stage in stages)
        {
            TimeSpan stop = Earlier(Elapsed + Limit(stage.Seconds), end);
            double most = (stop - Elapsed).TotalSeconds;
            Console.WriteLine($"== {stage.Number}: {stage.Title}, at most {most:F0} s ({Elapsed.TotalSeconds:F0} s so far)");
            int together = !stage.Together ? 1 : Math.Clamp(Environment.ProcessorCount / (emulated ? 1 : 3), 1, MostTogether);
            using var turns = new SemaphoreSlim(together);
            var running = new List<Task<int>>();
            foreach (Check check in stage.Checks)
            {
                await turns.WaitAsync();
                Task<int> one = OneAsync(stage, check, stop, turns);
                running.Add(one);
                // Without a device the first check says it all.
                if (!stage.Together && await one == NoDevice && _outcomes.Count == 0)
                {
                    return NoDevice;
                }
            }

            await Task.WhenAll(running);
        }

        await AgainAsync(end);
        string summary = Summary();
        File.WriteAllText(Path.Combine(folder, "summary.txt"), summary);
        Console.Write(summary);
        return _outcomes.Any(outcome => outcome.Again is null && outcome.Failed) ? 1 : 0;
    }

    private TimeSpan Elapsed => Stopwatch.GetElapsedTime(_start);

    private static string? Checker { get; } = ((Environment.GetEnvironmentVariable("PATH") ?? "") + ":/usr/local/cuda/bin").Split(':')
        .Select(path => Path.Combine(path, "compute-sanitizer")).FirstOrDefault(File.Exists);

    private static TimeSpan Earlier(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private TimeSpan Limit(int seconds) => TimeSpan.FromSeconds(seconds * (emulated ? EmulatedPatience : 1));

    private async Task<int> OneAsync(Stage stage, Check check, TimeSpan stop, SemaphoreSlim turns)
    {
        try
        {
            if (emulated && check.NotEmulated is { } reason)
            {
                Add(new Outcome(stage.Number, check, null, "skipped", 0, reason, null), null);
                return 0;
            }

            return await RunAsync(stage.Number, check, stop, null, "", []);
        }
        finally
        {
            turns.Release();
        }
    }

    /// <summary>What failed, again in other ways, in the order of the stages, for as long as there is time.</summary>
    private async Task AgainAsync(TimeSpan end)
    {
        IEnumerable<Outcome> ended = _outcomes.Where(outcome => outcome.Failed && outcome.Status != "not run");
        Outcome[] failed = [.. ended.OrderBy(outcome => outcome.Stage).Take(MostAgain)];
        if (failed.Length > 0)
        {
            Console.WriteLine($"== what failed, again: {string.Join(", ", failed.Select(outcome => outcome.Check.Name))}");
        }

        foreach (Outcome outcome in failed)
        {
            // A fault is told apart by its launch, other numbers by what they need to be wrong.
            string[] ways = outcome.Status == "wrong"
                ? ["no-overlap", "no-overlap,no-graphs"]
                : ["synchronous,no-overlap,no-graphs", "no-overlap"];
            foreach (string words in ways)
            {
                await RunAsync(outcome.Stage, outcome.Check, Earlier(Elapsed + _mostAgain, end), words, words, []);
            }
        }

        // Slow, and so last: a kernel's wrong numbers may come of a race in shared memory.
        foreach (Outcome outcome in failed.Where(outcome => !emulated && (outcome.Status != "wrong" || outcome.Stage <= 1)))
        {
            string tool = outcome.Status == "wrong" ? "racecheck" : "memcheck";
            if (Checker is { } program)
            {
                string[] before = [program, "--tool", tool, "--error-exitcode", "9"];
                await RunAsync(outcome.Stage, outcome.Check, Earlier(Elapsed + _mostAgain, end), tool, "no-overlap,no-graphs", before);
            }
            else
            {
                string absent = "compute-sanitizer is not on this machine";
                Add(new Outcome(outcome.Stage, outcome.Check, tool, "skipped", 0, absent, null), null);
            }
        }
    }

    /// <returns>The process's exit code.</returns>
    private async Task<int> RunAsync(int stage, Check check, TimeSpan stop, string? again, string words, string[] before)
    {
        TimeSpan limit = stop - Elapsed;
        if (limit < _leastTime)
        {
            Add(new Outcome(stage, check, again, "not run", 0, "no time was left", null), null);
            return 1;
        }

        string file = Path.Combine(Path.GetTempPath(), $"{check.Name}-{Guid.NewGuid():N}.json");
        string[] line = [.. before, .. command(check, file)];
        var start = new ProcessStartInfo(line[0], line[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        // Words that were given for the whole run go on.
        string given = Environment.GetEnvironmentVariable(CudaDevices.Variable) ?? "";
        start.Environment[CudaDevices.Variable] = string.Join(',', ((string[])[given, words]).Where(part => part.Length > 0));
        long begin = Stopwatch.GetTimestamp();
        var said = new StringBuilder();
        using var process = new Process { StartInfo = start };
        process.OutputDataReceived += Hear;
        process.ErrorDataReceived += Hear;
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        bool ended = await EndsAsync(process, limit);
        if (!ended)
        {
            process.Kill(entireProcessTree: true);
            // A process that hangs in the driver may not go; the others do not wait for it.
            await EndsAsync(process, _leastTime);
        }

        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        JsonObject? found = Read(file);
        int code = ended ? process.ExitCode : -1;
        string text = Said();
        string status = !ended ? "too slow" : code switch
        {
            0 or 1 or NoDevice or Fault when (string?)found?["status"] is { } written && written != "stopped" => written,
            > 128 => "crashed",
            _ => "failed",
        };
        string? error = (string?)found?["error"];
        error = status switch
        {
            "too slow" => $"stopped after {seconds:F0} s{(error is null ? "" : $": {error}")}",
            "crashed" => $"ended by signal {code - 128}{(TellingLine(text) is { } telling ? $": {telling}" : "")}",
            "failed" => CheckersWords(text) ?? error ?? TellingLine(text) ?? $"ended with {code}",
            "fault" when found?["last_launches"] is JsonArray { Count: > 0 } launches => $"{error}, behind {launches[^1]}",
            _ => error,
        };
        if (status == "no device" && _outcomes.Count == 0)
        {
            Console.Error.WriteLine(error);
            return code;
        }

        Log($"== {check.Name}{(again is null ? "" : $" ({again})")}: {status} in {seconds:F1} s\n{text}");
        Add(new Outcome(stage, check, again, status, seconds, error, (string?)found?["found"]?["summary"]), found);
        File.Delete(file);
        return code;

        void Hear(object sender, DataReceivedEventArgs e)
        {
            const int Most = 1 << 18;
            lock (said)
            {
                if (e.Data is { } data && said.Length < Most)
                {
                    said.AppendLine(data);
                }
            }
        }

        string Said()
        {
            lock (said)
            {
                return said.ToString();
            }
        }
    }

    private static async Task<bool> EndsAsync(Process process, TimeSpan limit)
    {
        using var stop = new CancellationTokenSource(limit);
        try
        {
            await process.WaitForExitAsync(stop.Token);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static JsonObject? Read(string file)
    {
        try
        {
            return File.Exists(file) ? JsonNode.Parse(File.ReadAllText(file)) as JsonObject : null;
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }

    /// <summary>The first error that compute-sanitizer tells of, with the lines that say where.</summary>
    private static string? CheckersWords(string text)
    {
        const string Mark = "========= ";
        static bool Starts(string line, string words) => line.StartsWith(words, StringComparison.Ordinal);
        string[] lines = [.. text.Split('\n').Where(line => Starts(line, Mark)).Select(line => line[Mark.Length..].Trim())];
        int first = Array.FindIndex(lines, line => Starts(line, "Invalid") || Starts(line, "Program hit") || Starts(line, "Error: "));
        return first < 0 ? null : string.Join("; ", lines.Skip(first).Take(4));
    }

    /// <summary>The exception that ended a process, or the last thing that it said.</summary>
    private static string? TellingLine(string text)
    {
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines.FirstOrDefault(line => line.Contains("Exception", StringComparison.Ordinal)) ?? lines.LastOrDefault();
    }

    private void Log(string text)
    {
        lock (_writing)
        {
            File.AppendAllText(Path.Combine(folder, "log.txt"), text);
        }
    }

    private void Add(Outcome outcome, JsonObject? found)
    {
        var line = new JsonObject
        {
            ["stage"] = outcome.Stage,
            ["check"] = outcome.Check.Name,
            ["again"] = outcome.Again,
            ["status"] = outcome.Status,
            ["seconds"] = Math.Round(outcome.Seconds, 2),
            ["error"] = outcome.Error,
        };
        foreach (string name in (string[])["differences", "last_launches", "found"])
        {
            if (found?[name] is { } node)
            {
                line[name] = node.DeepClone();
            }
        }

        lock (_writing)
        {
            _outcomes.Add(outcome);
            File.AppendAllText(Path.Combine(folder, "results.jsonl"), line.ToJsonString() + "\n");
            Console.WriteLine(Row(outcome));
        }
    }

    private string Summary()
    {
        var text = new StringBuilder();
        foreach (Outcome outcome in _outcomes.OrderBy(outcome => outcome.Stage))
        {
            text.AppendLine(Row(outcome));
        }

        ILookup<string, Outcome> first = _outcomes.Where(outcome => outcome.Again is null).ToLookup(outcome => outcome.Status);
        text.AppendLine($"{string.Join(", ", first.Select(group => $"{group.Count()} {group.Key}"))}, in {Elapsed.TotalSeconds:F0} s");
        string[] failed = [.. _outcomes.Where(outcome => outcome.Again is null && outcome.Failed).Select(outcome => outcome.Check.Name)];
        text.AppendLine(failed.Length == 0 ? "Every check held." : $"Failed: {string.Join(", ", failed)}");
        return text.ToString();
    }

    private static string Row(Outcome outcome)
    {
        const int Most = 300;
        string name = outcome.Again is null ? outcome.Check.Name : $"  again, {outcome.Again}";
        string remark = (outcome.Failed || outcome.Status == "skipped" ? outcome.Error : outcome.Summary) ?? "";
        remark = remark.ReplaceLineEndings(" ");
        remark = remark.Length > Most ? remark[..Most] + " ..." : remark;
        return $"{outcome.Stage}  {name,-30} {outcome.Status,-9} {outcome.Seconds,6:F1} s  {remark}".TrimEnd();
    }
}
