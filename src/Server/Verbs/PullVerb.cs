using System.CommandLine;
using System.Runtime.InteropServices;
using Spectre.Console;
using Understory.Server.Hosting;
using Understory.Server.Hub;

namespace Understory.Server.Verbs;

/// <summary><c>understory pull OWNER/NAME</c>: fetches a model from the hub, and with <c>--draft</c> its draft model.</summary>
public static class PullVerb
{
    private static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(1);

    private static readonly Argument<string> Model = new("model")
    {
        Description = "OWNER/NAME on the hub, with @REVISION and :Q4_K_M or :FILE.gguf where wanted.",
    };

    public static Command Create(CommandLine line)
    {
        var verb = new Command("pull",
            "Fetch a model from the hub into the cache that other tools share, so that --model OWNER/NAME finds it.") { Model };
        verb.SetAction((parsed, cancellation) =>
        {
            var wanted = new List<HubReference> { Reference(parsed.GetRequiredValue(Model)) };
            if (line.Read(parsed).Draft is { } draft && HubReference.TryParse(draft, out HubReference second))
            {
                wanted.Add(second);
            }

            return RunAsync(wanted);
        });
        return verb;
    }

    private static HubReference Reference(string text) => HubReference.TryParse(text, out HubReference reference)
        ? reference
        : throw new UsageException($"pull takes OWNER/NAME, OWNER/NAME@REVISION, OWNER/NAME:Q4_K_M or OWNER/NAME:FILE.gguf, not '{text}'.");

    private static async Task<int> RunAsync(List<HubReference> wanted)
    {
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Cancel();
        }

        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            HubSettings settings = HubSettings.From(Environment.GetEnvironmentVariable);
            if (settings.Offline)
            {
                throw new StartupException("HF_HUB_OFFLINE is set, so nothing is fetched; unset it to pull.");
            }

            using var client =
                new HubClient(settings, FirstWait) { Waiting = why => AnsiConsole.MarkupLineInterpolated($"[yellow]{why}[/]") };
            var cache = new HubCache(settings.CacheFolder);
            var download = new HubDownload(client, cache);
            foreach (HubReference reference in wanted)
            {
                await FetchAsync(download, reference, stop.Token);
                Console.WriteLine($"{reference} is at {cache.Find(reference)}");
            }

            string drafted = wanted.Count > 1 ? $" --draft {wanted[1]}" : "";
            Console.WriteLine($"Serve it: understory --model {wanted[0]}{drafted}");
            return CommandLine.Done;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            throw new StartupException("stopped; what has come is kept, and the same command goes on from there.");
        }
        catch (Exception e) when (e is HubException or IOException or UnauthorizedAccessException)
        {
            throw new StartupException(e.Message, e);
        }
        catch (FormatException e)
        {
            throw new UsageException(e.Message);
        }
    }

    private static async Task FetchAsync(HubDownload download, HubReference reference, CancellationToken stop)
    {
        HubListing plan = await download.PlanAsync(reference, stop);
        AnsiConsole.MarkupLineInterpolated(
            $"{reference} at {plan.Commit[..8]}: {plan.Files.Count} files, {plan.Files.Sum(file => file.Size) / 1e6:F1} MB");
        await AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new DownloadedColumn(),
                new TransferSpeedColumn(), new RemainingTimeColumn())
            .StartAsync(async context =>
            {
                var tasks = plan.Files.ToDictionary(file => file, file =>
                    context.AddTask(Markup.Escape(file.Path), maxValue: Math.Max(1, file.Size)));
                await download.FetchAsync(reference, plan, step => tasks[step.File].Value = step.File.Size == 0 ? 1 : step.Done, stop);
            });
    }
}
