using System.CommandLine;
using System.Runtime.InteropServices;
using Spectre.Console;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;

namespace Understory.Training.Verbs;

/// <summary>The trainer's verbs and exit codes: 0 done, 1 failed, 2 wrong use. A failure is one line on stderr.</summary>
public static class TrainingCommandLine
{
    private const int Failed = 1;
    private const int WrongUse = 2;

    public static async Task<int> RunAsync(string[] arguments)
    {
        if (Console.IsOutputRedirected)
        {
            // A file or a pipe is no terminal: its reader gets text.
            AnsiConsole.Console =
                AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Interactive = InteractionSupport.No });
        }

        var root = new RootCommand("Trains models for Understory: a draft for your model, and the demo.")
        {
            DraftVerb.Create(), DemoVerb.Create(), InfoVerb.Create(),
        };
        ParseResult parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            Console.Error.WriteLine($"understory-train: {parsed.Errors[0].Message} Try --help.");
            return WrongUse;
        }

        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext signal)
        {
            // The second time the process ends at once.
            signal.Cancel = !stop.IsCancellationRequested;
            stop.Cancel();
        }

        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            return await parsed.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            Console.Error.WriteLine("Stopped; what was done is kept. The same command goes on from there.");
            return Failed;
        }
        catch (Exception e) when (e is TrainingException or ModelLoadException or TokenizationException or InvalidDataException
            or IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"understory-train: {e.Message.ReplaceLineEndings(" ")}");
            return Failed;
        }
        catch (ExternalException e)
        {
            string said = e.Message.Split('\n')[0];
            Console.Error.WriteLine(
                $"understory-train: libtorch failed: {said} (Where a GPU lacks memory, CUDA_VISIBLE_DEVICES= trains on the CPU.)");
            return Failed;
        }
    }
}
