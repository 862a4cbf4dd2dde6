using Understory.Server.OpenAi;
using Understory.Server.Wire;
using static Understory.Server.Wire.Parameter;

namespace Understory.Server.Anthropic;

/// <summary>
/// Every field of Anthropic's requests (its documentation of 2026, betas included, and what is ours) and what becomes of it.
/// </summary>
public static class MessagesParameters
{
    /// <summary>Upon this its libraries send whole conversations instead of a thread's next turn.</summary>
    public const string NoThreads = "thread_unsupported_request";

    /// <summary>Anthropic's limit.</summary>
    private const int LongestName = 128;

    private static readonly (string[], Parameter[]) Text =
        (["text"], [Honoured("text", Shape.Text(), required: true), Ignored("cache_control"), Ignored("citations")]);

    private static readonly Shape Texts = Or(Blocks("text", 0, Text));

    private static readonly (string[], Parameter[]) Document = (["document"],
    [
        Honoured("source", Shape.Object(
            Honoured("type", Shape.Text(), "Of text and content the text is read; others are not seen.", required: true),
            Honoured("data", Shape.Text()),
            Honoured("content", Shape.Either(Shape.Text(), Shape.List(Shape.FreeObject)))), required: true),
        Honoured("title", Shape.Text(), "Stands before the text."),
        Honoured("context", Shape.Text(), "Stands before the text."),
    ]);

    private static readonly (string[], Parameter[]) SearchResult = (["search_result"],
    [
        Honoured("title", Shape.Text(), "Stands before the text.", required: true),
        Honoured("source", Shape.Text(), "Stands before the text.", required: true),
        Honoured("content", Blocks("text", 0, Text), required: true),
    ]);

    private static readonly (string[], Parameter[]) Picture = (["image", "container_upload"], []);

    private static readonly Shape ResultBlocks = Blocks("text", 0, Text, Document, SearchResult, Picture,
        (["tool_reference"], [Honoured("tool_name", Shape.Text(), required: true)]));

    private static readonly Shape UserBlocks = Blocks("text", 1, Text, Document, SearchResult, Picture,
        (["tool_result"],
        [
            Honoured("tool_use_id", Shape.Text(), "Of a call before it.", required: true),
            Honoured("content", Or(ResultBlocks), "Pictures in it become notes."),
            Honoured("is_error", Shape.Flag, "True: the model reads \"Error: \" before the content."),
        ]));

    private static readonly Shape AssistantBlocks = Blocks("text", 1, Text,
        (["thinking"], [Honoured("thinking", Shape.Text(), "Given to the chat template.", required: true)]),
        (["redacted_thinking"], []),
        (["compaction"], [Honoured("content", Shape.Text(), "Told to the model as the assistant's text.")]),
        (["tool_use", "server_tool_use", "mcp_tool_use"],
        [
            Honoured("id", Shape.Text(), required: true),
            Honoured("name", Shape.Text(), required: true),
            Honoured("input", Shape.FreeObject, "The arguments.", required: true),
        ]),
        (MessageTurns.ServerResults,
            [Honoured("tool_use_id", Shape.Text(), "Of a call before it.", required: true), Honoured("content", Shape.Anything)]),
        (["container_upload"], []));

    private static readonly Shape Message = Shape.Tagged("role", "an object with role and content", null,
        (["user"], [Honoured("content", Or(UserBlocks), required: true)]),
        (["assistant"], [Honoured("content", Or(AssistantBlocks), required: true)]),
        (["system"], [Honoured("content", Texts, required: true)]));

    private static readonly Shape Format = Shape.Tagged("type", "{\"type\": \"json_schema\", \"schema\": {…}}", null,
        (["json_schema"], [Honoured("schema", Shape.FreeObject, required: true)]));

    /// <summary>What makes the prompt.</summary>
    public static IReadOnlyList<Parameter> Conversation { get; } =
    [
        Honoured("system", Texts, "A system turn before the others."),
        Honoured("messages",
            Shape.List(Message, 1, words: "an array of at least one message such as {\"role\": \"user\", \"content\": \"Hello\"}"),
            "The conversation. Where it ends with the assistant's turn, the answer goes on with that.", required: true),
        Honoured("tools",
            Shape.List(Shape.Either(
                Shape.Object("a tool such as {\"name\": \"f\", \"input_schema\": {…}}",
                [
                    Honoured("type", Shape.OneOf("custom")),
                    Honoured("name", Shape.Name(LongestName), required: true),
                    Honoured("description", Shape.Text()),
                    Honoured("input_schema", Shape.FreeObject.Called("a JSON schema: an object"), "A JSON schema.", required: true),
                    Honoured("strict", Shape.Flag, "The arguments are held to the schema."),
                ]),
                Shape.Object("a built-in tool",
                [
                    Honoured("type", Shape.TextBut("custom"),
                        "Built-in tools are left out, and the header X-Understory-Warning says so.", required: true),
                    Honoured("name", Shape.Text()),
                ]))),
            "Functions that the model may call."),
        Honoured("tool_choice",
            Shape.Tagged("type", "{\"type\": \"auto\"}, {\"type\": \"any\"}, {\"type\": \"none\"} or {\"type\": \"tool\", \"name\": …}",
                null,
                (["auto", "any", "none"], [Honoured("disable_parallel_tool_use", Shape.Flag, "True: at most one call.")]),
                (["tool"],
                [
                    Honoured("name", Shape.Text(), "Which.", required: true),
                    Honoured("disable_parallel_tool_use", Shape.Flag, "True: at most one call."),
                ])),
            "Whether the model calls functions, and which."),
        Honoured("thinking",
            Shape.Tagged("type", "an object whose type is \"enabled\", \"adaptive\" or \"disabled\"", null,
                (["enabled", "adaptive", "disabled"],
                [
                    Honoured("budget_tokens", Shape.Integer(1), "Not enforced: max_tokens bounds thoughts and text together."),
                    Honoured("display", Shape.OneOf("summarized", "omitted"), "omitted: thinking blocks stay empty."),
                ])),
            "Whether a model that can think does so."),
        Honoured("output_config", Shape.Object("an object such as {\"effort\": \"low\"}",
        [
            Honoured("effort", Shape.OneOf("low", "medium", "high", "xhigh", "max"), "Told to the chat template."),
            Honoured("format", Format, "The text is JSON of this schema."),
        ]), "What the text must look like."),
        Honoured("output_format", Format, "The older name of output_config.format."),
        Honoured("chat_template_kwargs", Shape.FreeObject.Called("an object of variables for the chat template"),
            "Further variables for the chat template, such as enable_thinking."),
        Honoured("context_management", Shape.Object(Honoured("edits", Shape.List(Shape.FreeObject))),
            "No context is edited: the answer says so in its own context_management."),
        Refused("compaction", Shape.Null, "is not supported: this server compacts no contexts; leave it out."),
        Refused("thread", Shape.Null, "is not supported: this server keeps no conversations; send all messages.") with
        {
            DetailCode = NoThreads,
        },
        Refused("container", Shape.Null, "is not supported: this server runs no code; leave it out."),
        Refused("mcp_servers", Shape.EmptyList, "is not supported: this server calls no others; leave it out."),
        Ignored("betas", "Of a library that takes the header's names in the body."),
        Ignored("cache_control", "Every prompt is looked up in the prefix cache."),
    ];

    /// <summary><c>POST /v1/messages/count_tokens</c></summary>
    public static IReadOnlyList<Parameter> Count { get; } = [RequestParameters.Model, .. Conversation];

    /// <summary><c>POST /v1/messages</c></summary>
    public static IReadOnlyList<Parameter> Messages { get; } =
    [
        .. Conversation,
        Honoured("max_tokens", Shape.Integer(0), "Most tokens to generate; cut to what the context leaves.", required: true),
        Honoured("stop_sequences", Shape.List(Shape.Text(1), most: GenerationFields.MostStops,
            words: $"an array of up to {GenerationFields.MostStops} strings, none of them empty"), "The text ends before the first of "
                + "these."),
        .. RequestParameters.Shared,
        Ignored("metadata", "There is one user per machine."),
        Ignored("service_tier", "There is one."),
        Ignored("speed", "There is one."),
        Ignored("inference_geo", "The machine is where it is."),
        Ignored("user_profile_id", "As metadata."),
    ];

    private static Shape Blocks(string first, int fewest, params (string[], Parameter[])[] cases) => Shape.List(
        Shape.Tagged("type", $"an object such as {{\"type\": \"{first}\", \"text\": …}}", null, cases), fewest,
        words: $"an array of blocks such as {{\"type\": \"{first}\", \"text\": …}}{(fewest > 0 ? ", at least one" : "")}");

    private static Shape Or(Shape blocks) => Shape.Either(Shape.Text(), blocks);
}
