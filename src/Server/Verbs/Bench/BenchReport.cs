using System.Text.Json.Serialization;

namespace Understory.Server.Verbs.Bench;

/// <summary>What one speculation mode attained over all prompts.</summary>
public sealed record ModeResult
{
    /// <summary>Generated tokens per second of decode time.</summary>
    [JsonPropertyName("tok_s")]
    public required double TokensPerSecond { get; init; }

    /// <summary>Speed relative to <c>off</c>: the median over prompts of the ratio within the prompt.</summary>
    [JsonPropertyName("speedup")]
    public required double Speedup { get; init; }

    /// <summary>Tokens committed per target pass.</summary>
    [JsonPropertyName("tokens_per_batch")]
    public required double TokensPerBatch { get; init; }

    /// <summary>Weight bytes read per token, drafts included, relative to one target pass per token (the paper's Table 1).</summary>
    [JsonPropertyName("weight_traffic")]
    public required double WeightTraffic { get; init; }

    /// <summary>Percent of decode time outside the model passes and the decision rule.</summary>
    [JsonPropertyName("overhead_pct")]
    public required double OverheadPercent { get; init; }

    [JsonPropertyName("draft_passes_per_batch")]
    public required double DraftPassesPerBatch { get; init; }

    [JsonPropertyName("nodes_per_batch")]
    public required double NodesPerBatch { get; init; }

    [JsonPropertyName("stages")]
    public required IReadOnlyList<StageResult> Stages { get; init; }
}

/// <summary>One prompt with one mode: the fastest of its runs.</summary>
/// <param name="Speedup">Relative to <c>off</c> on the same prompt.</param>
public sealed record PromptModeResult(
    [property: JsonPropertyName("tok_s")] double TokensPerSecond,
    [property: JsonPropertyName("speedup")] double Speedup,
    [property: JsonPropertyName("tokens_per_batch")] double TokensPerBatch,
    [property: JsonPropertyName("accepted")] IReadOnlyDictionary<string, long> Accepted);

/// <param name="Tokens">SHA-256 of the generated token ids, which all modes share: two reports that agree in it decoded the same
/// text.</param>
public sealed record PromptResult(
    [property: JsonPropertyName("tokens_sha256")] string Tokens,
    [property: JsonPropertyName("modes")] IReadOnlyDictionary<string, PromptModeResult> Modes);

public sealed record StageResult(
    [property: JsonPropertyName("name")] string Name,
    [property: JsonPropertyName("proposed")] long Proposed,
    [property: JsonPropertyName("accepted")] long Accepted,
    [property: JsonPropertyName("passes")] long Passes,
    [property: JsonPropertyName("ms")] double Milliseconds);

/// <summary>What <c>bench</c> measured, as <c>--json</c> writes it.</summary>
public sealed record BenchReport
{
    [JsonPropertyName("machine")]
    public required string Machine { get; init; }

    [JsonPropertyName("kernels")]
    public required string Kernels { get; init; }

    [JsonPropertyName("model")]
    public required string Model { get; init; }

    [JsonPropertyName("draft")]
    public required string Draft { get; init; }

    [JsonPropertyName("temperature")]
    public required double Temperature { get; init; }

    [JsonPropertyName("top_k")]
    public required int TopK { get; init; }

    [JsonPropertyName("prompts")]
    public required int Prompts { get; init; }

    [JsonPropertyName("max_tokens")]
    public required int MaxTokens { get; init; }

    /// <summary>Bytes of weights that a one-row pass reads.</summary>
    [JsonPropertyName("weight_bytes")]
    public required long WeightBytes { get; init; }

    /// <summary>A bare read loop over as many bytes, all threads, GB/s.</summary>
    [JsonPropertyName("read_gb_s")]
    public required double ReadGigabytesPerSecond { get; init; }

    /// <summary>What a one-row pass attains, GB/s of weights.</summary>
    [JsonPropertyName("pass_gb_s")]
    public required double PassGigabytesPerSecond { get; init; }

    /// <summary>Milliseconds of a target pass by rows.</summary>
    [JsonPropertyName("pass_ms")]
    public required IReadOnlyDictionary<string, double> PassMilliseconds { get; init; }

    [JsonPropertyName("draft_pass_ms")]
    public required IReadOnlyDictionary<string, double> DraftPassMilliseconds { get; init; }

    /// <summary>GFLOP/s of a 128-row pass (two per weight and row).</summary>
    [JsonPropertyName("prefill_gflop_s")]
    public required double PrefillGigaflops { get; init; }

    /// <summary>All modes gave the same text on every prompt.</summary>
    [JsonPropertyName("equal")]
    public required bool Equal { get; init; }

    [JsonPropertyName("modes")]
    public required IReadOnlyDictionary<string, ModeResult> Modes { get; init; }

    /// <summary>Whether a tree is worth more than a chain; null without a draft model.</summary>
    [JsonPropertyName("staged_against_chain")]
    public SignTest? StagedAgainstChain { get; init; }

    /// <summary>Null in reports of before it was measured.</summary>
    [JsonPropertyName("noise")]
    public NoiseBand? Noise { get; init; }

    /// <summary>In the order of the prompts.</summary>
    [JsonPropertyName("by_prompt")]
    public IReadOnlyList<PromptResult> ByPrompt { get; init; } = [];
}
