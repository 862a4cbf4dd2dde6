using System.Net;
using Understory.Decoding;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Server.Chat;

namespace Understory.Server.Hosting;

/// <summary>Everything that can be chosen when a process starts. See <see cref="OptionCatalog"/> for what each option means.</summary>
public sealed record ServerOptions
{
    /// <summary>Null: the bundle's target.</summary>
    public string? Model { get; init; }

    /// <summary>Null: the bundle's where the bundle's target serves, else none. "none": none.</summary>
    public string? Draft { get; init; }

    /// <summary>Last tokens that the draft model attends to; 0: all.</summary>
    public int DraftWindow { get; init; }

    /// <summary>As <see cref="Draft"/>.</summary>
    public string? Ngram { get; init; }

    public SpeculationMode Speculation { get; init; } = OptionCatalog.Speculation.Default;

    /// <summary>"auto", "cpu", "cuda" or "cuda:N".</summary>
    public string Device { get; init; } = OptionCatalog.Device.Default;

    /// <summary>What weights are quantised to while target and draft load; null: they stay as in the file.</summary>
    public WeightFormat? Weights { get; init; }

    /// <summary>Null: all cores.</summary>
    public int? Threads { get; init; }

    /// <summary>Tokens; null: what the model was made for.</summary>
    public int? Context { get; init; }

    /// <summary>Type of keys and values, target's and draft's; null: that of the weights.</summary>
    public CacheType? Kv { get; init; }

    public int PrefixCacheMegabytes { get; init; } = OptionCatalog.PrefixCacheMegabytes.Default;

    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>How the model writes calls of tools; null: as its chat template shows.</summary>
    public ToolSyntax? ToolSyntax { get; init; }

    /// <summary>Whether <c>/v1/embeddings</c> answers.</summary>
    public bool Embeddings { get; init; } = OptionCatalog.Embeddings.Default;

    public string Host { get; init; } = OptionCatalog.Host.Default;

    public int Port { get; init; } = OptionCatalog.Port.Default;

    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>A file with further keys, one a line; see <see cref="Hosting.ApiKeys"/>.</summary>
    public string? ApiKeyFile { get; init; }

    public bool AllowAnonymous { get; init; }

    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>Origins whose pages may use the server; see <see cref="CrossOrigin"/>.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = [];

    /// <summary>Paths besides <c>/health</c> that are answered without a key; <c>/</c> is the page, whose files hold no secret.</summary>
    public IReadOnlyList<string> OpenPaths { get; init; } = OptionCatalog.OpenPaths.Default;

    /// <summary>Places beside the running request.</summary>
    public int MaxQueue { get; init; } = OptionCatalog.MaxQueue.Default;

    public TimeSpan Drain { get; init; } = OptionCatalog.Drain.Default;

    /// <summary>From arrival on; null: no limit.</summary>
    public TimeSpan? RequestLimit { get; init; }

    /// <summary>Null: the log goes to stderr alone.</summary>
    public string? LogFile { get; init; }

    /// <summary>Base address of an OTLP collector; null: what OpenTelemetry's own variables say.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>A stream that has had nothing to say for this long gets a comment.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>What <see cref="RequestLimit"/> is measured by.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Longest request body, in bytes.</summary>
    public long MaxBody { get; init; } = 8 << 20;

    public ConnectionLimits Connections { get; init; } = new();

    /// <summary>Who said what was said: see <see cref="OptionSource.Origins"/>.</summary>
    public IReadOnlyDictionary<string, string> Origins { get; init; } = new Dictionary<string, string>();

    /// <summary>The address that <see cref="Host"/> stands for.</summary>
    public IPAddress Address => Host switch
    {
        "localhost" => IPAddress.Loopback,
        "*" or "+" => IPAddress.Any,
        _ => IPAddress.Parse(Host),
    };

    public bool IsLoopback => IPAddress.IsLoopback(Address);

    /// <summary>Whom an error about an option names: the flag, unless somebody else said it.</summary>
    public string SaidBy(OptionSpec option) => Origins.GetValueOrDefault(option.Name) ?? option.Flag;

    /// <exception cref="UsageException">A value that cannot be.</exception>
    public static ServerOptions From(OptionSource source) => new()
    {
        Model = source.Read(OptionCatalog.Model),
        Draft = source.Read(OptionCatalog.Draft),
        DraftWindow = source.Read(OptionCatalog.DraftWindow),
        Ngram = source.Read(OptionCatalog.Ngram),
        Speculation = source.Read(OptionCatalog.Speculation),
        Device = source.Read(OptionCatalog.Device),
        Weights = source.Read(OptionCatalog.Weights),
        Threads = source.Read(OptionCatalog.Threads),
        Context = source.Read(OptionCatalog.Context),
        Kv = source.Read(OptionCatalog.Kv),
        PrefixCacheMegabytes = source.Read(OptionCatalog.PrefixCacheMegabytes),
        Aliases = source.Read(OptionCatalog.Aliases),
        ToolSyntax = source.Read(OptionCatalog.ToolSyntax),
        Embeddings = source.Read(OptionCatalog.Embeddings),
        Host = source.Read(OptionCatalog.Host),
        Port = source.Read(OptionCatalog.Port),
        ApiKeys = source.Read(OptionCatalog.ApiKeys),
        ApiKeyFile = source.Read(OptionCatalog.ApiKeyFile),
        AllowAnonymous = source.Read(OptionCatalog.AllowAnonymous),
        AllowedHosts = source.Read(OptionCatalog.AllowedHosts),
        CorsOrigins = source.Read(OptionCatalog.CorsOrigins),
        OpenPaths = source.Read(OptionCatalog.OpenPaths),
        MaxQueue = source.Read(OptionCatalog.MaxQueue),
        LogFile = source.Read(OptionCatalog.LogFile),
        OtlpEndpoint = source.Read(OptionCatalog.OtlpEndpoint),
        Drain = source.Read(OptionCatalog.Drain),
        RequestLimit = source.Read(OptionCatalog.RequestLimit),
        Origins = source.Origins,
    };

    /// <summary>Refuses to serve beyond loopback without a key.</summary>
    /// <exception cref="UsageException">No key, and not <see cref="AllowAnonymous"/>.</exception>
    public void RequireSafeAddress()
    {
        if (!IsLoopback && ApiKeys.Count == 0 && ApiKeyFile is null && !AllowAnonymous)
        {
            throw new UsageException($"{SaidBy(OptionCatalog.Host)} {Host} can be reached from outside: give "
                + $"{OptionCatalog.ApiKeys.Flag} or {OptionCatalog.ApiKeyFile.Flag}, or say {OptionCatalog.AllowAnonymous.Flag}.");
        }
    }
}
