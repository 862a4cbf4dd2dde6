using System.Text.Json;
using Understory.Decoding;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;

namespace Understory.Server.OpenAi;

/// <summary>The fields that both kinds of completion share, checked.</summary>
/// <param name="Sampling">For the first choice; choice i differs in <c>Choice</c> alone.</param>
/// <param name="MaxTokens">Null: not said.</param>
/// <param name="Choices"><c>n</c>.</param>
public sealed record GenerationFields(
    SamplingParams Sampling,
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
    public const int MostStops = 4;
    public const int MostNodes = 64;

    /// <summary>
    /// Under this a temperature is greedy: the scores l/T would leave the range in which single precision tells tokens apart.
    /// </summary>
    private const float LeastTemperature = 1e-4f;

    /// <exception cref="ApiException">400: a field of the wrong type or value, or one that is not supported.</exception>
    public static GenerationFields Read(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation)
    {
        GenerationFields shared = ReadShared(fields, defaults, vocabulary, speculation);
        return shared with
        {
            MaxTokens = fields.Integer("max_completion_tokens", 0, int.MaxValue, "a whole number of at least 0")
                ?? fields.Integer("max_tokens", 0, int.MaxValue, "a whole number of at least 0"),
            Choices = fields.Integer("n", 1, MostChoices, $"a whole number from 1 to {MostChoices}") ?? 1,
            Stop = ReadStop(fields),
            IncludeUsage = ReadIncludeUsage(fields, shared.Stream),
            SpeculationEvents = ReadSpeculationEvents(fields, shared.Stream),
        };
    }

    /// <summary>
    /// What every API calls the same: sampling, speculation and whether to stream. One choice of any length without stop strings.
    /// </summary>
    /// <exception cref="ApiException">400: a field of the wrong type or value.</exception>
    public static GenerationFields ReadShared(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation) =>
        new(
        ReadSampling(fields, defaults, vocabulary),
        MaxTokens: null,
        Choices: 1,
        Stop: [],
        fields.Flag("ignore_eos") ?? false,
        ReadSpeculation(fields) ?? speculation,
        fields.Integer("speculation_nodes", 1, MostNodes, $"a whole number from 1 to {MostNodes}"),
        fields.Flag("stream") ?? false,
        IncludeUsage: false);

    private static SamplingParams ReadSampling(Fields fields, GenerationDefaults defaults, int vocabulary)
    {
        float temperature = fields.Number("temperature", 0, 2, "a number from 0 to 2")
            ?? (defaults.DoSample is false ? 0 : defaults.Temperature) ?? 1;
        return new SamplingParams
        {
            Temperature = temperature < LeastTemperature ? 0 : temperature,
            TopK = Math.Max(0, fields.Integer("top_k", -1, int.MaxValue, "a whole number of at least 0 (0 keeps all)") ?? defaults.TopK
                ?? 0),
            TopP = fields.Number("top_p", 1e-9, 1, "a number above 0 and up to 1") ?? defaults.TopP ?? 1,
            MinP = fields.Number("min_p", 0, 1, "a number from 0 to 1") ?? defaults.MinP ?? 0,
            RepetitionPenalty = fields.Number("repetition_penalty", 0.01, 100, "a number from 0.01 to 100 (1 is none)")
                ?? defaults.RepetitionPenalty ?? 1,
            PresencePenalty = fields.Number("presence_penalty", -2, 2, "a number from -2 to 2") ?? 0,
            FrequencyPenalty = fields.Number("frequency_penalty", -2, 2, "a number from -2 to 2") ?? 0,
            Seed = ReadSeed(fields),
            LogitBias = ReadLogitBias(fields, vocabulary),
        };
    }

    /// <summary>A seed that was not given is drawn, small enough for every JSON reader to give back exactly.</summary>
    private static ulong ReadSeed(Fields fields)
    {
        if (!fields.TryGet("seed", out JsonElement value))
        {
            return (ulong)Random.Shared.NextInt64(1L << 53);
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetUInt64(out ulong large) ? large
            : Fields.TryInteger(value, out long seed) ? unchecked((ulong)seed)
            : throw Fields.Wrong("seed", value, "a whole number of at most 64 bits");
    }

    private static Dictionary<int, float>? ReadLogitBias(Fields fields, int vocabulary)
    {
        if (!fields.TryGet("logit_bias", out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong("logit_bias", value, "an object from token ids to numbers from -100 to 100");
        }

        var bias = new Dictionary<int, float>();
        foreach (JsonProperty property in value.EnumerateObject())
        {
            if (!int.TryParse(property.Name, out int token) || token < 0 || token >= vocabulary)
            {
                throw ApiException.Invalid("logit_bias",
                    $"logit_bias names the token {property.Name}; token ids go from 0 to {vocabulary - 1}.");
            }

            if (property.Value.ValueKind != JsonValueKind.Number || !property.Value.TryGetSingle(out float amount)
                || !(Math.Abs(amount) <= 100))
            {
                throw Fields.Wrong($"logit_bias.{property.Name}", property.Value, "a number from -100 to 100");
            }

            bias[token] = amount;
        }

        return bias.Count > 0 ? bias : null;
    }

    /// <exception cref="ApiException">400: no such stop strings.</exception>
    public static string[] ReadStop(Fields fields)
    {
        if (!fields.TryGet("stop", out JsonElement value))
        {
            return [];
        }

        string expected = $"a string or an array of up to {MostStops} strings, none of them empty";
        string[] stops = value.ValueKind switch
        {
            JsonValueKind.String => [Fields.Text(value, "stop", expected)],
            JsonValueKind.Array when value.GetArrayLength() <= MostStops =>
                [.. value.EnumerateArray().Select(item => Fields.Text(item, "stop", expected))],
            _ => throw Fields.Wrong("stop", value, expected),
        };
        return stops.All(stop => stop.Length > 0) ? stops : throw Fields.Wrong("stop", value, expected);
    }

    private static SpeculationMode? ReadSpeculation(Fields fields)
    {
        const string Expected = "one of \"auto\", \"off\", \"ngram\", \"draft\", \"staged\"";
        if (!fields.TryGet("speculation", out JsonElement value))
        {
            return null;
        }

        return Fields.Text(value, "speculation", Expected) switch
        {
            "auto" => SpeculationMode.Auto,
            "off" => SpeculationMode.Off,
            "ngram" => SpeculationMode.Ngram,
            "draft" => SpeculationMode.Draft,
            "staged" => SpeculationMode.Staged,
            _ => throw Fields.Wrong("speculation", value, Expected),
        };
    }

    private static bool ReadIncludeUsage(Fields fields, bool stream)
    {
        if (!fields.TryGet("stream_options", out JsonElement value))
        {
            return false;
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong("stream_options", value, "an object such as {\"include_usage\": true}");
        }

        return stream
            ? new Fields(value).Flag("include_usage") ?? false
            : throw ApiException.Invalid("stream_options", "stream_options goes with \"stream\": true only; leave it out or stream.");
    }

    private static bool ReadSpeculationEvents(Fields fields, bool stream)
    {
        bool events = fields.Flag("speculation_events") ?? false;
        return !events || stream
            ? events
            : throw ApiException.Invalid("speculation_events",
                "speculation_events goes with \"stream\": true only; leave it out or stream.");
    }
}
