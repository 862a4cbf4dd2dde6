using Understory.Server.Wire;
using static Understory.Server.Wire.Parameter;

namespace Understory.Server.OpenAi;

/// <summary>
/// Every field of OpenAI's requests (its documentation of 2026), those of other servers, and what becomes of each here. Requests are held
/// to these tables before they are read, and the OpenAPI document is written from them.
/// </summary>
public static class RequestParameters
{
    private static readonly Shape TokenIds = Shape.List(Shape.Integer(0), words: "an array of token ids");

    internal static Shape Stop { get; } =
        Shape.Either(Shape.Text(1), Shape.List(Shape.Text(1), most: GenerationFields.MostStops)).Called(
            $"a string or an array of up to {GenerationFields.MostStops} strings, none of them empty");

    /// <summary>Which model is asked.</summary>
    public static Parameter Model { get; } = Honoured("model", Shape.Text(),
        "The id or an alias of the served model; anything else is a 404, unless the server was started with --alias '*'. Absent: the "
            + "served model.");

    /// <summary>What every API calls the same; see <see cref="GenerationFields.ReadShared"/>.</summary>
    public static IReadOnlyList<Parameter> Shared { get; } =
    [
        Model,
        Honoured("temperature", Shape.Number(0, 2), "0 is greedy. Default: the model's own, else 1."),
        Honoured("top_p", Shape.Number(0, 1), "Keeps the most probable tokens whose sum reaches it; 0 keeps one."),
        Honoured("top_k", Shape.Integer(-1, int.MaxValue, " (0 and -1 keep all)"), "Keeps so many of the most probable tokens."),
        Honoured("min_p", Shape.Number(0, 1), "Drops tokens less probable than this fraction of the most probable one."),
        Honoured("presence_penalty", Shape.Number(-2, 2), "Subtracted once from the logits of tokens in the output."),
        Honoured("frequency_penalty", Shape.Number(-2, 2), "Subtracted per occurrence from the logits of tokens in the output."),
        Honoured("repetition_penalty", OtherServers.Penalty, "Divides positive and multiplies negative logits of tokens in prompt or "
            + "output."),
        Honoured("logit_bias", Shape.Map("^[0-9]{1,9}$", Shape.Number(-100, 100), "an object from token ids to numbers from -100 to 100"),
            "Added to the logits of these token ids."),
        Honoured("seed", Shape.Bits64, "The same seed gives the same text again; absent: one is drawn and told in the answer."),
        Honoured("stream", Shape.Flag, "Server-sent events as the text comes."),
        Honoured("ignore_eos", Shape.Flag, "Goes on past the end-of-sequence token."),
        Honoured("speculation", Shape.OneOf("auto", "off", "ngram", "draft", "staged"),
            "Who may propose tokens; never changes the text. A mode whose drafter is not loaded is refused."),
        Honoured("speculation_nodes", Shape.Integer(1, GenerationFields.MostNodes), "Fixes the number of tree nodes verified per step."),
        .. OtherServers.Sampling,
    ];

    /// <summary>Sampling, lengths and speculation: what both kinds of completion share.</summary>
    private static readonly Parameter[] Generation =
    [
        .. Shared,
        Honoured("max_tokens", OtherServers.Length, "Most tokens to generate; cut to what the context leaves."),
        Honoured("max_completion_tokens", OtherServers.Length, "Another name of max_tokens; wins over it."),
        .. OtherServers.Lengths,
        Honoured("n", Shape.Integer(1, GenerationFields.MostChoices), "Answers to generate per prompt."),
        Honoured("stop", Stop, "The text ends before the first of these."),
        Honoured("stream_options", Shape.Object("an object such as {\"include_usage\": true}",
        [
            Honoured("include_usage", Shape.Flag, "A last chunk without choices carries usage."),
            Ignored("continuous_usage_stats", "usage comes at the end."),
            Ignored("include_obfuscation", "Chunks are never padded: the connection is local or encrypted by what stands in front."),
        ]), "Only together with \"stream\": true."),
        Honoured("speculation_events", Shape.Flag, "Chunks tell who proposed their tokens; only together with \"stream\": true."),
        Ignored("user", "There is one user per machine."),
    ];

    /// <summary><c>POST /v1/completions</c></summary>
    public static IReadOnlyList<Parameter> Completions { get; } =
    [
        Honoured("prompt", Texts(0, CompletionRequest.MostPrompts, 0), "Text, token ids, or an array of either. Absent: a document from "
            + "its "
            + "beginning."),
        Honoured("echo", Shape.Flag,
            "Puts the prompt before the text; with logprobs its tokens are scored too, also where max_tokens is 0."),
        Honoured("logprobs", Shape.Either(Shape.Integer(0, CompletionRequest.MostAlternatives), Shape.Flag),
            "Log-probabilities of the tokens and of so many alternatives; true is 0."),
        Honoured("best_of", Shape.Integer(1, GenerationFields.MostChoices), "So many are generated, and the n with the highest mean "
            + "log-probability per token are answered; usage counts all. At least n; not with stream."),
        Honoured("suffix", Shape.Text(), "What follows the gap that the answer fills; refused where the vocabulary has no tokens for it."),
        Honoured("add_special_tokens", Shape.Flag, "False: the prompt does not get the tokens that begin a text."),
        .. Generation,
        Refused("tools", Shape.EmptyList),
        Refused("tool_choice", Shape.OneOf("none", "auto")),
        Refused("prompt_embeds", Shape.Null),
        .. ChatParameters.Form,
    ];

    /// <summary><c>POST /v1/chat/completions</c></summary>
    public static IReadOnlyList<Parameter> Chat { get; } =
        [.. ChatParameters.OfChatAlone, .. Generation, .. ChatParameters.Form, .. OtherServers.Chat];

    /// <summary><c>POST /v1/embeddings</c></summary>
    public static IReadOnlyList<Parameter> Embeddings { get; } =
    [
        Model,
        Honoured("input", Texts(1, EmbeddingRequest.MostInputs, 1), "Text, token ids, or an array of either.", required: true),
        Honoured("encoding_format", Shape.OneOf("float", "base64"), "Numbers, or base64 of little-endian single precision."),
        Honoured("dimensions", Shape.Integer(1), "Leading dimensions to keep, scaled to length 1 again; at most the model's own."),
        Refused("truncate_prompt_tokens", Shape.Null, "is not supported by this server; send a shorter text."),
        Ignored("user", "There is one user per machine."),
    ];

    /// <summary><c>POST /tokenize</c></summary>
    public static IReadOnlyList<Parameter> Tokenize { get; } =
    [
        Model,
        Honoured("text", Shape.Text(), "What to tokenize: this, or content, or prompt."),
        Honoured("content", Shape.Text(), "llama.cpp's name of text."),
        Honoured("prompt", Shape.Text(), "vLLM's name of text."),
        Honoured("add_special", Shape.Flag, "Whether the tokens that begin a text are added. Default: false with content, else true."),
        Honoured("add_special_tokens", Shape.Flag, "vLLM's name of add_special."),
        Honoured("parse_special", Shape.Flag, "False: special tokens in the text are text like any other."),
        Honoured("with_pieces", Shape.Flag, "Also each token's text."),
        Honoured("return_token_strs", Shape.Flag, "vLLM's name of with_pieces."),
        Refused("messages", Shape.Null, "is not supported by this server; /v1/messages/count_tokens and /v1/responses/input_tokens count."),
    ];

    /// <summary><c>POST /detokenize</c></summary>
    public static IReadOnlyList<Parameter> Detokenize { get; } =
        [Model, Honoured("tokens", TokenIds, "Token ids below the size of the vocabulary.", required: true)];

    /// <summary>A text, token ids, or several of either.</summary>
    /// <param name="shortest">Characters of a text at least.</param>
    /// <param name="fewest">Ids of one text among several at least.</param>
    private static Shape Texts(int shortest, int most, int fewest) => Shape.Either(
        Shape.Text(shortest),
        Shape.List(Shape.Text(shortest), 1, most),
        Shape.List(Shape.Integer(0), 1),
        Shape.List(Shape.List(Shape.Integer(0), fewest), 1, most)).Called(
            $"a string, an array of strings, an array of token ids, or an array of arrays of token ids (up to {most})"
                + (shortest > 0 ? ", none of them empty" : ""));
}
