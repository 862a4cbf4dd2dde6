using System.Text.Json;
using Understory.Server.Contract;
using static Understory.Server.Contract.Parameter;

namespace Understory.Server.OpenAi;

/// <summary>
/// Every field of OpenAI's requests (its documentation of 2026, and what other local servers have beside it) and what becomes of it here.
/// The readers refuse by these tables, and the OpenAPI document is written from them; tests hold both to what the readers really ask for.
/// </summary>
public static class RequestParameters
{
    private static readonly Shape TokenIds = Shape.List(Shape.Integer(0));

    /// <summary>Which model is asked.</summary>
    public static Parameter Model { get; } =
        Honoured("model", Shape.Text(), "The id or an alias of the served model; anything else is a 404. Absent: the served model.");

    /// <summary>What every API calls the same; see <see cref="GenerationFields.ReadShared"/>.</summary>
    public static IReadOnlyList<Parameter> Shared { get; } =
    [
        Model,
        Honoured("temperature", Shape.Number(0, 2), "0 is greedy. Default: the model's own, else 1."),
        Honoured("top_p", Shape.Number(0, 1, above: true), "Keeps the most probable tokens whose sum reaches it."),
        Honoured("top_k", Shape.Integer(-1, int.MaxValue), "Keeps so many of the most probable tokens; 0 and -1 keep all."),
        Honoured("min_p", Shape.Number(0, 1), "Drops tokens less probable than this fraction of the most probable one."),
        Honoured("presence_penalty", Shape.Number(-2, 2), "Subtracted once from the logits of tokens in the output."),
        Honoured("frequency_penalty", Shape.Number(-2, 2), "Subtracted per occurrence from the logits of tokens in the output."),
        Honoured("repetition_penalty", Shape.Number(0.01, 100),
            "Divides positive and multiplies negative logits of tokens in prompt or output; 1 is none."),
        Honoured("logit_bias", Shape.Map("^[0-9]{1,9}$", Shape.Number(-100, 100)), "Added to the logits of these token ids."),
        Honoured("seed", Shape.Integer(), "The same seed gives the same text again; absent: one is drawn and told in the answer."),
        Honoured("stream", Shape.Flag, "Server-sent events as the text comes."),
        Honoured("ignore_eos", Shape.Flag, "Goes on past the end-of-sequence token."),
        Honoured("speculation", Shape.OneOf("auto", "off", "ngram", "draft", "staged"),
            "Who may propose tokens; never changes the text. A mode whose drafter is not loaded is refused."),
        Honoured("speculation_nodes", Shape.Integer(1, GenerationFields.MostNodes), "Fixes the number of tree nodes verified per step."),
    ];

    /// <summary>Sampling, lengths and speculation: what both kinds of completion share.</summary>
    private static readonly Parameter[] Generation =
    [
        .. Shared,
        Honoured("max_tokens", Shape.Integer(0, int.MaxValue), "Most tokens to generate; cut to what the context leaves."),
        Honoured("max_completion_tokens", Shape.Integer(0, int.MaxValue), "Another name of max_tokens; wins over it."),
        Honoured("n", Shape.Integer(1, GenerationFields.MostChoices), "Answers to generate per prompt."),
        Honoured("stop", Shape.Either(Shape.Text(1), Shape.List(Shape.Text(1), most: GenerationFields.MostStops)),
            "The text ends before the first of these."),
        Honoured("stream_options", Shape.Object(
            Honoured("include_usage", Shape.Flag, "A last chunk without choices carries usage."),
            Ignored("include_obfuscation", Shape.Flag,
                "Chunks are never padded: the connection is local or encrypted by what stands in front.")),
            "Only together with \"stream\": true."),
        Honoured("speculation_events", Shape.Flag, "Chunks tell who proposed their tokens; only together with \"stream\": true."),
        Ignored("user", Shape.Text(), "There is one user per machine."),
    ];

    /// <summary>Of chats alone.</summary>
    private static readonly Parameter[] BeyondText =
    [
        Refused("tools", Shape.List(Shape.Anything, most: 0), IsEmptyArray),
        Refused("tool_choice", Shape.OneOf("none", "auto"), value => Is(value, "none", "auto")),
    ];

    /// <summary><c>POST /v1/completions</c></summary>
    public static IReadOnlyList<Parameter> Completions { get; } =
    [
        Honoured(
            "prompt",
            Shape.Either(Shape.Text(), Shape.List(Shape.Text(), 1, CompletionRequest.MostPrompts), Shape.List(Shape.Integer(0), 1),
                Shape.List(TokenIds, 1, CompletionRequest.MostPrompts)),
            "Text, token ids, or an array of either. Absent: a document from its beginning."),
        Honoured("echo", Shape.Flag,
            "Puts the prompt before the text; with logprobs its tokens are scored too, also where max_tokens is 0."),
        Honoured(
            "logprobs",
            Shape.Either(Shape.Integer(0, CompletionRequest.MostAlternatives), Shape.Flag),
            "Log-probabilities of the tokens and of so many alternatives; true is 0."),
        Honoured("best_of", Shape.Integer(1, GenerationFields.MostChoices), "So many are generated, and the n with the highest mean "
            + "log-probability per token are answered; usage counts all. At least n; not with stream."),
        Honoured("suffix", Shape.Text(), "What follows the gap that the answer fills; refused where the vocabulary has no tokens for it."),
        .. Generation,
        .. BeyondText,
        .. ChatParameters.Format,
    ];

    /// <summary><c>POST /v1/chat/completions</c></summary>
    public static IReadOnlyList<Parameter> Chat { get; } = [.. ChatParameters.OfChatAlone, .. Generation, .. ChatParameters.Format];

    /// <summary><c>POST /v1/embeddings</c></summary>
    public static IReadOnlyList<Parameter> Embeddings { get; } =
    [
        Model,
        Honoured(
            "input",
            Shape.Either(
                Shape.Text(1),
                Shape.List(Shape.Text(1), 1, EmbeddingRequest.MostInputs),
                Shape.List(Shape.Integer(0), 1),
                Shape.List(Shape.List(Shape.Integer(0), 1), 1, EmbeddingRequest.MostInputs)),
            "Text, token ids, or an array of either.",
            required: true),
        Honoured("encoding_format", Shape.OneOf("float", "base64"), "Numbers, or base64 of little-endian single precision."),
        Honoured("dimensions", Shape.Integer(1), "Leading dimensions to keep, scaled to length 1 again; at most the model's own."),
        Ignored("user", Shape.Text(), "There is one user per machine."),
    ];

    /// <summary><c>POST /tokenize</c></summary>
    public static IReadOnlyList<Parameter> Tokenize { get; } =
    [
        Model,
        Honoured("text", Shape.Text(), "What to tokenize."),
        Honoured("content", Shape.Text(), "Another name of text."),
        Honoured("prompt", Shape.Text(), "Another name of text."),
        Honoured("with_pieces", Shape.Flag, "Also each token's text."),
    ];

    /// <summary><c>POST /detokenize</c></summary>
    public static IReadOnlyList<Parameter> Detokenize { get; } =
        [Model, Honoured("tokens", TokenIds, "Token ids below the size of the vocabulary.", required: true)];

    /// <exception cref="ApiException">400: a field asks for something that a table refuses.</exception>
    public static void Refuse(Fields fields, IReadOnlyList<Parameter> table)
    {
        foreach (Parameter parameter in table)
        {
            if (parameter.Standing == Standing.Refused && fields.TryGet(parameter.Name, out JsonElement value) && !parameter.Neutral(value))
            {
                throw ApiException.Invalid(parameter.Name, $"{parameter.Name} {parameter.Remedy}", "unsupported_parameter");
            }
        }
    }

    internal static bool Is(JsonElement value, params ReadOnlySpan<string> texts)
    {
        foreach (string text in texts)
        {
            if (value.ValueKind == JsonValueKind.String && value.ValueEquals(text))
            {
                return true;
            }
        }

        return false;
    }

    internal static bool IsEmptyArray(JsonElement value) => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0;
}
