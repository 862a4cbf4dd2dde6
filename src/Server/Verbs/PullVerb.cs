using System.CommandLine;
using System.Runtime.InteropServices;
using Spectre.Console;
using Understory.Decoding;
using Understory.Models.Architecture;
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

            using var client = new HubClient(settings, FirstWait) { Waiting = Console.Error.WriteLine };
            var cache = new HubCache(settings.CacheFolder);
            var download = new HubDownload(client, cache);
            // All that can be refused is refused before anything large is fetched.
            var plans = new List<HubListing>();
            foreach (HubReference reference in wanted)
            {
                plans.Add(await download.PlanAsync(reference, draft: plans.Count > 0, stop.Token));
            }

            await CheckAsync(wanted, plans, new HubPreview(client), stop.Token);
            foreach ((HubReference reference, HubListing plan) in wanted.Zip(plans))
            {
                await FetchAsync(download, reference, plan, stop.Token);
                Console.WriteLine($"{reference} is at {cache.Find(reference)}");
            }

            string drafted = wanted.Count > 1 ? $" --draft {wanted[1]}" : "";
            Console.WriteLine($"Serve it: {Invocation.Name} --model {wanted[0]}{drafted}");
            return CommandLine.Done;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            throw new StartupException("stopped; what has come is kept, and the same command goes on from there.");
        }
        catch (Exception e) when (e is HubException or ModelLoadException or IOException or UnauthorizedAccessException)
        {
            throw new StartupException(e.Message, e);
        }
        catch (FormatException e)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>Says what each model is and what serving it takes; refuses what could not be served.</summary>
    private static async Task CheckAsync(List<HubReference> wanted, List<HubListing> plans, HubPreview preview, CancellationToken stop)
    {
        var surveys = new List<ModelSurvey>();
        foreach ((HubReference reference, HubListing plan) in wanted.Zip(plans))
        {
            string size = Quantity.Bytes(plan.Files.Sum(file => file.Size));
            Console.WriteLine($"{reference} at {plan.Commit[..8]}: {plan.Files.Count} file{(plan.Files.Count == 1 ? "" : "s")}, {size}");
            ModelSurvey survey = await preview.SurveyAsync(reference, plan, surveys.FirstOrDefault(), stop);
            Console.WriteLine(Described(survey));
            surveys.Add(survey);
        }

        if (surveys is [var target, var draft])
        {
            string? own = Vocabularies.Require(
                (wanted[0].ToString(), target.Tokenizer, target.Config), (wanted[1].ToString(), draft.Tokenizer, draft.Config));
            if (own is not null)
            {
                Console.WriteLine($"{wanted[1]} has {own}");
            }
        }

        long memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (surveys.Sum(survey => survey.WeightBytes) > memory)
        {
            Console.Error.WriteLine(
                $"The weights do not fit the {Quantity.Bytes(memory)} of memory here: they can be fetched, and served elsewhere.");
        }
    }

    private static string Described(ModelSurvey survey)
    {
        string all = Quantity.Bytes(survey.MemoryBytes);
        string each = Quantity.Bytes(survey.CacheBytesPerToken * 1000);
        string kind = survey.Config.Head is null ? survey.Config.Family.Name : "a draft head (EAGLE-3)";
        return $"{kind}, {Quantity.Count(survey.Parameters)} parameters; serving takes "
            + $"{Quantity.Bytes(survey.WeightBytes)} of memory for weights and {each} for every 1,000 tokens: "
            + FormattableString.Invariant($"{all} with all of its context of {survey.Config.ContextLength:N0}");
    }

    private static async Task FetchAsync(HubDownload download, HubReference reference, HubListing plan, CancellationToken stop)
    {
        if (Console.IsOutputRedirected)
        {
            // Nobody watches bars grow: lines tell, and the reader of a file or a pipe gets no escape codes.
            await download.FetchAsync(reference, plan, new ProgressLines(plan).Tell, stop);
            return;
        }

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

    /// <summary>Tells every tenth of all bytes, in a line.</summary>
    private sealed class ProgressLines(HubListing plan)
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<HubFile, long> _done = [];
        private readonly long _all = Math.Max(1, plan.Files.Sum(file => file.Size));
        private long _told;

        public void Tell(DownloadProgress step)
        {
            lock (_lock)
            {
                _done[step.File] = step.Done;
                long bytes = _done.Values.Sum();
                long tenths = 10 * bytes / _all;
                if (tenths > _told)
                {
                    _told = tenths;
                    Console.WriteLine($"{10 * tenths} % of {Quantity.Bytes(_all)}");
                }
            }
        }
    }
}
