using System.Globalization;
using System.Text.Json;
using Understory.Decoding;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>The fields that all kinds of completion share.</summary>
/// <param name="Sampling">For the first choice; choice i differs in <c>Choice</c> alone.</param>
/// <param name="Seed">As the client wrote it, or as it was drawn: 64 bits, with or without a sign.</param>
/// <param name="MaxTokens">Null: not said; <see cref="int.MaxValue"/>: no limit.</param>
/// <param name="Choices"><c>n</c>.</param>
public sealed record GenerationFields(
    SamplingParams Sampling,
    Int128 Seed,
    int? MaxTokens,
    int Choices,
    IReadOnlyList<string> Stop,
    bool IgnoreEos,
    SpeculationMode Speculation,
    int? SpeculationNodes,
    bool Stream,
    bool IncludeUsage)
{
    /// <summary><c>speculation_events</c>: every chunk of the stream says what its decoding step did.</summary>
    public bool SpeculationEvents { get; init; }

    public const int MostChoices = 128;
    public const int MostStops = 64;
    public const int MostNodes = 64;

    /// <summary>
    /// Under this a temperature is greedy: the scores l/T would leave the range in which single precision tells tokens apart.
    /// </summary>
    private const float LeastTemperature = 1e-4f;

    /// <summary>Below the share of the most probable token of any vocabulary: that one alone is kept.</summary>
    private const float LeastTopP = 1e-9f;

    /// <summary>What llama.cpp's repeat_penalty looks back at unless it is told.</summary>
    private const int LlamaWindow = 64;

    /// <summary>Of OpenAI's older APIs.</summary>
    /// <exception cref="ApiException">400: a field that does not go with another.</exception>
    public static GenerationFields Read(Fields fields, RequestContext context)
    {
        GenerationFields shared = ReadShared(fields, context);
        return shared with
        {
            MaxTokens = ReadLength(fields, "max_completion_tokens", "max_tokens", "n_predict", "num_predict"),
            Choices = fields.Integer("n") ?? 1,
            Stop = ReadStop(fields),
            IncludeUsage = Streamed(fields, shared.Stream, "stream_options") && fields.Object("stream_options").Flag("include_usage")
                is true,
            SpeculationEvents = fields.Flag("speculation_events") is true && Streamed(fields, shared.Stream, "speculation_events"),
        };
    }

    /// <summary>
    /// What every API calls the same: sampling, speculation and whether to stream. One choice of any length without stop strings.
    /// </summary>
    /// <exception cref="ApiException">400: a value that this model or another field does not allow.</exception>
    public static GenerationFields ReadShared(Fields fields, RequestContext context)
    {
        Int128 seed = ReadSeed(fields);
        return new(
            ReadSampling(fields, context.Defaults, context.Vocabulary) with { Seed = unchecked((ulong)seed) },
            seed,
            MaxTokens: null,
            Choices: 1,
            Stop: [],
            fields.Flag("ignore_eos") ?? false,
            fields.Text("speculation") is { } mode ? Enum.Parse<SpeculationMode>(mode, ignoreCase: true) : context.Speculation,
            fields.Integer("speculation_nodes"),
            fields.Flag("stream") ?? false,
            IncludeUsage: false);
    }

    /// <summary>Stop strings, one or several.</summary>
    public static string[] ReadStop(Fields fields, string name = "stop") => !fields.TryGet(name, out JsonElement value) ? []
        : value.ValueKind == JsonValueKind.String ? [value.GetString()!]
        : [.. value.EnumerateArray().Select(item => item.GetString()!)];

    /// <summary>The first of these that is said; -1 is no limit.</summary>
    internal static int? ReadLength(Fields fields, params ReadOnlySpan<string> names)
    {
        int? said = null;
        foreach (string name in names)
        {
            said ??= fields.Integer(name);
        }

        return said is -1 ? int.MaxValue : said;
    }

    private static SamplingParams ReadSampling(Fields fields, GenerationDefaults defaults, int vocabulary)
    {
        (float? repetition, int window) = ReadRepetition(fields);
        float temperature = fields.Number("temperature") ?? (defaults.DoSample is false ? 0 : defaults.Temperature) ?? 1;
        return new SamplingParams
        {
            Temperature = temperature < LeastTemperature ? 0 : temperature,
            TopK = Math.Max(0, fields.Integer("top_k") ?? defaults.TopK ?? 0),
            TopP = Math.Max(LeastTopP, fields.Number("top_p") ?? defaults.TopP ?? 1),
            MinP = fields.Number("min_p") ?? defaults.MinP ?? 0,
            RepetitionPenalty = repetition ?? defaults.RepetitionPenalty ?? 1,
            RepetitionWindow = window,
            PresencePenalty = fields.Number("presence_penalty") ?? 0,
            FrequencyPenalty = fields.Number("frequency_penalty") ?? 0,
            LogitBias = ReadLogitBias(fields, vocabulary),
        };
    }

    /// <summary>
    /// The penalty, and how many tokens it looks back at: as many as are asked for, else 64 by llama.cpp's name and all by vLLM's.
    /// </summary>
    /// <returns>A penalty of null is not said; a window of 0 is the whole text.</returns>
    private static (float? Penalty, int Window) ReadRepetition(Fields fields)
    {
        float? penalty = fields.Number("repetition_penalty");
        int? back = fields.Integer("repeat_last_n") ?? fields.Integer("penalty_last_n");
        if (penalty is null && fields.Number("repeat_penalty") is { } repeat)
        {
            penalty = repeat;
            back ??= LlamaWindow;
        }

        return back switch
        {
            null or -1 => (penalty, 0),
            0 => (1, 0),
            { } window => (penalty, window),
        };
    }

    /// <summary>A seed that was not given is drawn, small enough for every JSON reader to give back exactly.</summary>
    private static Int128 ReadSeed(Fields fields) =>
        fields.TryGet("seed", out JsonElement value) && WholeNumber.TryRead(value, out Int128 seed) ? seed
            : Random.Shared.NextInt64(1L << 53);

    private static Dictionary<int, float>? ReadLogitBias(Fields fields, int vocabulary)
    {
        if (!fields.TryGet("logit_bias", out JsonElement value))
        {
            return null;
        }

        var bias = new Dictionary<int, float>();
        foreach (JsonProperty property in value.EnumerateObject())
        {
            int token = int.Parse(property.Name, CultureInfo.InvariantCulture);
            bias[token] = token < vocabulary
                ? property.Value.GetSingle()
                : throw ApiException.Invalid("logit_bias", $"logit_bias names the token {token}; token ids go from 0 to {vocabulary - 1}.");
        }

        return bias.Count > 0 ? bias : null;
    }

    /// <returns>False: the field is absent.</returns>
    /// <exception cref="ApiException">400: it is there, but nothing is streamed.</exception>
    private static bool Streamed(Fields fields, bool stream, string name) => fields.Has(name) && (stream ? true
        : throw ApiException.Invalid(name, $"{name} goes with \"stream\": true only; leave it out or stream."));
}
