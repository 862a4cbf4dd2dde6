namespace Understory.Server.Hosting;

/// <summary>
/// One option under its three spellings: the flag <c>--max-queue</c>, the variable <c>UNDERSTORY_MAX_QUEUE</c> and the key <c>max-queue</c>
/// in section <c>Understory</c> of appsettings.json.
/// </summary>
/// <param name="Name">Without dashes in front: "max-queue".</param>
/// <param name="Value">What the help calls its value; null: a switch.</param>
/// <param name="ServerOnly">It concerns HTTP alone, so only <c>serve</c> knows it.</param>
public sealed record OptionSpec(string Name, string? Value, string Help, bool ServerOnly = false)
{
    /// <summary>It says what is loaded and how it decodes: whoever decodes takes it, server or not.</summary>
    public bool OfModel => !ServerOnly && Name != "alias";

    public string Flag => "--" + Name;

    public string Variable => "UNDERSTORY_" + Name.ToUpperInvariant().Replace('-', '_');
}

/// <summary>Every option there is, in the order in which the help lists them.</summary>
public static class OptionCatalog
{
    public static IReadOnlyList<OptionSpec> All { get; } =
    [
        new("model", "PATH", "Target model: a Hugging Face folder, a .gguf file, or OWNER/NAME once pulled. Default: the demo bundle."),
        new("draft", "PATH", "Draft model of the same vocabulary, given like the target, or an EAGLE-3 head of it; 'none' drops the "
            + "bundle's, and the prediction block (MTP) in the target's own files."),
        new("ngram", "FILE", "N-gram table of the same vocabulary; 'none' drops the bundle's."),
        new("speculation", "MODE", "auto, off, ngram, draft or staged. Default: auto."),
        new("device", "DEVICE", "auto, cpu, cuda or cuda:N. Default: auto."),
        new("threads", "N", "Threads of the CPU kernels. Default: all cores."),
        new(
            "weights",
            "TYPE",
            "q8_0 or q4_k: quantise weights of 16 or 32 bits while target and draft load. Under q4_k the embedding, the head and rows that "
            + "are no multiple of 256 become q8_0. Default: file, as they are."),
        new("context", "N", "Most tokens of prompt and output together. Default: the model's own."),
        new("kv", "TYPE", "Type of keys and values: bf16, f16 or q8_0 (8 bits and a scale: half the memory). Default: the weights' type."),
        new("prefix-cache-mb", "N", "Memory for the keys and values of earlier prompts, in MiB. Default: 512."),
        new("alias", "NAME", "A further name that requests may use for the model; '*': any name."),
        new("tool-format", "FORMAT", "How the model writes calls of tools: hermes, llama, mistral or mistral-args. Default: auto, as its "
            + "chat template shows."),
        new("embeddings", "MODE", "on or off: whether /v1/embeddings answers. Default: on.", ServerOnly: true),
        new("host", "HOST", "Address to listen on. Default: 127.0.0.1.", ServerOnly: true),
        new("port", "N", "Port to listen on; 0 picks a free one. Default: 8080.", ServerOnly: true),
        new("api-key", "KEY", "A key that requests must carry.", ServerOnly: true),
        new("api-key-file", "FILE", "A file with one key a line (# begins a comment), read again when it changes.", ServerOnly: true),
        new("allow-anonymous", null, "Listen beyond loopback without a key.", ServerOnly: true),
        new("allowed-hosts", "NAMES", "Further Host and Origin names to answer, separated by commas: box.example, server:8080, *.example; "
            + "'*' answers all.", ServerOnly: true),
        new("cors-origins", "ORIGINS", "Origins whose web pages may use the server, separated by commas: https://app.example; '*' for "
            + "all. Default: none.", ServerOnly: true),
        new("open-paths", "PATHS", "Paths answered without a key besides /health: /metrics, / (the page) or both, separated by commas, or "
            + "none; / unless said.", ServerOnly: true),
        new("max-queue", "N", "Requests that may wait beside the running one. Default: 64.", ServerOnly: true),
        new("log-file", "PATH", "A file to log to besides stderr: PATH with the date in its name, a new one each day and 64 MiB, the last "
            + "14 kept.", ServerOnly: true),
        new("otlp-endpoint", "URL", "Collector to send spans and metrics to by OTLP. Default: $OTEL_EXPORTER_OTLP_ENDPOINT, else none.",
            ServerOnly: true),
        new("drain-seconds", "N", "How long a running request may take to finish after SIGTERM. Default: 30.", ServerOnly: true),
        new("request-seconds", "N", "Longest time of one request, waiting included. Default: no limit.", ServerOnly: true),
    ];
}

/// <summary>The caller asked for something that cannot be: one line for stderr, exit code 2.</summary>
public sealed class UsageException(string message) : Exception(message);

/// <summary>The machine or the files do not allow what was asked: one line for stderr, exit code 1.</summary>
public sealed class StartupException(string message, Exception? inner = null) : Exception(message, inner);
