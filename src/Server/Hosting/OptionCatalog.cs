using System.Globalization;
using System.Net;
using Understory.Decoding;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Server.Chat;

namespace Understory.Server.Hosting;

/// <summary>
/// Every option there is, in the order in which the help lists them: its name, what it may be, its default and what it does. The command
/// line, the reader of variables and settings, the help and the table of docs/options.md follow from here.
/// </summary>
public static class OptionCatalog
{
    /// <summary>Shorter windows leave a draft too little to go by. Chosen.</summary>
    internal const int LeastWindow = 16;

    private static readonly List<OptionSpec> _all = [];

    private static readonly OptionKind<SpeculationMode> _modes = OptionKinds.Choice<SpeculationMode>();

    /// <summary>Floats would take twice the memory for nothing.</summary>
    private static readonly OptionKind<CacheType> _kvTypes =
        OptionKinds.Choice([CacheType.BF16, CacheType.F16, CacheType.Q8], type => type.Name());

    private static readonly OptionKind<WeightFormat?> _weights =
        OptionKinds.Choice<WeightFormat?>([null, .. QuantisedTensors.Formats], format => format?.Name ?? "file");

    private static readonly OptionKind<ToolSyntax?> _syntaxes =
        OptionKinds.Choice<ToolSyntax?>([null, .. Chat.ToolSyntax.All], syntax => syntax?.Name ?? "auto");

    public static IReadOnlyList<OptionSpec> All => _all;

    /// <summary>Null: the bundle's target.</summary>
    public static OptionSpec<string?> Model { get; } = Add(new OptionSpec<string?>("model", "PATH", OptionKinds.Text(), null)
    {
        Help = "Target model: a Hugging Face folder, a .gguf file, or OWNER/NAME once pulled.",
        Silence = "the demo bundle",
    });

    /// <summary>Null: the bundle's where the bundle's target serves, else none.</summary>
    public static OptionSpec<string?> Draft { get; } = Add(new OptionSpec<string?>("draft", "PATH", OptionKinds.Text(), null)
    {
        Help = "Draft model, given like the target: best a small one of the same family; one of another shares tokens by their text. Or "
            + "an EAGLE-3 head of the target; 'self': the target's own weights in 4 bits; 'none': none of all these.",
        Silence = "the bundle's, with its target; one trained for the model; the prediction block (MTP) in its files",
    });

    public static OptionSpec<int> DraftWindow { get; } = Add(new OptionSpec<int>("draft-window", "N",
        OptionKinds.Single<int>($"0 (no window) or a whole number of at least {LeastWindow}", (text, out window) =>
            int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out window) && window is 0 or >= LeastWindow),
        0)
    {
        Help = "The draft model attends to the first 4 and at least the last N tokens only; 0: to all.",
    });

    public static OptionSpec<string?> Ngram { get; } = Add(new OptionSpec<string?>("ngram", "FILE", OptionKinds.Text(), null)
    {
        Help = "N-gram table of the same vocabulary; 'none' drops the bundle's.",
        Silence = "the bundle's, with its target; one trained for the model",
    });

    public static OptionSpec<SpeculationMode> Speculation { get; } =
        Add(new OptionSpec<SpeculationMode>("speculation", "MODE", _modes, SpeculationMode.Auto)
        {
            Help = $"Who may propose tokens, unless a request says otherwise: {_modes.Must}. Only auto may switch itself off.",
            Silence = "auto",
        });

    public static OptionSpec<string> Device { get; } = Add(new OptionSpec<string>("device", "DEVICE",
        OptionKinds.Word("auto, cpu, cuda or cuda:N", device => device is "auto" or "cpu" or "cuda"
            || (device.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(device.AsSpan(5), out int index) && index >= 0)),
        "auto")
    {
        Help = "What computes: auto, cpu, cuda or cuda:N. The first lines of the log say what was chosen and why.",
    });

    public static OptionSpec<int?> Threads { get; } =
        Add(new OptionSpec<int?>("threads", "N", OptionKinds.Integer(1, 1024).Optional(), null)
        {
            Help = "Threads of the CPU kernels.",
            Silence = "all cores",
        });

    public static OptionSpec<WeightFormat?> Weights { get; } = Add(new OptionSpec<WeightFormat?>("weights", "TYPE", _weights, null)
    {
        Help = $"{_weights.Must}: what weights of 16 or 32 bits are quantised to while target and draft load. Under q4_k the embedding, "
            + "the head and rows that are no multiple of 256 become q8_0.",
        Silence = "file, as they are",
    });

    public static OptionSpec<int?> Context { get; } = Add(new OptionSpec<int?>("context", "N", OptionKinds.Integer(1).Optional(), null)
    {
        Help = "Most tokens of prompt and output together.",
        Silence = "the model's own",
    });

    public static OptionSpec<CacheType?> Kv { get; } = Add(new OptionSpec<CacheType?>("kv", "TYPE", _kvTypes.Optional(), null)
    {
        Help = $"Type of keys and values: {_kvTypes.Must} (8 bits and a scale: half the memory).",
        Silence = "the weights' type",
    });

    public static OptionSpec<int> PrefixCacheMegabytes { get; } =
        Add(new OptionSpec<int>("prefix-cache-mb", "N", OptionKinds.Integer(0), 512)
        {
            Help = "Memory for the keys and values of earlier prompts, in MiB.",
        });

    public static OptionSpec<IReadOnlyList<string>> Aliases { get; } =
        Add(new OptionSpec<IReadOnlyList<string>>("alias", "NAME", OptionKinds.List("a name", _ => true), [])
        {
            Help = "A further name that requests may use for the model, may be repeated; '*': any name is answered.",
            Silence = "none",
            Scope = OptionScope.Naming,
        });

    /// <summary>Null: as the model's chat template shows.</summary>
    public static OptionSpec<ToolSyntax?> ToolSyntax { get; } =
        Add(new OptionSpec<ToolSyntax?>("tool-format", "FORMAT", _syntaxes, null)
        {
            Help = $"How the model writes calls of tools: {_syntaxes.Must}.",
            Silence = "auto, as its chat template shows",
        });

    public static OptionSpec<bool> Embeddings { get; } = Add(new OptionSpec<bool>("embeddings", "MODE", OptionKinds.OnOff(), true)
    {
        Help = "on or off: whether /v1/embeddings answers.",
        Silence = "on",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<string> Host { get; } = Add(new OptionSpec<string>("host", "HOST",
        OptionKinds.Word("an IP address, localhost or *", host => host is "localhost" or "*" or "+" || IPAddress.TryParse(host, out _)),
        "127.0.0.1")
    {
        Help = "Address to listen on.",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<int> Port { get; } = Add(new OptionSpec<int>("port", "N", OptionKinds.Integer(0, 65535), 8080)
    {
        Help = "Port to listen on; 0 picks a free one.",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<IReadOnlyList<string>> ApiKeys { get; } = Add(new OptionSpec<IReadOnlyList<string>>("api-key", "KEY",
        OptionKinds.Values("more than blanks", key => key.Trim().Length > 0), [])
    {
        Help = "A key that requests must carry, as Authorization: Bearer KEY or x-api-key: KEY; may be repeated.",
        Silence = "none",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<string?> ApiKeyFile { get; } = Add(new OptionSpec<string?>("api-key-file", "FILE", OptionKinds.Text(), null)
    {
        Help = "A file with one key a line (# begins a comment), read again when it changes.",
        Silence = "none",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<bool> AllowAnonymous { get; } =
        Add(new OptionSpec<bool>("allow-anonymous", null, OptionKinds.Switch(), false)
        {
            Help = "Listen beyond loopback without a key.",
            Scope = OptionScope.Http,
        });

    public static OptionSpec<IReadOnlyList<string>> AllowedHosts { get; } = Add(new OptionSpec<IReadOnlyList<string>>("allowed-hosts",
        "NAMES", OptionKinds.List("names such as box.example, server:8080, *.example or *", HostNames.IsName), [])
    {
        Help = "Further Host and Origin names to answer, separated by commas: box.example, server:8080, *.example; '*' answers all.",
        Silence = "this machine's",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<IReadOnlyList<string>> CorsOrigins { get; } = Add(new OptionSpec<IReadOnlyList<string>>("cors-origins",
        "ORIGINS", OptionKinds.List("origins such as https://app.example or http://localhost:3000, or *", CrossOrigin.IsOrigin), [])
    {
        Help = "Origins whose web pages may use the server, separated by commas: https://app.example; '*' for all.",
        Silence = "none",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<IReadOnlyList<string>> OpenPaths { get; } = Add(new OptionSpec<IReadOnlyList<string>>("open-paths", "PATHS",
        OptionKinds.List("/metrics, / or both, or none alone", path => path is "/metrics" or "/", none: "none"), ["/"])
    {
        Help = "Paths answered without a key besides /health: / (the page, which asks for the key), /metrics, both separated by a comma, "
            + "or none.",
        Silence = "/",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<int> MaxQueue { get; } = Add(new OptionSpec<int>("max-queue", "N", OptionKinds.Integer(0, 100_000), 64)
    {
        Help = "Requests that may wait beside the running one; beyond that 429 with Retry-After.",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<string?> LogFile { get; } = Add(new OptionSpec<string?>("log-file", "PATH", OptionKinds.Text(), null)
    {
        Help = "A file to log to besides stderr: PATH with the date in its name, a new one each day and 64 MiB, the last 14 kept.",
        Silence = "none",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<Uri?> OtlpEndpoint { get; } = Add(new OptionSpec<Uri?>("otlp-endpoint", "URL",
        OptionKinds.Single<Uri?>("an http or https address such as http://localhost:4318", (text, out address) =>
            Uri.TryCreate(text, UriKind.Absolute, out address) && address.Scheme is "http" or "https"),
        null)
    {
        Help = "Collector to send spans and metrics to by OTLP.",
        Silence = "OTEL_EXPORTER_OTLP_ENDPOINT, else none",
        Scope = OptionScope.Http,
    });

    public static OptionSpec<TimeSpan> Drain { get; } =
        Add(new OptionSpec<TimeSpan>("drain-seconds", "N", OptionKinds.Seconds(0, 86_400), TimeSpan.FromSeconds(30))
        {
            Help = "How long a running request may take to finish after SIGTERM; waiting and new ones get 503.",
            Silence = "30",
            Scope = OptionScope.Http,
        });

    public static OptionSpec<TimeSpan?> RequestLimit { get; } =
        Add(new OptionSpec<TimeSpan?>("request-seconds", "N", OptionKinds.Seconds(1, 86_400).Optional(), null)
        {
            Help = "Longest time of one request, waiting included; then 504.",
            Silence = "no limit",
            Scope = OptionScope.Http,
        });

    private static OptionSpec<T> Add<T>(OptionSpec<T> spec)
    {
        _all.Add(spec);
        return spec;
    }
}
