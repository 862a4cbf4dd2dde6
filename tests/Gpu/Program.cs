using System.Text.Json.Nodes;
using Understory.Gpu;
using Understory.Models.Kernels.Cuda.Driver;
using Understory.PtxEmulator;

// Understory.Gpu first|second FOLDER [--models FOLDER] [--emulated] [--mistake FROM=TO]
//   runs the stages, each check in a process of its own, and writes results.jsonl, summary.txt and log.txt to FOLDER.
//   Exit code 0: every check held; 1: one did not; 2: wrong use; 3: no usable GPU.
// Understory.Gpu check NAME [FILE] [...]
//   runs one check; what it finds goes to FILE. Exit code 4: the device faulted.
// Understory.Gpu list
//   names the checks.
const int Held = 0;
const int Failed = 1;
const int WrongUse = 2;
List<string> words = [.. args];
bool emulated = words.Remove("--emulated");
string models = Option("--models") ?? Path.Combine(AppContext.BaseDirectory, "models", "standin");
string? mistake = Option("--mistake");
switch (words)
{
    case ["first", string folder]:
        return await new Supervisor(Itself, folder, emulated).RunAsync(Stage.First, Stage.FirstSeconds);
    case ["second", string folder]:
        return await new Supervisor(Itself, folder, emulated).RunAsync(Stage.Second, Stage.SecondSeconds);
    case ["check", string name, ..] when Stage.Find(name) is { } check:
        return RunCheck(check, words.Count > 2 ? words[2] : null);
    case ["list"]:
        foreach (Stage stage in (Stage[])[.. Stage.First, .. Stage.Second])
        {
            string names = string.Join(" ", stage.Checks.Select(check => check.Name));
            Console.WriteLine($"{stage.Number}, {stage.Title}, {stage.Seconds} s: {names}");
        }

        return Held;
    default:
        Console.Error.WriteLine("Understory.Gpu first|second FOLDER [--emulated], check NAME [FILE] [--emulated], or list");
        return WrongUse;
}

string? Option(string name)
{
    int at = words.IndexOf(name);
    if (at < 0 || at + 1 == words.Count)
    {
        return null;
    }

    string value = words[at + 1];
    words.RemoveRange(at, 2);
    return value;
}

string[] Itself(Check check, string file)
{
    string assembly = Path.Combine(AppContext.BaseDirectory, "Understory.Gpu.dll");
    string program = Environment.ProcessPath!;
    List<string> line = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [program, assembly] : [program];
    line.AddRange(["check", check.Name, file, "--models", models]);
    if (emulated)
    {
        line.Add("--emulated");
    }

    if (mistake is not null)
    {
        line.AddRange(["--mistake", mistake]);
    }

    return [.. line];
}

int RunCheck(Check check, string? file)
{
    using var run = new CheckRun(new CheckSettings(file, models, emulated, mistake));
    try
    {
        run.Save("stopped");
        check.Run(run);
        run.Report("kernels", new JsonArray([.. (run.Driver?.AllKernels ?? []).Select(name => JsonValue.Create(name))]));
        return End(run.Differences.Count == 0 ? "held" : "wrong", null, run.Differences.Count == 0 ? Held : Failed);
    }
    catch (SkippedException e)
    {
        return End("skipped", e.Message, Held);
    }
    catch (NoDeviceException e)
    {
        return End("no device", e.Message, Supervisor.NoDevice);
    }
    catch (CudaException e) when (e.Code is 700 or 702 or (>= 714 and <= 719))
    {
        // An address, an instruction or a barrier that is not legal; the context is lost.
        return End("fault", e.Message, Supervisor.Fault);
    }
    catch (Exception e) when (e is EmulationException or CudaException or InsufficientMemoryException)
    {
        return End("wrong", e.Message, Failed);
    }
    catch (Exception e) when (e is not OutOfMemoryException)
    {
        // Wrong numbers lead the code above the kernels astray: where to, the trace says.
        return End("wrong", e.ToString(), Failed);
    }

    int End(string status, string? error, int code)
    {
        run.Save(status, error);
        Console.WriteLine($"{check.Name}: {status}{(error is null ? "" : $": {error}")}");
        foreach (string difference in run.Differences)
        {
            Console.WriteLine($"  {difference}");
        }

        return code;
    }
}
