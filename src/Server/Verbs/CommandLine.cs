using System.CommandLine;
using System.CommandLine.Parsing;
using Spectre.Console;
using Understory.Server.Hosting;
using Understory.Server.Verbs.Bench;

namespace Understory.Server.Verbs;

/// <summary>
/// The command line: verbs, the options that they share, and exit codes (0 done, 1 failed, 2 wrong use). A failure is one line on stderr.
/// </summary>
public sealed class CommandLine
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int WrongUse = 2;

    private readonly Dictionary<string, Option> _options = OptionCatalog.All.ToDictionary(spec => spec.Name, Make);

    public static string SettingsFile { get; } = Path.Combine(AppContext.BaseDirectory, "appsettings.json");

    public static async Task<int> RunAsync(string[] arguments)
    {
        Console.SetError(new LossyWriter(Console.Error));
        if (Console.IsOutputRedirected)
        {
            // A file or a pipe is no terminal: its reader gets text.
            AnsiConsole.Console =
                AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Interactive = InteractionSupport.No });
        }

        ParseResult parsed = new CommandLine().Root().Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            Console.Error.WriteLine($"understory: {parsed.Errors[0].Message} Try --help.");
            return WrongUse;
        }

        try
        {
            // Null: the server drains by itself; the library would end the process after two seconds.
            return await parsed.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e) when (e is UsageException or StartupException)
        {
            Console.Error.WriteLine($"understory: {e.Message.ReplaceLineEndings(" ")}");
            return e is UsageException ? WrongUse : Failed;
        }
        catch (Exception e)
        {
            // Nothing that a user could have done better: whoever mends it needs all of it.
            Console.Error.WriteLine(e);
            return Failed;
        }
    }

    /// <summary>The options of this call: flags, then the environment, then appsettings.json.</summary>
    /// <exception cref="UsageException">A value that cannot be.</exception>
    public ServerOptions Read(ParseResult parsed)
    {
        foreach ((string name, string meant) in OptionVariables.Misspelt(Environment.GetEnvironmentVariables().Keys.Cast<string>()))
        {
            Console.Error.WriteLine($"understory: the variable {name} means nothing here; did you mean {meant}?");
        }

        return ServerOptions.From(
            new OptionSource(name => Flags(parsed, _options[name]), Environment.GetEnvironmentVariable, SettingsFile));
    }

    private RootCommand Root()
    {
        var root = new RootCommand("A local, OpenAI-compatible server for language models that decodes by staged tree speculation.");
        foreach (OptionSpec spec in OptionCatalog.All)
        {
            root.Options.Add(_options[spec.Name]);
        }

        root.SetAction((parsed, cancellation) => ServeVerb.RunAsync(Read(parsed)));
        root.Subcommands.Add(Taking(ServeVerb.Create(this), _ => true));
        root.Subcommands.Add(Taking(CompleteVerb.Create(this), IsOfDecoding));
        root.Subcommands.Add(Taking(ChatVerb.Create(this), IsOfDecoding));
        root.Subcommands.Add(Taking(InfoVerb.Create(this), spec => spec.Scope != OptionScope.Http));
        root.Subcommands.Add(Taking(HealthVerb.Create(this), spec => spec == OptionCatalog.Host || spec == OptionCatalog.Port));
        root.Subcommands.Add(Taking(BenchVerb.Create(this), IsOfDecoding));
        root.Subcommands.Add(Taking(NgramVerb.Create(this), spec => spec == OptionCatalog.Draft || spec == OptionCatalog.Threads));
        root.Subcommands.Add(Taking(PullVerb.Create(this), spec => spec == OptionCatalog.Draft));
        return root;
    }

    /// <summary>The verb with those of the common options that mean something to it.</summary>
    internal Command Taking(Command verb, Func<OptionSpec, bool> takes)
    {
        foreach (OptionSpec spec in OptionCatalog.All.Where(takes))
        {
            verb.Options.Add(_options[spec.Name]);
        }

        return verb;
    }

    internal static bool IsOfDecoding(OptionSpec spec) => spec.Scope == OptionScope.Decoding;

    private static string Description(OptionSpec spec) => spec.Silence is { } silence ? $"{spec.Help} Default: {silence}." : spec.Help;

    private static Option Make(OptionSpec spec) => spec.Value is null
        ? new Option<bool>(spec.Flag) { Description = Description(spec) }
        : new Option<string[]>(spec.Flag)
        {
            Description = Description(spec),
            HelpName = spec.Value,
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = false,
        };

    private static string[]? Flags(ParseResult parsed, Option option) => parsed.GetResult(option) switch
    {
        OptionResult { Implicit: false } when option is Option<bool> flag => [parsed.GetValue(flag) ? "true" : "false"],
        OptionResult { Implicit: false } => parsed.GetValue((Option<string[]>)option),
        _ => null,
    };
}
