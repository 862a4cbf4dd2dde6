using System.CommandLine;
using Spectre.Console;
using Understory.Models.Architecture;

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

        var root = new RootCommand("Trains models for Understory: a draft for your model.") { DraftVerb.Create(), InfoVerb.Create() };
        ParseResult parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            Console.Error.WriteLine($"understory-train: {parsed.Errors[0].Message} Try --help.");
            return WrongUse;
        }

        try
        {
            return await parsed.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e) when (
            e is TrainingException or ModelLoadException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"understory-train: {e.Message.ReplaceLineEndings(" ")}");
            return Failed;
        }
    }
}
