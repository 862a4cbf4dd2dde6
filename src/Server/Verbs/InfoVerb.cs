using System.CommandLine;
using System.Globalization;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs;

/// <summary>
/// <c>understory info</c>: what would be served, and on what; <c>understory info FILE</c>: what a model's files hold and what serving them
/// would take, without loading the weights.
/// </summary>
public static class InfoVerb
{
    public static Command Create(CommandLine line)
    {
        var file = new Argument<string?>("FILE")
        {
            Description = "A model to describe without loading it: a folder, a .gguf file or OWNER/NAME. Without: load and measure.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var verb = new Command("info", "Tell what would be served, and on what; or, with FILE, what a model is and would take.") { file };
        verb.SetAction(parsed => parsed.GetValue(file) is { } path ? Describe(line.Read(parsed), path) : Run(line.Read(parsed)));
        return verb;
    }

    private static int Describe(ServerOptions options, string path)
    {
        ModelDescription model = new ModelLoading(options).Describe(path);
        ModelSurvey survey = model.Survey;
        ModelConfig config = survey.Config;
        Line("model", model.Path);
        Line("family", $"{config.Family.Name}, {config.Layers.Count} layers of {config.HiddenSize}, {config.VocabularySize} tokens");
        Line("parameters", Count(survey.Parameters)
            + (survey.ActiveParameters < survey.Parameters ? $", of which {Count(survey.ActiveParameters)} for a token" : ""));
        if (config.Layers.Select(layer => layer.Mlp.Experts).OfType<ExpertsPlan>().FirstOrDefault() is { } experts)
        {
            int layers = config.Layers.Count(layer => layer.Mlp.Experts is not null);
            Line("experts", $"{experts.Count} in {layers} layers, {experts.Used} for a token");
        }

        foreach (TypeShare type in survey.Types)
        {
            Line($"  {type.Name}", $"{Bytes(type.Bytes)} for {Count(type.Parameters)}");
        }

        Line("context", $"{config.ContextLength} tokens"
            + (config.MaxContext > config.ContextLength ? $", up to {config.MaxContext} by --context" : ""));
        Line("chat template", model.Chat.Description);
        Line("talk", model.Chat.Talk);
        Line("memory", $"{Bytes(survey.MemoryBytes)} with all {config.ContextLength} tokens: weights {Bytes(survey.WeightBytes)}, keys and "
            + $"values {Bytes(survey.CacheBytesPerToken * config.ContextLength)} in {survey.CacheType.Name()} "
            + $"({survey.CacheBytesPerToken / 1e3:F1} kB a token); free here: {Bytes(HostMemory.FreeBytes)}");
        if (survey.Head is { } head)
        {
            Line("draft head", $"{head}, {Count(survey.HeadParameters)} parameters and {survey.HeadCacheBytesPerToken / 1e3:F1} kB a token "
                + "more, counted in memory; on unless --draft says otherwise");
        }

        Line("a pass", $"reads {Bytes(survey.PassBytes)} of weights for one token");
        foreach (string remark in survey.Remarks)
        {
            Line("note", remark);
        }

        if (survey.MappedBytes > 0)
        {
            Line("note", $"{Bytes(survey.MappedBytes)} of experts would stay in their file, since not all weights fit into memory: passes "
                + "that read them take as long as the disk does");
        }
        else if (survey.MemoryBytes > HostMemory.FreeBytes)
        {
            Line("note", "with all of its context it does not fit into the memory that is free: --context takes less, --kv q8_0 half");
        }

        return CommandLine.Done;
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

    private static string Count(long count) => count switch
    {
        >= 1_000_000_000 => $"{count / 1e9:F2} billion",
        >= 1_000_000 => $"{count / 1e6:F1} million",
        _ => count.ToString("N0", CultureInfo.InvariantCulture),
    };

    private static string Bytes(long bytes) => bytes >= 1_000_000_000 ? $"{bytes / 1e9:F2} GB" : $"{bytes / 1e6:F1} MB";

    private static void Line(string name, string value) => Console.WriteLine($"{name,-14} {value}");
}
