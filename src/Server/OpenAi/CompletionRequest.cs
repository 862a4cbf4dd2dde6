using System.Text.Json;
using Understory.Decoding;
using Understory.Models.Architecture;

namespace Understory.Server.OpenAi;

/// <summary>A prompt as text, or as the token ids that the client already has.</summary>
public readonly record struct Prompt(string? Text, int[]? Tokens);

/// <summary>The body of <c>POST /v1/completions</c>, checked.</summary>
/// <param name="TopLogProbs">-1: none wanted; else how many alternatives beside the chosen token, up to 5.</param>
public sealed record CompletionRequest(
    string? Model, IReadOnlyList<Prompt> Prompts, bool Echo, int TopLogProbs, GenerationFields Generation)
{
    private const int MostPrompts = 128;
    private const int MostAnswers = 1024;
    private const int MostAlternatives = 20;

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static CompletionRequest Read(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation)
    {
        var request = new CompletionRequest(
            fields.Text("model"),
            ReadPrompts(fields, vocabulary),
            fields.Flag("echo") ?? false,
            ReadLogProbs(fields),
            GenerationFields.Read(fields, defaults, vocabulary, speculation));
        if (request.Prompts.Count * request.Generation.Choices > MostAnswers)
        {
            throw ApiException.Invalid("n", $"n ({request.Generation.Choices}) answers to each of {request.Prompts.Count} prompts are more than the {MostAnswers} that one request may have; send several.");
        }

        if (request.Echo && request.TopLogProbs >= 0)
        {
            throw ApiException.Invalid("echo", "echo together with logprobs is not supported: prompts are not scored; leave one of them out.", "unsupported_parameter");
        }

        return request;
    }

    private static int ReadLogProbs(Fields fields)
    {
        // OpenAI has a count here; some clients send the chat form, true or false.
        if (fields.TryGet("logprobs", out JsonElement value) && value.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return value.ValueKind == JsonValueKind.True ? 0 : -1;
        }

        return fields.Integer("logprobs", 0, MostAlternatives, $"a whole number from 0 to {MostAlternatives}") ?? -1;
    }

    private static IReadOnlyList<Prompt> ReadPrompts(Fields fields, int vocabulary)
    {
        const string Expected = "a string, an array of strings, an array of token ids, or an array of arrays of token ids";
        if (!fields.TryGet("prompt", out JsonElement value))
        {
            // As with OpenAI: a document from its beginning.
            return [new Prompt("", null)];
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return [new Prompt(Fields.Text(value, "prompt", Expected), null)];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
        {
            throw Fields.Wrong("prompt", value, Expected);
        }

        if (value[0].ValueKind == JsonValueKind.Number)
        {
            return [new Prompt(null, ReadTokens(value, "prompt", vocabulary))];
        }

        if (value.GetArrayLength() > MostPrompts)
        {
            throw ApiException.Invalid("prompt", $"prompt holds {value.GetArrayLength()} prompts; at most {MostPrompts} go into one request.");
        }

        return [.. value.EnumerateArray().Select(item => item.ValueKind switch
        {
            JsonValueKind.String when value[0].ValueKind == JsonValueKind.String => new Prompt(Fields.Text(item, "prompt", Expected), null),
            JsonValueKind.Array when value[0].ValueKind == JsonValueKind.Array => new Prompt(null, ReadTokens(item, "prompt", vocabulary)),
            _ => throw Fields.Wrong("prompt", item, Expected),
        })];
    }

    /// <summary>An array of token ids of this vocabulary.</summary>
    /// <exception cref="ApiException">400: something else stands in it.</exception>
    public static int[] ReadTokens(JsonElement array, string name, int vocabulary) => [.. array.EnumerateArray().Select(item =>
        Fields.TryInteger(item, out long token) && token >= 0 && token < vocabulary
            ? (int)token
            : throw Fields.Wrong(name, item, $"made of token ids from 0 to {vocabulary - 1}"))];
}
