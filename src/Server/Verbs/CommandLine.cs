using System.CommandLine;
using System.CommandLine.Parsing;
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
        Command serve = ServeVerb.Create(this);
        Command health = HealthVerb.Create(this);
        foreach (OptionSpec spec in OptionCatalog.All)
        {
            Option option = _options[spec.Name];
            option.Recursive = !spec.ServerOnly;
            root.Options.Add(option);
            if (spec.ServerOnly)
            {
                serve.Options.Add(option);
                health.Options.Add(option);
            }
        }

        root.SetAction((parsed, cancellation) => ServeVerb.RunAsync(Read(parsed)));
        root.Subcommands.Add(serve);
        root.Subcommands.Add(CompleteVerb.Create(this));
        root.Subcommands.Add(ChatVerb.Create(this));
        root.Subcommands.Add(InfoVerb.Create(this));
        root.Subcommands.Add(health);
        root.Subcommands.Add(BenchVerb.Create(this));
        root.Subcommands.Add(NgramVerb.Create(this));
        root.Subcommands.Add(PullVerb.Create(this));
        return root;
    }

    private static Option Make(OptionSpec spec) => spec.Value is null
        ? new Option<bool>(spec.Flag) { Description = spec.Help }
        : new Option<string[]>(spec.Flag)
        {
            Description = spec.Help,
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
