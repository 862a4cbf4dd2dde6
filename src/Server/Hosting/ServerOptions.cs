using System.Net;
using Understory.Decoding;
using Understory.Models.Formats;
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

    public SpeculationMode Speculation { get; init; } = SpeculationMode.Auto;

    /// <summary>"auto", "cpu", "cuda" or "cuda:N".</summary>
    public string Device { get; init; } = "auto";

    /// <summary>
    /// What weights are quantised to while target and draft load, a name of <see cref="QuantisedTensors.Formats"/>; null: they stay as in
    /// the file.
    /// </summary>
    public string? Weights { get; init; }

    /// <summary>Null: all cores.</summary>
    public int? Threads { get; init; }

    /// <summary>Tokens; null: what the model was made for.</summary>
    public int? Context { get; init; }

    /// <summary>Type of keys and values, target's and draft's; null: that of the weights.</summary>
    public CacheType? Kv { get; init; }

    public int PrefixCacheMegabytes { get; init; } = 512;

    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>How the model writes calls of tools, a name of <see cref="ToolSyntax.All"/>; null: as its chat template shows.</summary>
    public string? ToolFormat { get; init; }

    /// <summary>Whether <c>/v1/embeddings</c> answers.</summary>
    public bool Embeddings { get; init; } = true;

    public string Host { get; init; } = "127.0.0.1";

    public int Port { get; init; } = 8080;

    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>A file with further keys, one a line; see <see cref="Hosting.ApiKeys"/>.</summary>
    public string? ApiKeyFile { get; init; }

    public bool AllowAnonymous { get; init; }

    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>Origins whose pages may use the server; see <see cref="CrossOrigin"/>.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = [];

    /// <summary>Paths besides <c>/health</c> that are answered without a key; <c>/</c> is the page, whose files hold no secret.</summary>
    public IReadOnlyList<string> OpenPaths { get; init; } = ["/"];

    /// <summary>Places beside the running request.</summary>
    public int MaxQueue { get; init; } = 64;

    public TimeSpan Drain { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>From arrival on; null: no limit.</summary>
    public TimeSpan? RequestLimit { get; init; }

    /// <summary>Null: the log goes to stderr alone.</summary>
    public string? LogFile { get; init; }

    /// <summary>Base address of an OTLP collector; null: what OpenTelemetry's own variables say.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>A stream that has had nothing to say for this long gets a comment.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest request body, in bytes.</summary>
    public long MaxBody { get; init; } = 8 << 20;

    public ConnectionLimits Connections { get; init; } = new();

    /// <summary>Who said what was said: see <see cref="OptionSource.Origins"/>.</summary>
    public IReadOnlyDictionary<string, string> Origins { get; init; } = new Dictionary<string, string>();

    /// <summary>What <c>--kv</c> offers; floats would take twice the memory for nothing.</summary>
    /// <summary>Shorter windows leave a draft too little to go by. Chosen.</summary>
    internal const int LeastWindow = 16;

    private static readonly CacheType[] _kvTypes = [CacheType.BF16, CacheType.F16, CacheType.Q8];

    /// <summary>The address that <see cref="Host"/> stands for.</summary>
    public IPAddress Address => Host switch
    {
        "localhost" => IPAddress.Loopback,
        "*" or "+" => IPAddress.Any,
        _ => IPAddress.Parse(Host),
    };

    /// <summary>Of <see cref="Weights"/>.</summary>
    internal WeightFormat? WeightFormat => QuantisedTensors.Formats.FirstOrDefault(format => format.Name == Weights);

    public bool IsLoopback => IPAddress.IsLoopback(Address);

    /// <summary>Whom an error about an option names: the flag, unless somebody else said it.</summary>
    /// <param name="name">As in <see cref="OptionCatalog"/>.</param>
    public string SaidBy(string name) => Origins.GetValueOrDefault(name) ?? "--" + name;

    /// <exception cref="UsageException">A value that cannot be, or a combination that must not be.</exception>
    public static ServerOptions From(OptionSource source)
    {
        var defaults = new ServerOptions();
        var options = new ServerOptions
        {
            Model = source.Text("model"),
            Draft = source.Text("draft"),
            DraftWindow = source.Integer("draft-window", 0) ?? defaults.DraftWindow,
            Ngram = source.Text("ngram"),
            Speculation = source.Choice("speculation", defaults.Speculation),
            Device = source.Text("device")?.ToLowerInvariant() ?? defaults.Device,
            Weights = source.Text("weights")?.ToUpperInvariant() is { } weights && weights != "FILE" ? weights : null,
            Threads = source.Integer("threads", 1, 1024),
            Context = source.Integer("context", 1),
            Kv = source.Choice("kv", _kvTypes, type => type.Name()),
            PrefixCacheMegabytes = source.Integer("prefix-cache-mb", 0) ?? defaults.PrefixCacheMegabytes,
            Aliases = source.List("alias"),
            ToolFormat = source.Text("tool-format")?.ToLowerInvariant() is { } format && format != "auto" ? format : null,
            Embeddings = source.Choice("embeddings", Presence.On) == Presence.On,
            Host = source.Text("host") ?? defaults.Host,
            Port = source.Integer("port", 0, 65535) ?? defaults.Port,
            ApiKeys = source.Values("api-key"),
            ApiKeyFile = source.Text("api-key-file"),
            AllowAnonymous = source.Switch("allow-anonymous"),
            AllowedHosts = source.List("allowed-hosts"),
            CorsOrigins = source.List("cors-origins"),
            OpenPaths = Paths(source.List("open-paths")) ?? defaults.OpenPaths,
            MaxQueue = source.Integer("max-queue", 0, 100_000) ?? defaults.MaxQueue,
            Drain = source.Integer("drain-seconds", 0, 86_400) is { } drain ? TimeSpan.FromSeconds(drain) : defaults.Drain,
            LogFile = source.Text("log-file"),
            OtlpEndpoint = source.Text("otlp-endpoint") is { } otlp ? Collector(otlp) : null,
            Origins = source.Origins,
            RequestLimit = source.Integer("request-seconds", 1, 86_400) is { } limit ? TimeSpan.FromSeconds(limit) : null,
        };
        return options.Checked();
    }

    /// <summary>Null: nothing was said.</summary>
    private static IReadOnlyList<string>? Paths(IReadOnlyList<string> said) => said switch
    {
        [] => null,
        ["none"] => [],
        _ => said,
    };

    private static Uri Collector(string address) =>
        Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) && (uri.Scheme is "http" or "https")
            ? uri
            : throw new UsageException($"--otlp-endpoint must be an http or https address such as http://localhost:4318, not '{address}'.");

    private ServerOptions Checked()
    {
        if (Host is not ("localhost" or "*" or "+") && !IPAddress.TryParse(Host, out _))
        {
            throw new UsageException($"{SaidBy("host")} must be an IP address, localhost or *, not '{Host}'.");
        }

        if (Device is not ("auto" or "cpu" or "cuda")
            && !(Device.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(Device.AsSpan(5), out int index) && index >= 0))
        {
            throw new UsageException($"{SaidBy("device")} must be auto, cpu, cuda or cuda:N, not '{Device}'.");
        }

        if (Weights is not null && WeightFormat is null)
        {
            string known = string.Join(", ", QuantisedTensors.Formats.Select(format => format.Name.ToLowerInvariant()));
            throw new UsageException($"{SaidBy("weights")} must be file, {known}, not '{Weights.ToLowerInvariant()}'.");
        }

        if (DraftWindow is > 0 and < LeastWindow)
        {
            throw new UsageException($"{SaidBy("draft-window")} must be 0 (no window) or at least {LeastWindow}, not {DraftWindow}.");
        }

        if (ToolFormat is not null && ToolSyntax.All.All(syntax => syntax.Name != ToolFormat))
        {
            string known = string.Join(", ", ToolSyntax.All.Select(syntax => syntax.Name));
            throw new UsageException($"{SaidBy("tool-format")} must be auto, {known}, not '{ToolFormat}'.");
        }

        if (ApiKeys.Any(key => key.Trim().Length == 0))
        {
            throw new UsageException($"{SaidBy("api-key")} must not be empty.");
        }

        if (OpenPaths.FirstOrDefault(path => path is not ("/metrics" or "/")) is { } odd)
        {
            throw new UsageException($"{SaidBy("open-paths")} takes /metrics, / or both, or none alone, not '{odd}'.");
        }

        // Both refuse what they cannot read.
        _ = new HostNames(AllowedHosts);
        _ = new CrossOrigin(CorsOrigins);
        return this;
    }

    /// <summary>Refuses to serve beyond loopback without a key.</summary>
    /// <exception cref="UsageException">No key, and not <see cref="AllowAnonymous"/>.</exception>
    public void RequireSafeAddress()
    {
        if (!IsLoopback && ApiKeys.Count == 0 && ApiKeyFile is null && !AllowAnonymous)
        {
            throw new UsageException($"{SaidBy("host")} {Host} can be reached from outside: give --api-key or --api-key-file, or say "
                + "--allow-anonymous.");
        }
    }
}

/// <summary>The values of an option that switches something.</summary>
internal enum Presence
{
    On,
    Off,
}
