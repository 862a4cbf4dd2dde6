using Understory.Server.Wire;
using static Understory.Server.Wire.Parameter;

namespace Understory.Server.OpenAi;

/// <summary>The fields of <c>POST /v1/chat/completions</c> that completions lack. See <see cref="RequestParameters.Chat"/>.</summary>
internal static class ChatParameters
{
    /// <summary>OpenAI's limits.</summary>
    public const int MostTools = 128;
    private const int LongestName = 64;

    public static Shape Efforts { get; } = Shape.OneOf("none", "minimal", "low", "medium", "high", "xhigh", "max");

    private static readonly Shape Name = Shape.Name(LongestName);

    private static readonly Shape Function = Shape.Object("an object with name, description and parameters",
    [
        Honoured("name", Name, required: true),
        Honoured("description", Shape.Text()),
        Honoured("parameters", Shape.FreeObject.Called("a JSON schema: an object"), "A JSON schema."),
        Honoured("strict", Shape.Flag, "The arguments keep to the schema."),
    ]);

    private static readonly Shape Custom = Shape.Object("an object with name, description and format",
    [
        Honoured("name", Name, required: true),
        Honoured("description", Shape.Text()),
        Honoured("format", Shape.Tagged("type", "an object whose type is \"text\" or \"grammar\"", null,
            (["text"], []),
            (["grammar"],
            [
                Honoured("grammar", Shape.Object("an object with syntax and definition",
                [
                    Honoured("syntax", Shape.OneOf("regex").Called("\"regex\" here, where no other grammar is read"),
                        "A regular expression; lark is not read.", required: true),
                    Honoured("definition", Shape.Text(), "What all of the text matches.", required: true),
                ]), required: true),
            ])), "What the text must look like. Default: any text."),
    ]);

    private static readonly Parameter[] NameAlone = [Honoured("name", Shape.Text(1), required: true)];

    private static readonly Shape NamedTool = Shape.Tagged("type", "{\"type\": \"function\", \"function\": {\"name\": \"f\"}}", null,
        (["function"], [Honoured("function", Shape.Object(NameAlone), required: true)]),
        (["custom"], [Honoured("custom", Shape.Object(NameAlone), required: true)]));

    private static readonly Parameter CallId = Honoured("id", Shape.Text(), required: true);

    private static readonly Shape Call = Shape.Tagged("type", "an object with id, type and function", "function",
        (["function"],
        [
            CallId,
            Honoured("function", Shape.Object("an object with name and arguments",
            [
                Honoured("name", Shape.Text(), required: true),
                Honoured("arguments", Shape.Either(Shape.Text(), Shape.FreeObject), "JSON as text, or as it is.", required: true),
            ]), required: true),
        ]),
        (["custom"],
        [
            CallId,
            Honoured("custom", Shape.Object("an object with name and input",
            [
                Honoured("name", Shape.Text(), required: true),
                Honoured("input", Shape.Text(), required: true),
            ]), required: true),
        ]));

    private static readonly Shape Messages = Shape.List(
        Shape.Tagged("role", "an object with role and content", null,
            (["system", "developer", "user"],
            [
                Honoured("content", ContentParts.OfChat(1), "Text, or parts of text. A picture is refused in the last of the user's "
                    + "messages, and a note stands in its place in earlier ones.", required: true),
                Honoured("name", Shape.Text(), "Given to the chat template."),
            ]),
            (["assistant"],
            [
                Honoured("content", ContentParts.OfChat(0), "What the model said."),
                Honoured("name", Shape.Text(), "Given to the chat template."),
                Honoured("refusal", Shape.Text()),
                Honoured("reasoning_content", Shape.Text(), "What the model thought before it answered."),
                Honoured("reasoning", Shape.Text(), "Another name of reasoning_content."),
                Honoured("tool_calls", Shape.List(Call), "Calls that the model made."),
                Honoured("function_call", Shape.Object(Honoured("name", Shape.Text(), required: true),
                    Honoured("arguments", Shape.Text(), required: true)), "A call as older code has it."),
                Refused("audio", Shape.Null, "is not supported: this server reads texts alone; leave it out."),
            ]),
            (["tool"],
            [
                Honoured("content", ContentParts.OfChat(0), "The call's result.", required: true),
                Honoured("tool_call_id", Shape.Text(), "The call that it answers.", required: true),
                Honoured("name", Shape.Text(), "The function."),
            ]),
            (["function"],
            [
                Honoured("content", ContentParts.OfChat(0), "The result of the call before, as older code has it.", required: true),
                Honoured("name", Shape.Text(), "The function.", required: true),
            ])),
        1,
        words: "an array of at least one message such as {\"role\": \"user\", \"content\": \"Hello\"}");

    /// <summary>What the answer must look like: OpenAI's name for it and those of other local servers. At most one of them.</summary>
    public static IReadOnlyList<Parameter> Form { get; } =
    [
        Honoured("response_format", Shape.Tagged("type", "an object whose type is \"text\", \"json_object\" or \"json_schema\"", null,
            (["text"], []),
            (["json_object"], [Honoured("schema", Shape.JsonSchema, "As some servers have it: of this schema.")]),
            (["json_schema"],
            [
                Honoured("json_schema", Shape.Object("an object with name and schema",
                [
                    Honoured("name", Name, required: true),
                    Honoured("description", Shape.Text()),
                    Honoured("schema", Shape.JsonSchema, "A JSON schema."),
                    Honoured("strict", Shape.Flag, "The answer keeps to the schema in either case."),
                ]), required: true),
            ])), "Text, any JSON object, or JSON of a schema."),
        Honoured("json_schema", Shape.JsonSchema, "The answer is JSON of this schema, given as an object or as its text."),
        Honoured("guided_json", Shape.JsonSchema, "Another name of json_schema."),
        Honoured("regex", Shape.Text(), "The answer matches this regular expression."),
        Honoured("guided_regex", Shape.Text(), "Another name of regex."),
        Honoured("guided_choice", Choices, "The answer is one of these texts."),
        Honoured("grammar", Shape.Text(), "The answer is a text of this GBNF grammar."),
        Honoured("guided_grammar", Shape.Text(), "Another name of grammar."),
        Honoured("ebnf", Shape.Text(), "Another name of grammar."),
        Honoured("structured_outputs", Shape.Object("an object with one of json, regex, choice, grammar and json_object",
        [
            Honoured("json", Shape.JsonSchema, "As json_schema."),
            Honoured("regex", Shape.Text(), "As regex."),
            Honoured("choice", Choices, "As guided_choice."),
            Honoured("grammar", Shape.Text(), "As grammar."),
            Honoured("json_object", Shape.Flag, "True: any JSON object."),
            Refused("structural_tag", Shape.Null),
            Refused("whitespace_pattern", Shape.Null),
        ]), "vLLM's way to say it."),
    ];

    private static Shape Choices => Shape.List(Shape.Text(1), 1, words: "an array of at least one text, none of them empty");

    public static IReadOnlyList<Parameter> OfChatAlone { get; } =
    [
        Honoured("messages", Messages, "The conversation; rendered by the model's chat template.", required: true),
        Honoured("logprobs", Shape.Flag, "Log-probabilities of the tokens."),
        Honoured("top_logprobs", Shape.Integer(0, 20), "So many alternatives per token; needs \"logprobs\": true."),
        Honoured("chat_template_kwargs", Shape.FreeObject.Called("an object of variables for the chat template"),
            "Further variables for the chat template, such as enable_thinking."),
        Honoured("reasoning_effort", Efforts, "Told to templates that know it; none switches thinking off."),
        Honoured("tools",
            Shape.List(Shape.Tagged("type", "an object with type and function", null,
                (["function"], [Honoured("function", Function, required: true)]),
                (["custom"], [Honoured("custom", Custom, required: true)])), most: MostTools,
                words: $"an array of up to {MostTools} tools such as {{\"type\": \"function\", \"function\": {{\"name\": \"f\"}}}}"),
            "Functions that the model may call, and custom tools, which take a text."),
        Honoured("tool_choice",
            Shape.Either(
                Shape.OneOf("none", "auto", "required"),
                NamedTool,
                Shape.Tagged("type", "{\"type\": \"allowed_tools\", …}", null, (["allowed_tools"],
                [
                    Honoured("allowed_tools", Shape.Object(Honoured("mode", Shape.OneOf("auto", "required")),
                        Honoured("tools", Shape.List(NamedTool, 1), required: true)), required: true),
                ]))),
            "Whether, and which of them, the model calls."),
        Honoured("parallel_tool_calls", Shape.Flag, "false: at most one call per answer."),
        Honoured("functions", Shape.List(Function, most: MostTools), "As tools, in older code; calls are answered as function_call then."),
        Honoured("function_call", Shape.Either(Shape.OneOf("none", "auto"), Shape.Object("{\"name\": \"f\"}",
            [Honoured("name", Shape.Text(1), required: true)])), "As tool_choice, in older code."),
        Honoured("prediction",
            Shape.Tagged("type", "an object such as {\"type\": \"content\", \"content\": \"…\"}", null,
                (["content"], [Honoured("content", ContentParts.Texts, "Text, or parts of text.", required: true)])),
            "The answer as it is expected: proposed like the n-gram's guesses, so it costs nothing where it is wrong but time."),
        Refused("audio", Shape.Null),
        Refused("web_search_options", Shape.Null),
        Refused("moderation", Shape.Null),
        Refused("modalities", Shape.List(Shape.OneOf("text")), "is not supported beyond [\"text\"]; leave it out."),
        Ignored("verbosity", "A hint."),
        Ignored("store", "Nothing is ever stored."),
        Ignored("metadata", "Goes with store."),
        Ignored("service_tier", "There is one."),
        Ignored("safety_identifier", "As user."),
        Ignored("prompt_cache_key", "Every prompt is looked up in the prefix cache."),
        Ignored("prompt_cache_options", "As prompt_cache_key."),
        Ignored("prompt_cache_retention", "As prompt_cache_key."),
    ];
}
