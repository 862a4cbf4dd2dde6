using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>A prompt as text, or as the token ids that the client already has.</summary>
public readonly record struct Prompt(string? Text, int[]? Tokens);

/// <summary>The body of <c>POST /v1/completions</c>, checked.</summary>
/// <param name="TopLogProbs">-1: none wanted; else how many alternatives beside the chosen token, up to 20.</param>
/// <param name="Suffix">What follows the gap that the answer fills; null: there is no gap.</param>
/// <param name="Candidates"><c>best_of</c>, at least <c>n</c>: so many are generated per prompt, of which the best <c>n</c> are
/// answered.</param>
/// <param name="Form">What the text must look like; null: anything.</param>
public sealed record CompletionRequest(
    string? Model, IReadOnlyList<Prompt> Prompts, bool Echo, int TopLogProbs, int Candidates, string? Suffix, AnswerForm? Form,
    GenerationFields Generation)
{
    internal const int MostPrompts = 128;
    internal const int MostAlternatives = 20;
    private const int MostAnswers = 1024;

    /// <summary>A prompt that is text gets the tokens that begin a text.</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static CompletionRequest Read(Fields fields, RequestContext context)
    {
        fields.Check(RequestParameters.Completions);
        GenerationFields generation = GenerationFields.Read(fields, context);
        var request = new CompletionRequest(
            fields.Text("model"),
            // As with OpenAI: a document from its beginning.
            ReadPrompts(fields, "prompt", context.Vocabulary) ?? [new Prompt("", null)],
            fields.Flag("echo") ?? false,
            ReadLogProbs(fields),
            ReadCandidates(fields, generation),
            fields.Text("suffix") is { Length: > 0 } suffix ? suffix : null,
            AnswerFormFields.Read(fields),
            generation)
        {
            AddSpecialTokens = fields.Flag("add_special_tokens") ?? true,
        };
        if (request.Echo && request.Suffix is not null)
        {
            throw ApiException.Invalid("echo", "echo together with suffix is not supported: what is filled in stands between the two; "
                + "leave one of them out.", Fault.Unsupported);
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
        if (fields.Integer(Name) is not { } candidates)
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

    /// <summary>OpenAI has a count here; some clients send the chat form, true or false.</summary>
    private static int ReadLogProbs(Fields fields) => !fields.TryGet("logprobs", out JsonElement value) ? -1 : value.ValueKind switch
    {
        JsonValueKind.True => 0,
        JsonValueKind.False => -1,
        _ => Fields.Integer(value),
    };

    /// <param name="name">The field.</param>
    /// <returns>Null: the field is absent.</returns>
    /// <exception cref="ApiException">400: a token id that this vocabulary does not have.</exception>
    internal static IReadOnlyList<Prompt>? ReadPrompts(Fields fields, string name, int vocabulary)
    {
        if (!fields.TryGet(name, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.String ? [new Prompt(value.GetString(), null)]
            : value[0].ValueKind == JsonValueKind.Number ? [new Prompt(null, ReadTokens(value, name, vocabulary))]
            : [.. value.EnumerateArray().Select((item, i) => item.ValueKind == JsonValueKind.String
                ? new Prompt(item.GetString(), null) : new Prompt(null, ReadTokens(item, $"{name}[{i}]", vocabulary)))];
    }

    /// <summary>An array of token ids of this vocabulary.</summary>
    /// <exception cref="ApiException">400: one is not of it.</exception>
    public static int[] ReadTokens(JsonElement array, string name, int vocabulary) => [.. array.EnumerateArray().Select(item =>
        Fields.Integer(item) is var token && token < vocabulary
            ? token
            : throw Fields.Wrong(name, item, $"made of token ids from 0 to {vocabulary - 1}"))];
}
