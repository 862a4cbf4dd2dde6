using System.Text.Json;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi;

/// <summary>A prompt as text, or as the token ids that the client already has.</summary>
public readonly record struct Prompt(string? Text, int[]? Tokens);

/// <summary>The body of <c>POST /v1/completions</c>, checked.</summary>
/// <param name="TopLogProbs">-1: none wanted; else how many alternatives beside the chosen token, up to 20.</param>
/// <param name="Suffix">What follows the gap that the answer fills; null: there is no gap.</param>
/// <param name="Candidates"><c>best_of</c>, at least <c>n</c>: so many are generated per prompt, of which the best <c>n</c> are
/// answered.</param>
/// <param name="Format">What the text must look like; null: anything.</param>
public sealed record CompletionRequest(
    string? Model, IReadOnlyList<Prompt> Prompts, bool Echo, int TopLogProbs, int Candidates, string? Suffix, AnswerFormat? Format,
    GenerationFields Generation)
{
    internal const int MostPrompts = 128;
    internal const int MostAlternatives = 20;
    private const int MostAnswers = 1024;

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static CompletionRequest Read(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation)
    {
        RequestParameters.Refuse(fields, RequestParameters.Completions);
        GenerationFields generation = GenerationFields.Read(fields, defaults, vocabulary, speculation);
        var request = new CompletionRequest(
            fields.Text("model"),
            // As with OpenAI: a document from its beginning.
            ReadPrompts(fields, "prompt", MostPrompts, vocabulary) ?? [new Prompt("", null)],
            fields.Flag("echo") ?? false,
            ReadLogProbs(fields),
            ReadCandidates(fields, generation),
            fields.Text("suffix") is { Length: > 0 } suffix ? suffix : null,
            FormatFields.Read(fields),
            generation);
        if (request.Echo && request.Suffix is not null)
        {
            throw ApiException.Invalid("echo", "echo together with suffix is not supported: what is filled in stands between the two; "
                + "leave one of them out.", "unsupported_parameter");
        }

        if (request.Prompts.Count * request.Candidates > MostAnswers)
        {
            string name = request.Candidates > generation.Choices ? "best_of" : "n";
            throw ApiException.Invalid(name, $"{name} ({request.Candidates}) answers to each of {request.Prompts.Count} prompts are more "
                + $"than the {MostAnswers} that one request may have; send several.");
        }

        return request;
    }

    private static int ReadCandidates(Fields fields, GenerationFields generation)
    {
        const string Name = "best_of";
        if (fields.Integer(Name, 1, GenerationFields.MostChoices, $"a whole number from 1 to {GenerationFields.MostChoices}")
            is not { } candidates)
        {
            return generation.Choices;
        }

        if (candidates < generation.Choices)
        {
            throw ApiException.Invalid(Name,
                $"best_of is {candidates}, but n is {generation.Choices}; best_of must be at least n, or be left out.");
        }

        return candidates == generation.Choices || !generation.Stream
            ? candidates
            : throw ApiException.Invalid(Name, $"best_of {candidates} cannot be streamed: which answers are the best is known at the end; "
                + "leave \"stream\" or best_of out.");
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

    /// <param name="name">The field.</param>
    /// <param name="most">Texts that it may hold.</param>
    /// <returns>Null: the field is absent.</returns>
    internal static IReadOnlyList<Prompt>? ReadPrompts(Fields fields, string name, int most, int vocabulary)
    {
        const string Expected = "a string, an array of strings, an array of token ids, or an array of arrays of token ids";
        if (!fields.TryGet(name, out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return [new Prompt(Fields.Text(value, name, Expected), null)];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
        {
            throw Fields.Wrong(name, value, Expected);
        }

        if (value[0].ValueKind == JsonValueKind.Number)
        {
            return [new Prompt(null, ReadTokens(value, name, vocabulary))];
        }

        if (value.GetArrayLength() > most)
        {
            throw ApiException.Invalid(name, $"{name} holds {value.GetArrayLength()} texts; at most {most} go into one request.");
        }

        return [.. value.EnumerateArray().Select(item => item.ValueKind switch
        {
            JsonValueKind.String when value[0].ValueKind == JsonValueKind.String => new Prompt(Fields.Text(item, name, Expected), null),
            JsonValueKind.Array when value[0].ValueKind == JsonValueKind.Array => new Prompt(null, ReadTokens(item, name, vocabulary)),
            _ => throw Fields.Wrong(name, item, Expected),
        })];
    }

    /// <summary>An array of token ids of this vocabulary.</summary>
    /// <exception cref="ApiException">400: something else stands in it.</exception>
    public static int[] ReadTokens(JsonElement array, string name, int vocabulary) => [.. array.EnumerateArray().Select(item =>
        Fields.TryInteger(item, out long token) && token >= 0 && token < vocabulary
            ? (int)token
            : throw Fields.Wrong(name, item, $"made of token ids from 0 to {vocabulary - 1}"))];
}
