using System.CommandLine;
using System.Text.Json;
using Spectre.Console;
using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs.Bench;

/// <summary><c>understory bench sources</c>: which source of guesses gains how much on which kind of text, greedy and sampled.</summary>
internal static class SourcesVerb
{
    private static readonly float[] Temperatures = [0, 1];

    /// <summary>Draft passes of a step where windows are compared.</summary>
    private const int Chain = 4;

    private static readonly Option<string?> PromptFile = new("--prompts")
    {
        Description = "One JSON object a line with fields kind and prompt; without it six prompts each of code, chat, prose and copying.",
        HelpName = "FILE.jsonl",
    };

    private static readonly Option<int> Limit =
        new("--limit") { Description = "Use the first N prompts of each kind.", DefaultValueFactory = _ => int.MaxValue, HelpName = "N" };
    private static readonly Option<int> MaxTokens =
        new("--max-tokens") { Description = "Tokens per answer.", DefaultValueFactory = _ => 128, HelpName = "N" };
    private static readonly Option<int> Repeat =
        new("--repeat") { Description = "Runs per prompt and way; the fastest counts.", DefaultValueFactory = _ => 3, HelpName = "N" };
    private static readonly Option<string?> Windows = new("--windows")
    {
        Description = "Also chains of four draft passes with a window of the last N tokens, for each N, and with none: 32,128.",
        HelpName = "N,N",
    };

    private static readonly Option<string?> JsonFile = new("--json") { Description = "Write the figures to this file.", HelpName = "FILE" };
    private static readonly Option<string?> SvgFile = new("--svg") { Description = "Draw the figures into this file.", HelpName = "FILE" };
    private static readonly Option<string?> MarkdownFile =
        new("--markdown") { Description = "Write the figures as a Markdown table; - is stdout.", HelpName = "FILE" };

    public static Command Create(Func<ParseResult, ServerOptions> read)
    {
        var verb = new Command("sources", "Measure every source of guesses on its own and together, by kind of text, greedy and sampled.")
        {
            PromptFile, Limit, MaxTokens, Repeat, Windows, JsonFile, SvgFile, MarkdownFile,
        };
        verb.SetAction(parsed =>
        {
            SourcesReport report = Run(read(parsed), parsed);
            report.Write(BenchVerb.Wide(AnsiConsole.Console));
            Save(parsed.GetValue(JsonFile), () => JsonSerializer.Serialize(report, BenchVerb.Pretty) + "\n");
            Save(parsed.GetValue(SvgFile), () => SourcesChart.Draw(report));
            Save(parsed.GetValue(MarkdownFile), report.Markdown);
            return report.Equal ? CommandLine.Done : CommandLine.Failed;
        });
        return verb;
    }

    private static void Save(string? file, Func<string> text)
    {
        if (file is "-")
        {
            Console.Write(text());
        }
        else if (file is not null)
        {
            File.WriteAllText(file, text());
        }
    }

    private static SourcesReport Run(ServerOptions options, ParseResult parsed)
    {
        int[] windows = ReadWindows(parsed.GetValue(Windows));
        var settings = new BenchSettings { MaxTokens = parsed.GetValue(MaxTokens), Repeats = Math.Max(1, parsed.GetValue(Repeat)) };
        if (settings.MaxTokens < 1)
        {
            throw new UsageException("--max-tokens must be 1 or more.");
        }

        using LoadedModel loaded = new ModelLoading(options).Load(_ => { });
        var loops = new List<DecodingLoop>();
        try
        {
            SourceArm[] arms = [.. Arms(loaded, windows, loops)];
            loops.ForEach(loop => loop.WarmUp(TimeSpan.FromMilliseconds(400)));
            int room = loaded.Loop.ContextLength - settings.MaxTokens;
            var kinds = BenchPrompts.ReadKinds(loaded.Target.Tokenizer, room, parsed.GetValue(PromptFile), parsed.GetValue(Limit));
            var runner = new SourcesRunner(arms, settings);
            var sections = new List<SourceSection>();
            AnsiConsole.Progress().AutoClear(true).Start(progress =>
            {
                ProgressTask task = progress.AddTask("prompts", maxValue: Temperatures.Length * kinds.Sum(kind => kind.Prompts.Count));
                foreach (float temperature in Temperatures)
                {
                    foreach ((string kind, IReadOnlyList<int[]> prompts) in kinds)
                    {
                        sections.Add(runner.Run(kind, prompts, temperature, () => task.Increment(1)));
                    }
                }
            });
            string draft = loaded.Draft?.Name ?? loaded.Target.Head?.Plan.ToString() ?? "none";
            return new SourcesReport(BenchVerb.Machine(), loaded.Served.Id, draft, settings.MaxTokens, sections);
        }
        finally
        {
            loops.ForEach(loop => loop.Dispose());
        }
    }

    /// <summary>What the pair has, one at a time and together. Without a draft model only n-grams are held against <c>off</c>.</summary>
    private static IEnumerable<SourceArm> Arms(LoadedModel loaded, int[] windows, List<DecodingLoop> loops)
    {
        BenchMode Mode(string name) => BenchMode.All.Single(mode => mode.Name == name);
        DecodingLoop Loop(LanguageModel? draft, NgramModel? ngram, int window = 0)
        {
            loops.Add(new DecodingLoop(loaded.Target, draft, ngram, new DecodingOptions { PrefixCacheBytes = 0, DraftWindow = window }));
            return loops[^1];
        }

        yield return new SourceArm("off", loaded.Loop, BenchMode.Off);
        yield return new SourceArm("text's n-grams", Loop(null, null), Mode("ngram"));
        if (loaded.Ngram is not null)
        {
            yield return new SourceArm("and Katz model", Loop(null, loaded.Ngram), Mode("ngram"));
        }

        if (loaded.Loop.Supports(SpeculationMode.Draft))
        {
            yield return new SourceArm("draft, chain", loaded.Loop, Mode("chain"));
            yield return new SourceArm("draft, tree", loaded.Loop, Mode("draft"));
            yield return new SourceArm("staged", loaded.Loop, Mode("staged"));
        }

        yield return new SourceArm("auto", loaded.Loop, Mode("auto"));
        foreach (int window in loaded.Draft is { CopyOf: null } && windows.Length > 0 ? windows.Append(0) : [])
        {
            string reach = window == 0 ? "no window" : $"last {window}";
            yield return new SourceArm($"chain of {Chain}, {reach}", Loop(loaded.Draft, null, window), Mode("chain"), Chain);
        }
    }

    private static int[] ReadWindows(string? text)
    {
        string[] parts = text?.Split(',') ?? [];
        return [.. parts.Select(part => int.TryParse(part, out int window) && window >= OptionCatalog.LeastWindow
            ? window
            : throw new UsageException($"--windows takes numbers from {OptionCatalog.LeastWindow} on, as in 32,128, not '{text}'."))];
    }
}
