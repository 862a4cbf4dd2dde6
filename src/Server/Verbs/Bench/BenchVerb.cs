using System.CommandLine;
using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using Spectre.Console;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs.Bench;

/// <summary><c>understory bench</c>: what speculation is worth on this machine, and whether it changes the text.</summary>
public static class BenchVerb
{
    private static readonly JsonSerializerOptions Pretty =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly Option<string?> JsonFile = new("--json") { Description = "Write the figures to this file.", HelpName = "FILE" };
    private static readonly Option<string?> SvgFile = new("--svg") { Description = "Draw the figures into this file.", HelpName = "FILE" };
    private static readonly Option<string?> MarkdownFile =
        new("--markdown") { Description = "Write the figures as Markdown tables; - is stdout.", HelpName = "FILE" };
    private static readonly Option<string?> PromptFile = new(
        "--prompts")
    { Description = "One JSON object a line with a field prompt; without it 24 code prompts.", HelpName = "FILE.jsonl" };
    private static readonly Option<int> MaxTokens =
        new("--max-tokens") { Description = "Tokens per answer.", DefaultValueFactory = _ => 128, HelpName = "N" };
    private static readonly Option<float> Temperature = new("--temperature") { Description = "0 is greedy.", HelpName = "T" };
    private static readonly Option<int> TopK =
        new("--top-k") { Description = "Keep the K most probable tokens; 0 keeps all.", HelpName = "K" };
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
            JsonFile, SvgFile, MarkdownFile, PromptFile, MaxTokens, Temperature, TopK, Limit, Repeat, DraftPasses, Nodes, RandomModel,
            Oracle,
        };
        verb.SetAction(parsed =>
        {
            var settings = new BenchSettings
            {
                MaxTokens = parsed.GetValue(MaxTokens),
                Temperature = parsed.GetValue(Temperature),
                TopK = parsed.GetValue(TopK),
                Repeats = Math.Max(1, parsed.GetValue(Repeat)),
                DraftPasses = parsed.GetValue(DraftPasses),
                Nodes = parsed.GetValue(Nodes),
            };
            if (settings.MaxTokens < 1 || !(settings.Temperature >= 0))
            {
                throw new UsageException("--max-tokens must be 1 or more, --temperature 0 (greedy) or more.");
            }

            BenchReport report = Run(line.Read(parsed), settings, parsed);
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
        return verb;
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
        using var parts = BenchParts.Load(options, parsed.GetValue(RandomModel), Percentages(parsed.GetValue(Oracle)));
        int[][] prompts =
            [.. Prompts(parsed.GetValue(PromptFile)).Take(parsed.GetValue(Limit)).Select(text => Encode(parts, text, settings.MaxTokens))];
        if (prompts.Length == 0)
        {
            throw new UsageException("there are no prompts to run; check --prompts and --limit.");
        }

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

    private static int[] Encode(BenchParts parts, string text, int maxTokens)
    {
        int[] tokens = parts.Tokenizer.Encode(text);
        int room = parts.Loop.ContextLength - maxTokens;
        return room > 0
            ? tokens[..Math.Min(tokens.Length, room)] : throw new UsageException(
                $"--max-tokens {maxTokens} leaves no room for a prompt in a context of {parts.Loop.ContextLength}.");
    }

    private static float[]? Percentages(string? text)
    {
        if (text is null)
        {
            return null;
        }

        string[] parts = text.Split(',');
        float[] percentages = new float[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!float.TryParse(parts[i], out percentages[i]) || percentages[i] is not (>= 0 and <= 100)
                || (i > 0 && percentages[i] < percentages[i - 1]))
            {
                throw new UsageException($"--oracle takes rising percentages as in 60,79,82,85, not '{text}'.");
            }
        }

        return percentages;
    }

    private static IEnumerable<string> Prompts(string? file)
    {
        using Stream stream = file is null
            ? Assembly.GetExecutingAssembly().GetManifestResourceStream("prompts.jsonl")!
            : File.Exists(file) ? File.OpenRead(file) : throw new StartupException($"--prompts: there is no '{file}'.");
        using var reader = new StreamReader(stream);
        for (int number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length > 0)
            {
                yield return Prompt(line, file, number);
            }
        }
    }

    private static string Prompt(string line, string? file, int number)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            if (document.RootElement.TryGetProperty("prompt", out JsonElement prompt) && prompt.GetString() is { Length: > 0 } text)
            {
                return text;
            }
        }
        catch (JsonException)
        {
            // Reported below, like a line without the field.
        }

        throw new StartupException($"{file} line {number} is not a JSON object with a field \"prompt\".");
    }

    private static string Machine()
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
