using Understory.Server.Wire;
using static Understory.Server.Wire.Parameter;

namespace Understory.Server.OpenAi.Responses;

/// <summary>Every field of <c>POST /v1/responses</c> (OpenAI's documentation of 2026, and what is ours) and what becomes of it.</summary>
public static class ResponsesParameters
{
    /// <summary>Asks for log-probabilities.</summary>
    public const string LogProbs = "message.output_text.logprobs";

    /// <summary>OpenAI's limit.</summary>
    private const int LongestName = 128;

    private static readonly Shape Content = ContentParts.OfResponses(1);
    private static readonly Shape Output = ContentParts.OfResponses(0);
    private static readonly Parameter CallId = Honoured("call_id", Shape.Text(), required: true);
    private static readonly Parameter OfCall = Honoured("call_id", Shape.Text(), "Of a call before it.", required: true);

    private static readonly Shape Item = Shape.Tagged("type", "an item such as {\"role\": \"user\", \"content\": \"Hello\"}", "message",
        (["message"],
        [
            Honoured("role", Shape.OneOf("system", "developer", "user", "assistant"), required: true),
            Honoured("content", Content, "A picture is refused in the last of the user's messages; a note stands for it in earlier ones.",
                required: true),
        ]),
        (["function_call"],
        [
            CallId,
            Honoured("name", Shape.Text(), required: true),
            Honoured("namespace", Shape.Text()),
            Honoured("arguments", Shape.Text(), required: true),
        ]),
        (["custom_tool_call"],
        [
            CallId,
            Honoured("name", Shape.Text(), required: true),
            Honoured("namespace", Shape.Text()),
            Honoured("input", Shape.Text(), required: true),
        ]),
        (["function_call_output", "custom_tool_call_output"], [OfCall, Honoured("output", Output, required: true)]),
        (["reasoning"],
        [
            Honoured("content", Shape.List(Shape.Object(Honoured("text", Shape.Text()))),
                "What the model thought; given to the chat template."),
        ]),
        (BuiltInTools.Calls, [Honoured("call_id", Shape.Text(), "Of calls whose output is an item of its own.")]),
        (BuiltInTools.Outputs, [OfCall]),
        (["item_reference"],
            [Refused("id", Shape.Null, "refers to an earlier item, but this server stores nothing; send the item itself.")]),
        (["compaction"], [Refused("encrypted_content", Shape.Null, "cannot be read by this server; send the items themselves.")]),
        (BuiltInTools.PassedOver, []));

    private static readonly Shape Function = Shape.Tagged("type", "an object with type and name", null, ToolCases);

    private static (string[], Parameter[])[] ToolCases =>
    [
        (["function"],
        [
            Honoured("name", Shape.Name(LongestName), required: true),
            Honoured("description", Shape.Text()),
            Honoured("parameters", Shape.FreeObject.Called("a JSON schema: an object"), "A JSON schema."),
            Honoured("strict", Shape.Flag, "The arguments are held to the schema. Default: false."),
        ]),
        (["custom"],
        [
            Honoured("name", Shape.Name(LongestName), required: true),
            Honoured("description", Shape.Text()),
            Honoured("format", Shape.Tagged("type", "an object whose type is \"text\" or \"grammar\"", null,
                (["text"], []),
                (["grammar"],
                [
                    Honoured("syntax", Shape.OneOf("lark", "regex"), "Of lark: the tool is left out, and the header X-Understory-Warning "
                        + "says so.", required: true),
                    Honoured("definition", Shape.Text(), "What all of the text matches.", required: true),
                ])), "What the text must look like. Default: any text."),
        ]),
    ];

    private static readonly Shape Tool = Shape.Either(
        Function,
        Shape.Object("a namespace",
        [
            Honoured("type", Shape.OneOf("namespace"), required: true),
            Honoured("name", Shape.Name(LongestName), required: true),
            Honoured("tools", Shape.List(Function), "The model sees them as NAMESPACE__NAME.", required: true),
        ]),
        Shape.Object("a built-in tool",
        [
            Honoured("type", Shape.TextBut("function", "custom", "namespace"),
                "Built-in tools are left out, and the header X-Understory-Warning says so.", required: true),
            Honoured("name", Shape.Text()),
        ])).Called("an object with a type");

    private static readonly Shape Named = Shape.Object("{\"type\": \"function\", \"name\": …}",
        [Honoured("type", Shape.TextBut("allowed_tools"), required: true), Honoured("name", Shape.Text(1))]);

    /// <summary>
    /// What <c>include</c> may name. Beside <see cref="LogProbs"/> it changes nothing: reasoning is never encrypted, and no tools are run.
    /// </summary>
    private static readonly string[] Includes =
    [
        LogProbs, "reasoning.encrypted_content", "web_search_call.action.sources", "web_search_call.results", "file_search_call.results",
        "code_interpreter_call.outputs", "computer_call_output.output.image_url", "message.input_image.image_url",
    ];

    public static IReadOnlyList<Parameter> All { get; } =
    [
        Honoured("input", Shape.Either(Shape.Text(), Shape.List(Item, 1)).Called(
            "a string or an array of items such as {\"role\": \"user\", \"content\": \"Hello\"}"),
            "A user's text, or the conversation item by item. Items of built-in tools are told to the model as calls and results.",
            required: true),
        Honoured("instructions", Shape.Text(), "A system turn before the others."),
        Honoured("max_output_tokens", Shape.Integer(1), "Most tokens to generate; cut to what the context leaves."),
        .. RequestParameters.Shared,
        Honoured("stop", RequestParameters.Stop, "As of chat completions."),
        Honoured("top_logprobs", Shape.Integer(0, 20), "Log-probabilities of so many alternatives per token."),
        Honoured("include", Shape.List(Shape.OneOf(Includes)),
            $"\"{LogProbs}\" adds log-probabilities to the text; the others change nothing."),
        Honoured("text", Shape.Object("an object such as {\"format\": {\"type\": \"text\"}}",
        [
            Honoured("format", Shape.Tagged("type", "an object whose type is \"text\", \"json_object\" or \"json_schema\"", null,
                (["text", "json_object"], []),
                (["json_schema"],
                [
                    Honoured("name", Shape.Name(64), required: true),
                    Honoured("schema", Shape.JsonSchema, "The text is held to it, strict or not.", required: true),
                    Honoured("description", Shape.Text()),
                    Honoured("strict", Shape.Flag),
                ])), "What the text must look like."),
            Honoured("verbosity", Shape.Text(), "Repeated in the response."),
        ]), "What the text must look like."),
        Honoured("tools", Shape.List(Tool), "Functions that the model may call."),
        Honoured("tool_choice",
            Shape.Either(
                Shape.OneOf("auto", "none", "required"),
                Named,
                Shape.Tagged("type", "{\"type\": \"allowed_tools\", …}", null, (["allowed_tools"],
                [
                    Honoured("mode", Shape.OneOf("auto", "required"), required: true), Honoured("tools", Shape.List(Named), required: true),
                ]))),
            "Whether the model calls functions, and which."),
        Honoured("parallel_tool_calls", Shape.Flag, "False: at most one call."),
        Honoured("reasoning", Shape.Object("an object such as {\"effort\": \"low\"}",
        [
            Honoured("effort", ChatParameters.Efforts, "Told to the chat template; none switches thinking off."),
            Honoured("summary", Shape.Text(), "Repeated in the response; thoughts are given word for word."),
        ]), "How much the model thinks, where its template can be told."),
        Honoured("truncation", Shape.OneOf("disabled", "auto"), "auto: the oldest turns of a conversation that does not fit are left out."),
        Honoured("chat_template_kwargs", Shape.FreeObject.Called("an object of variables for the chat template"),
            "Further variables for the chat template, such as enable_thinking."),
        Honoured("metadata", Shape.Map("", Shape.Text(), "an object of strings"), "Repeated in the response."),
        Honoured("user", Shape.Text(), "Repeated in the response."),
        Honoured("safety_identifier", Shape.Text(), "Repeated in the response."),
        Honoured("prompt_cache_key", Shape.Text(), "Repeated in the response; every prompt is looked up in the prefix cache."),
        Refused("background", Shape.False,
            "is not supported: this server answers while the client waits, and stores nothing; leave it out, and stream."),
        Refused("previous_response_id", Shape.Null, "is not supported: this server stores no responses; send the earlier items in input."),
        Refused("conversation", Shape.Null, "is not supported: this server stores no conversations; send the earlier items in input."),
        Refused("prompt", Shape.Null, "is not supported: this server stores no prompts; send instructions and input."),
        Refused("context_management", Shape.EmptyList,
            "is not supported: this server compacts nothing; leave it out, or send \"truncation\": \"auto\"."),
        Refused("moderation", Shape.Null),
        Ignored("store", "Nothing is ever stored."),
        Ignored("stream_options", "Events are never padded."),
        Ignored("max_tool_calls", "It counts calls of built-in tools."),
        Ignored("service_tier", "There is one."),
        Ignored("client_metadata", "As metadata of an agent."),
        Ignored("prompt_cache_options", "As prompt_cache_key."),
        Ignored("prompt_cache_retention", "As prompt_cache_key."),
    ];
}
