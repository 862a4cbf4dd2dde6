using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using Spectre.Console;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs.Bench;

/// <summary><c>understory bench</c>: what speculation is worth on this machine, and whether it changes the text.</summary>
public static class BenchVerb
{
    internal static readonly JsonSerializerOptions Pretty =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly Option<string?> JsonFile = new("--json") { Description = "Write the figures to this file.", HelpName = "FILE" };
    private static readonly Option<string?> SvgFile = new("--svg") { Description = "Draw the figures into this file.", HelpName = "FILE" };
    private static readonly Option<string?> MarkdownFile =
        new("--markdown") { Description = "Write the figures as Markdown tables; - is stdout.", HelpName = "FILE" };
    private static readonly Option<string?> PromptFile = new(
        "--prompts")
    { Description = "One JSON object a line with a field prompt; without it 24 code prompts.", HelpName = "FILE.jsonl" };
    private static readonly Option<int> MaxTokens = AnswerOptions.MaxTokens(128);
    private static readonly Option<int> Limit =
        new("--limit") { Description = "Use the first N prompts.", DefaultValueFactory = _ => int.MaxValue, HelpName = "N" };
    private static readonly Option<int> Repeat =
        new("--repeat") { Description = "Runs per prompt and mode; the fastest counts.", DefaultValueFactory = _ => 3, HelpName = "N" };
    private static readonly Option<int> DraftPasses =
        new("--draft-passes") { Description = "Exactly so many draft passes per step in the modes draft and staged.", HelpName = "N" };
    private static readonly Option<int> Nodes =
        new("--nodes") { Description = "Exactly so many nodes per tree in the forced modes.", HelpName = "N" };
    private static readonly Option<string?> RandomModel = new("--random")
    {
        Description = "A random target, as gpt2:768x12:4096 (hidden x "
        + "layers : vocabulary): for figures of kernels only.",
        HelpName = "SPEC"
    };
    private static readonly Option<string?> Oracle = new("--oracle")
    {
        Description = "A drafter that knows the answer and ranks it first, "
        + "second, ... in so many percent of positions.",
        HelpName = "P1,P2,..."
    };

    public static Command Create(CommandLine line)
    {
        var verb = new Command("bench", "Measure every speculation mode on the same prompts and check that all give the same text.")
        {
            JsonFile, SvgFile, MarkdownFile, PromptFile, MaxTokens, AnswerOptions.Temperature, AnswerOptions.TopK, Limit, Repeat,
            DraftPasses, Nodes, RandomModel, Oracle,
        };
        verb.SetAction(parsed =>
        {
            BenchReport report = Run(line.Read(parsed), Settings(parsed), parsed);
            BenchTable.Write(Wide(AnsiConsole.Console), report);
            if (parsed.GetValue(JsonFile) is { } json)
            {
                File.WriteAllText(json, JsonSerializer.Serialize(report, Pretty) + "\n");
            }

            if (parsed.GetValue(SvgFile) is { } svg)
            {
                File.WriteAllText(svg, BenchChart.Draw(report));
            }

            if (parsed.GetValue(MarkdownFile) is "-")
            {
                Console.Write(BenchMarkdown.Write(report));
            }
            else if (parsed.GetValue(MarkdownFile) is { } markdown)
            {
                File.WriteAllText(markdown, BenchMarkdown.Write(report));
            }

            return report.Equal ? CommandLine.Done : CommandLine.Failed;
        });
        verb.Subcommands.Add(CompareVerb.Create());
        Command pairs = PairsVerb.Create(
            [
                PromptFile, MaxTokens, AnswerOptions.Temperature, AnswerOptions.TopK, Limit, DraftPasses, Nodes, RandomModel, Oracle,
            ],
            (parsed, repeats) =>
            {
                BenchSettings settings = Settings(parsed) with { Repeats = repeats };
                (BenchParts parts, int[][] prompts) = Load(line.Read(parsed), settings, parsed);
                return (parts, prompts, settings);
            });
        verb.Subcommands.Add(line.Taking(pairs, CommandLine.IsOfDecoding));
        verb.Subcommands.Add(line.Taking(SourcesVerb.Create(line.Read), CommandLine.IsOfDecoding));
        return verb;
    }

    private static BenchSettings Settings(ParseResult parsed)
    {
        var settings = new BenchSettings
        {
            MaxTokens = parsed.GetValue(MaxTokens),
            Temperature = parsed.GetValue(AnswerOptions.Temperature),
            TopK = parsed.GetValue(AnswerOptions.TopK),
            Repeats = Math.Max(1, parsed.GetValue(Repeat)),
            DraftPasses = parsed.GetValue(DraftPasses),
            Nodes = parsed.GetValue(Nodes),
        };
        if (settings.MaxTokens < 1 || !(settings.Temperature >= 0))
        {
            throw new UsageException("--max-tokens must be 1 or more, --temperature 0 (greedy) or more.");
        }

        return settings;
    }

    private static (BenchParts Parts, int[][] Prompts) Load(ServerOptions options, BenchSettings settings, ParseResult parsed)
    {
        var parts = BenchParts.Load(options, parsed.GetValue(RandomModel), parsed.GetValue(Oracle));
        return (parts, BenchPrompts.Read(parts, parsed.GetValue(PromptFile), parsed.GetValue(Limit), settings.MaxTokens));
    }

    /// <summary>A file or a pipe has no width, and tables broken for 80 columns cannot be read.</summary>
    internal static IAnsiConsole Wide(IAnsiConsole console)
    {
        if (Console.IsOutputRedirected)
        {
            console.Profile.Width = 180;
        }

        return console;
    }

    private static BenchReport Run(ServerOptions options, BenchSettings settings, ParseResult parsed)
    {
        (BenchParts parts, int[][] prompts) = Load(options, settings, parsed);
        using BenchParts owned = parts;
        PassFigures figures = PassFigures.Measure(parts.Target, parts.Draft);
        var runner = new BenchRunner(parts.Loop, parts.Oracle, parts.Target.WeightBytes, parts.Draft?.WeightBytes ?? 0, settings);
        AnsiConsole.Progress().AutoClear(true).Start(progress =>
        {
            ProgressTask task = progress.AddTask("prompts", maxValue: prompts.Length);
            foreach (int[] prompt in prompts)
            {
                runner.Run(prompt);
                task.Increment(1);
            }
        });
        return new BenchReport
        {
            Machine = Machine(),
            Kernels = $"{parts.Target.Kernels.Name}, {options.Threads ?? Environment.ProcessorCount} threads",
            Model = parts.TargetName,
            Draft = parts.DraftName,
            Temperature = settings.Temperature,
            TopK = settings.TopK,
            Prompts = prompts.Length,
            MaxTokens = settings.MaxTokens,
            WeightBytes = parts.Target.WeightBytes,
            ReadGigabytesPerSecond = figures.ReadBandwidth / 1e9,
            PassGigabytesPerSecond = parts.Target.WeightBytes / figures.Target[1] / 1e9,
            PassMilliseconds = Milliseconds(figures.Target),
            DraftPassMilliseconds = Milliseconds(figures.Draft),
            PrefillGigaflops = figures.PrefillFlops / 1e9,
            Equal = runner.Equal,
            Modes = runner.Results(),
            ByPrompt = runner.ByPrompt,
            StagedAgainstChain = SignTest.Of("staged", "chain", runner.ByPrompt),
            Noise = runner.Noise,
        };
    }

    private static Dictionary<string, double> Milliseconds(IReadOnlyDictionary<int, double> seconds) =>
        seconds.ToDictionary(pair => pair.Key.ToString(), pair => Math.Round(pair.Value * 1000, 4));

    internal static string Machine()
    {
        string name = System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString();
        if (File.Exists("/proc/cpuinfo"))
        {
            name = File.ReadLines("/proc/cpuinfo")
                .FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? name;
        }

        return $"{name}, {Environment.ProcessorCount} cores";
    }
}
