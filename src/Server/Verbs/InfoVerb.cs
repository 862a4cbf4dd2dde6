using System.CommandLine;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs;

/// <summary><c>understory info</c>: what would be served, and on what.</summary>
public static class InfoVerb
{
    public static Command Create(CommandLine line)
    {
        var verb = new Command("info", "Tell what would be served, and on what.");
        verb.SetAction(parsed => Run(line.Read(parsed)));
        return verb;
    }

    private static int Run(ServerOptions options)
    {
        var loading = new ModelLoading(options);
        using LoadedModel loaded = loading.Load(_ => { });
        ModelConfig config = loaded.Target.Config;
        Line("understory", typeof(InfoVerb).Assembly.GetName().Version?.ToString(3) ?? "");
        Line("kernel sets", string.Join(", ", KernelCatalog.Available.Select(set => $"{set.Name} ({set.Reason})")));
        foreach (string report in loading.Report)
        {
            int colon = report.IndexOf(':');
            Line(report[..colon].ToLowerInvariant(), report[(colon + 2)..]);
        }

        Line("served as", string.Join(", ", loaded.Served.Aliases.Prepend(loaded.Served.Id)));
        Line("family", config.Family.Name);
        Line("vocabulary", $"{config.VocabularySize} tokens");
        Line("chat template", loaded.Served.Chat.Description);
        Line("talk", loaded.Served.Chat.Talk);
        Line("speculation", $"{string.Join(", ", loaded.Served.Modes.Select(mode => mode.ToString().ToLowerInvariant()))}; default "
            + $"{options.Speculation.ToString().ToLowerInvariant()}");
        Line("fingerprint", loaded.Served.Fingerprint);
        foreach (int rows in (int[])[1, 2, 4, 8, 16])
        {
            Line($"pass of {rows}", $"{loaded.Loop.TargetSeconds(rows, 0) * 1000:F3} ms (measured at start, or estimated)");
        }

        return CommandLine.Done;
    }

    private static void Line(string name, string value) => Console.WriteLine($"{name,-14} {value}");
}
