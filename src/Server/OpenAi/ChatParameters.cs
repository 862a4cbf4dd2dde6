using System.Text.Json;
using Understory.Server.Contract;
using static Understory.Server.Contract.Parameter;

namespace Understory.Server.OpenAi;

/// <summary>The fields of <c>POST /v1/chat/completions</c> that completions lack. See <see cref="RequestParameters.Chat"/>.</summary>
internal static class ChatParameters
{
    private static readonly Shape Name = Shape.Of(new() { ["type"] = "string", ["pattern"] = "^[a-zA-Z0-9_-]{1,64}$" });

    private static readonly Shape Content = Shape.Either(
        Shape.Text(),
        Shape.List(
            Shape.Object(Honoured("type", Shape.OneOf("text"), "", required: true), Honoured("text", Shape.Text(), "", required: true))));

    private static readonly Shape Function = Shape.Object(
        Honoured("name", Name, "", required: true),
        Honoured("description", Shape.Text(), ""),
        Honoured("parameters", Shape.FreeObject, "A JSON schema."),
        Honoured("strict", Shape.Flag, "The arguments keep to the schema."));

    private static readonly Shape NamedFunction = Shape.Object(
        Honoured("type", Shape.OneOf("function"), "", required: true),
        Honoured("function", Shape.Object(Honoured("name", Name, "", required: true)), "", required: true));

    private static readonly Shape Messages = Shape.List(
        Shape.Either(
            Shape.Object(
                Honoured("role", Shape.OneOf("system", "developer", "user"), "", required: true),
                Honoured("content", Content, "Text, or parts of text.", required: true),
                Honoured("name", Shape.Text(), "Given to the chat template.")),
            Shape.Object(
                Honoured("role", Shape.OneOf("assistant"), "", required: true),
                Honoured("content", Content, "May be absent beside tool_calls.", required: true),
                Honoured("name", Shape.Text(), "Given to the chat template."),
                Honoured("refusal", Shape.Text(), ""),
                Honoured("reasoning_content", Shape.Text(), "What the model thought before it answered."),
                Honoured(
                    "tool_calls",
                    Shape.List(Shape.Object(
                        Honoured("id", Shape.Text(), "", required: true),
                        Honoured("type", Shape.OneOf("function"), ""),
                        Honoured(
                            "function",
                            Shape.Object(Honoured("name", Shape.Text(), "", required: true),
                                Honoured("arguments", Shape.Text(), "JSON.", required: true)),
                            "",
                            required: true))),
                    "Calls that the model made."),
                Refused("function_call", Shape.Null, _ => false),
                Refused("audio", Shape.Null, _ => false)),
            Shape.Object(
                Honoured("role", Shape.OneOf("tool"), "", required: true),
                Honoured("content", Content, "The call's result.", required: true),
                Honoured("tool_call_id", Shape.Text(), "The call that it answers.", required: true))),
        1);

    /// <summary>What the answer must look like: OpenAI's name for it and those of other local servers. At most one of them.</summary>
    public static IReadOnlyList<Parameter> Format { get; } =
    [
        Honoured(
            "response_format",
            Shape.Either(
                Shape.Object(Honoured("type", Shape.OneOf("text", "json_object"), "", required: true)),
                Shape.Object(
                    Honoured("type", Shape.OneOf("json_schema"), "", required: true),
                    Honoured(
                        "json_schema",
                        Shape.Object(
                            Honoured("name", Name, "", required: true),
                            Honoured("description", Shape.Text(), ""),
                            Honoured("schema", Shape.Either(Shape.FreeObject, Shape.Flag), "A JSON schema."),
                            Honoured("strict", Shape.Flag, "The answer keeps to the schema in either case.")),
                        "",
                        required: true))),
            "Text, any JSON object, or JSON of a schema."),
        Honoured("json_schema", Shape.Either(Shape.FreeObject, Shape.Flag),
            "The answer is JSON of this schema, given as an object or as its text."),
        Honoured("guided_json", Shape.Either(Shape.FreeObject, Shape.Flag), "Another name of json_schema."),
        Honoured("regex", Shape.Text(), "The answer matches this regular expression."),
        Honoured("guided_regex", Shape.Text(), "Another name of regex."),
        Honoured("grammar", Shape.Text(), "The answer is a text of this GBNF grammar."),
        Honoured("guided_grammar", Shape.Text(), "Another name of grammar."),
    ];

    public static IReadOnlyList<Parameter> OfChatAlone { get; } =
    [
        Honoured("messages", Messages, "The conversation; rendered by the model's chat template.", required: true),
        Honoured("logprobs", Shape.Flag, "Log-probabilities of the tokens."),
        Honoured("top_logprobs", Shape.Integer(0, 20), "So many alternatives per token; needs \"logprobs\": true."),
        Honoured("chat_template_kwargs", Shape.FreeObject, "Further variables for the chat template, such as enable_thinking."),
        Honoured("reasoning_effort", Shape.OneOf("none", "minimal", "low", "medium", "high", "xhigh"),
            "Told to templates that know it; none switches thinking off."),
        Honoured(
            "tools",
            Shape.List(
                Shape.Object(Honoured("type", Shape.OneOf("function"), "", required: true),
                    Honoured("function", Function, "", required: true)),
                most: ToolFields.MostTools),
            "Functions that the model may call."),
        Honoured(
            "tool_choice",
            Shape.Either(
                Shape.OneOf("none", "auto", "required"),
                NamedFunction,
                Shape.Object(
                    Honoured("type", Shape.OneOf("allowed_tools"), "", required: true),
                    Honoured(
                        "allowed_tools",
                        Shape.Object(Honoured("mode", Shape.OneOf("auto", "required"), ""),
                            Honoured("tools", Shape.List(NamedFunction, 1), "", required: true)),
                        "",
                        required: true))),
            "Whether, and which of them, the model calls."),
        Honoured("parallel_tool_calls", Shape.Flag, "false: at most one call per answer."),
        Refused("functions", Shape.List(Shape.Anything, most: 0), RequestParameters.IsEmptyArray,
            "is deprecated and not supported by this server; use tools."),
        Refused(
            "function_call", Shape.OneOf("none", "auto"), value =>
                RequestParameters.Is(value, "none", "auto"), "is deprecated and not supported by this server; use tool_choice."),
        Honoured(
            "prediction",
            Shape.Object(Honoured("type", Shape.OneOf("content"), "", required: true),
                Honoured("content", Content, "Text, or parts of text.", required: true)),
            "The answer as it is expected: proposed like the n-gram's guesses, so it costs nothing where it is wrong but time."),
        Refused("audio", Shape.Null, _ => false),
        Refused("web_search_options", Shape.Null, _ => false),
        Refused("moderation", Shape.Null, _ => false),
        Refused(
            "modalities",
            Shape.List(Shape.OneOf("text")),
            value => value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => RequestParameters.Is(item, "text")),
            "is not supported beyond [\"text\"]; leave it out."),
        Ignored("verbosity", Shape.Text(), "A hint."),
        Ignored("store", Shape.Flag, "Nothing is ever stored."),
        Ignored("metadata", Shape.FreeObject, "Goes with store."),
        Ignored("service_tier", Shape.Text(), "There is one."),
        Ignored("safety_identifier", Shape.Text(), "As user."),
        Ignored("prompt_cache_key", Shape.Text(), "Every prompt is looked up in the prefix cache."),
        Ignored("prompt_cache_options", Shape.FreeObject, "As prompt_cache_key."),
        Ignored("prompt_cache_retention", Shape.Text(), "As prompt_cache_key."),
    ];
}
