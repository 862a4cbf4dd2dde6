using System.Diagnostics.Metrics;
using Understory.Decoding;

namespace Understory.Server.Observability;

/// <summary>The instruments of the HTTP side. Recorded by the threads that answer requests, never by the decoding thread.</summary>
public sealed class ServerMetrics : IDisposable
{
    public const string MeterName = "Understory.Server";

    private static readonly double[] Seconds =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

    private static readonly double[] TokenSeconds =
        [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1];

    private static readonly double[] Counts = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];

    private readonly Meter _meter;
    private readonly Counter<long> _requests;
    private readonly Histogram<double> _requestSeconds;
    private readonly Histogram<double> _queueWait;
    private readonly Histogram<double> _firstToken;
    private readonly Histogram<double> _interToken;
    private readonly Counter<long> _promptTokens;
    private readonly Counter<long> _cachedTokens;
    private readonly Counter<long> _generatedTokens;
    private readonly Counter<long> _targetPasses;
    private readonly Histogram<double> _tokensPerBatch;
    private readonly Histogram<double> _treeNodes;
    private readonly Histogram<double> _passSeconds;
    private readonly Counter<long> _proposed;
    private readonly Counter<long> _accepted;

    /// <param name="scope">Tells the meters of several servers in one process apart.</param>
    /// <param name="queueDepth">Jobs that wait.</param>
    /// <param name="running">Jobs that are being decoded: 0 or 1.</param>
    /// <param name="queuePlaces">Jobs that may wait.</param>
    /// <param name="kvTokens">Tokens whose keys and values are kept for later prompts.</param>
    /// <param name="served">Names of the model and of its kernels; null while it loads.</param>
    public ServerMetrics(object scope, Func<int> queueDepth, Func<int> running, int queuePlaces, Func<int> kvTokens,
        Func<(string Model, string Kernels)?> served)
    {
        _meter = new Meter(MeterName, version: null, tags: null, scope: scope);
        _requests = _meter.CreateCounter<long>("understory_requests_total",
            description: "Requests answered, by endpoint and HTTP status (499: the client went away).");
        _requestSeconds = Histogram("understory_request_seconds", "Time from a generation request's arrival to its last byte.", Seconds);
        _queueWait = Histogram("understory_queue_wait_seconds", "Time that a generation request waited for those before it.", Seconds);
        _firstToken =
            Histogram("understory_time_to_first_token_seconds", "Time from a generation request's arrival to its first token.", Seconds);
        _interToken = Histogram("understory_inter_token_seconds", "Time between tokens; those of one batch share the batch's time evenly.",
            TokenSeconds);
        _promptTokens =
            _meter.CreateCounter<long>("understory_prompt_tokens_total", description: "Tokens of prompts, cached ones included.");
        _cachedTokens = _meter.CreateCounter<long>("understory_cached_prompt_tokens_total",
            description: "Tokens of prompts that were found in the prefix cache.");
        _generatedTokens = _meter.CreateCounter<long>("understory_generated_tokens_total", description: "Tokens generated.");
        _targetPasses =
            _meter.CreateCounter<long>("understory_target_passes_total", description: "Forward passes of the target while decoding.");
        _tokensPerBatch = Histogram("understory_tokens_per_batch", "Tokens that one target pass gave.", Counts);
        _treeNodes = Histogram("understory_tree_nodes", "Tree nodes that one target pass verified.", Counts);
        _passSeconds = Histogram("understory_pass_seconds", "Time of one forward pass, by model.", TokenSeconds);
        _proposed = _meter.CreateCounter<long>("understory_draft_tokens_proposed_total",
            description: "Draft tokens that the target verified, by the stage that proposed them.");
        _accepted = _meter.CreateCounter<long>("understory_draft_tokens_accepted_total",
            description: "Draft tokens that the target accepted, by the stage that proposed them.");
        _meter.CreateObservableGauge("understory_kv_cache_tokens", kvTokens,
            description: "Tokens whose keys and values are kept for later prompts.");
        _meter.CreateObservableGauge("understory_queue_depth", queueDepth, description: "Requests that wait for the running one.");
        _meter.CreateObservableGauge("understory_requests_running", running, description: "Requests that are being decoded: 0 or 1.");
        _meter.CreateObservableGauge("understory_queue_places", () =>
            queuePlaces, description: "Requests that may wait; beyond that they get 429.");
        _meter.CreateObservableGauge(
            "understory_model_info",
            () => served() is (var model, var kernels)
                ? [new Measurement<int>(1, new KeyValuePair<string, object?>("model", model), new("kernels", kernels))]
                : Array.Empty<Measurement<int>>(),
            description: "1 once the model is served; its labels name the model and the kernels that run it.");
    }

    /// <summary>Makes the totals appear as zeros before anything has happened; call it once listeners listen.</summary>
    public void Zero()
    {
        _promptTokens.Add(0);
        _cachedTokens.Add(0);
        _generatedTokens.Add(0);
        _targetPasses.Add(0);
    }

    /// <param name="endpoint">The route; "other" where none matched, so that a scan cannot make series without end.</param>
    public void Answered(string endpoint, int status) =>
        _requests.Add(1, new("endpoint", endpoint), new("status", status.ToString()));

    public void Waited(TimeSpan queued) => _queueWait.Record(queued.TotalSeconds);

    public void FirstToken(TimeSpan sinceArrival) => _firstToken.Record(sinceArrival.TotalSeconds);

    /// <summary>A later step gave <paramref name="tokens"/> tokens.</summary>
    public void Tokens(int tokens, TimeSpan sinceLast)
    {
        for (int i = 0; i < tokens; i++)
        {
            _interToken.Record(sinceLast.TotalSeconds / tokens);
        }
    }

    public void Finished(TimeSpan duration) => _requestSeconds.Record(duration.TotalSeconds);

    public void Prompt(int tokens, int cached)
    {
        _promptTokens.Add(tokens);
        _cachedTokens.Add(cached);
    }

    /// <param name="tokens">Tokens that the step added to the answer; 0 for a prefill chunk.</param>
    public void Step(in StepReport step, int tokens)
    {
        _passSeconds.Record(step.TargetSeconds, new KeyValuePair<string, object?>("model", "target"));
        for (int i = 0; i < step.DraftPasses; i++)
        {
            _passSeconds.Record(step.DraftSeconds / step.DraftPasses, new KeyValuePair<string, object?>("model", "draft"));
        }

        if (tokens > 0)
        {
            _generatedTokens.Add(tokens);
            _targetPasses.Add(1);
            _tokensPerBatch.Record(step.Committed);
            _treeNodes.Record(step.Nodes);
        }
    }

    public void Stage(string name, long proposed, long accepted)
    {
        var tag = new KeyValuePair<string, object?>("stage", name);
        _proposed.Add(proposed, tag);
        _accepted.Add(accepted, tag);
    }

    public void Dispose() => _meter.Dispose();

    private Histogram<double> Histogram(string name, string help, double[] bounds) =>
        _meter.CreateHistogram(name, unit: null, description: help, tags: null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = bounds });
}
