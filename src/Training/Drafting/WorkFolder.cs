using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Understory.Training.Files;

namespace Understory.Training.Drafting;

/// <summary>Where a run keeps what it has done so far, and the log of what it said.</summary>
internal sealed class WorkFolder
{
    private static readonly JsonSerializerOptions Pretty = new() { WriteIndented = true };
    private static readonly TimeSpan BetweenLines = TimeSpan.FromSeconds(5);

    private readonly TextWriter _output;
    private long _lastLine;

    public WorkFolder(string path, TextWriter output)
    {
        (Path, _output) = (Directory.CreateDirectory(path).FullName, output);
    }

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>A line for the user, kept in the log too.</summary>
    public void Say(string line)
    {
        _output.WriteLine(line);
        System.IO.File.AppendAllText(
            File("log"), $"{DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)} {line}\n");
    }

    /// <summary>How far a step is; said every few seconds.</summary>
    public void Progress(string step, double done, double total, string more = "")
    {
        if (_lastLine != 0 && Stopwatch.GetElapsedTime(_lastLine) < BetweenLines)
        {
            return;
        }

        _lastLine = Stopwatch.GetTimestamp();
        Say(string.Create(CultureInfo.InvariantCulture, $"  {step}: {100 * done / Math.Max(1, total):F0} %{more}"));
    }

    /// <summary>What an earlier run kept under a name; null: nothing.</summary>
    public T? Read<T>(string name)
        where T : class
    {
        if (!System.IO.File.Exists(File(name)))
        {
            return null;
        }

        try
        {
            return JsonSerializer.Deserialize<T>(System.IO.File.ReadAllText(File(name)));
        }
        catch (JsonException e)
        {
            throw new TrainingException($"{File(name)} is damaged ({e.Message}): delete the folder to begin anew.", e);
        }
    }

    public void Keep<T>(string name, T value) => AtomicFile.WriteText(File(name), JsonSerializer.Serialize(value, Pretty) + "\n");
}
