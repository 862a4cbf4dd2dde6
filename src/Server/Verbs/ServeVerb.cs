using System.CommandLine;
using System.Runtime.InteropServices;
using Serilog.Core;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;
using Understory.Server.Observability;

namespace Understory.Server.Verbs;

/// <summary><c>understory serve</c>, and <c>understory</c> alone.</summary>
public static class ServeVerb
{
    public static Command Create(CommandLine line)
    {
        var verb = new Command("serve", "Serve the model over HTTP (the default).");
        verb.SetAction((parsed, cancellation) => RunAsync(line.Read(parsed)));
        return verb;
    }

    /// <summary>Serves until SIGTERM or SIGINT; a second signal does not wait for the running request.</summary>
    public static async Task<int> RunAsync(ServerOptions options)
    {
        options.RequireSafeAddress();
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var hurry = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Signalled(PosixSignalContext signal)
        {
            signal.Cancel = true;
            if (!stop.TrySetResult())
            {
                hurry.TrySetResult();
            }
        }

        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Signalled);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Signalled);

        using Logger logger = OpenLog(options);
        var loading = new ModelLoading(options, CostFile.OfUser(Environment.GetEnvironmentVariable));
        await using var server = new ServerApp(options, loading.Load, logger);
        await server.StartAsync();
        if (await Task.WhenAny(server.Decoding.Ready, stop.Task) != stop.Task)
        {
            ServedModel model = await server.Decoding.Ready;
            foreach (string line in loading.Report)
            {
                logger.Information("{Line:l}", line);
            }

            foreach (string line in ModelIntroduction.Lines(model, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes))
            {
                Say(line);
            }

            Say($"Listening on {server.Address.GetLeftPart(UriPartial.Authority)}");
            await stop.Task;
            logger.Information("Shutting down: the running request may take {Seconds} s to finish", options.Drain.TotalSeconds);
            await Task.WhenAny(server.DrainAsync(), hurry.Task);
        }

        return CommandLine.Done;
    }

    private static Logger OpenLog(ServerOptions options)
    {
        try
        {
            return Logs.Create(CommandLine.SettingsFile, options.LogFile, TimeProvider.System);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new StartupException($"{options.SaidBy(OptionCatalog.LogFile)}: {options.LogFile} cannot be written: {e.Message}", e);
        }
    }

    /// <summary>A full disk under stdout is no reason not to serve.</summary>
    private static void Say(string line)
    {
        try
        {
            Console.WriteLine(line);
        }
        catch (IOException)
        {
        }
    }
}
