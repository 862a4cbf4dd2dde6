using System.Text.Json;
using Understory.Server.Contract;
using Understory.Server.OpenAi;
using static Understory.Server.Contract.Parameter;

namespace Understory.Server.Anthropic;

/// <summary>Every field of Anthropic's requests (its documentation of 2026, and what is ours) and what becomes of it.</summary>
public static class MessagesParameters
{
    private static readonly Shape Text = Shape.Object(
        Honoured("type", Shape.OneOf("text"), "", required: true),
        Honoured("text", Shape.Text(), "", required: true),
        Ignored("cache_control", Shape.FreeObject, "Every prompt is looked up in the prefix cache."));

    private static readonly Shape Texts = Shape.Either(Shape.Text(), Shape.List(Text));

    private static readonly Shape UserBlock = Shape.Either(
        Text,
        Shape.Object(
            Honoured("type", Shape.OneOf("tool_result"), "", required: true),
            Honoured("tool_use_id", Shape.Text(), "Of a call before it.", required: true),
            Honoured("content", Texts, ""),
            Honoured("is_error", Shape.Flag, "True: the model reads \"Error: \" before the content.")));

    private static readonly Shape AssistantBlock = Shape.Either(
        Text,
        Shape.Object(Honoured("type", Shape.OneOf("thinking"), "", required: true),
            Honoured("thinking", Shape.Text(), "Given to the chat template.", required: true)),
        Shape.Object(Honoured("type", Shape.OneOf("redacted_thinking"), "Passed over.", required: true)),
        Shape.Object(
            Honoured("type", Shape.OneOf("tool_use"), "", required: true),
            Honoured("id", Shape.Text(), "", required: true),
            Honoured("name", Shape.Text(), "", required: true),
            Honoured("input", Shape.FreeObject, "The arguments.", required: true)));

    private static readonly Shape Message = Shape.Either(
        Shape.Object(
            Honoured("role", Shape.OneOf("user"), "", required: true),
            Honoured("content", Shape.Either(Shape.Text(), Shape.List(UserBlock)), "", required: true)),
        Shape.Object(
            Honoured("role", Shape.OneOf("assistant"), "", required: true),
            Honoured("content", Shape.Either(Shape.Text(), Shape.List(AssistantBlock)), "", required: true)),
        Shape.Object(Honoured("role", Shape.OneOf("system"), "", required: true), Honoured("content", Texts, "", required: true)));

    /// <summary>What makes the prompt.</summary>
    public static IReadOnlyList<Parameter> Conversation { get; } =
    [
        Honoured("system", Texts, "A system turn before the others."),
        Honoured("messages", Shape.List(Message, 1), "The conversation; it ends with the user's turn.", required: true),
        Honoured(
            "tools",
            Shape.List(
                Shape.Object(
                    Honoured("type", Shape.OneOf("custom"), "Built-in tools are refused."),
                    Honoured("name", Shape.Text(1), "", required: true),
                    Honoured("description", Shape.Text(), ""),
                    Honoured("input_schema", Shape.FreeObject, "A JSON schema.", required: true),
                    Honoured("strict", Shape.Flag, "The arguments are held to the schema.")),
                most: ToolFields.MostTools),
            "Functions that the model may call."),
        Honoured(
            "tool_choice",
            Shape.Object(
                Honoured("type", Shape.OneOf("auto", "any", "tool", "none"), "", required: true),
                Honoured("name", Shape.Text(), "Of type tool: which."),
                Honoured("disable_parallel_tool_use", Shape.Flag, "True: at most one call.")),
            "Whether the model calls functions, and which."),
        Honoured(
            "thinking",
            Shape.Object(
                Honoured("type", Shape.OneOf("enabled", "adaptive", "disabled"), "", required: true),
                Honoured("budget_tokens", Shape.Integer(1, int.MaxValue),
                    "Checked, not enforced: max_tokens bounds thoughts and text together."),
                Honoured("display", Shape.OneOf("summarized", "omitted"), "omitted: thinking blocks stay empty.")),
            "Whether a model that can think does so."),
        Honoured(
            "output_config",
            Shape.Object(
                Honoured("effort", Shape.OneOf("low", "medium", "high", "xhigh", "max"), "Told to the chat template."),
                Honoured(
                    "format",
                    Shape.Object(Honoured("type", Shape.OneOf("json_schema"), "", required: true),
                        Honoured("schema", Shape.FreeObject, "", required: true)),
                    "The text is JSON of this schema.")),
            "What the text must look like."),
        Honoured("chat_template_kwargs", Shape.FreeObject, "Further variables for the chat template, such as enable_thinking."),
        Refused("container", Shape.Null, _ => false, "is not supported: this server runs no code; leave it out."),
        Refused(
            "mcp_servers", Shape.List(Shape.Anything, most: 0), value => value.ValueKind == JsonValueKind.Array
                && value.GetArrayLength() == 0,
            "is not supported: this server calls no others; leave it out."),
        Refused("context_management", Shape.Null, _ => false, "is not supported: this server edits no contexts; leave it out."),
    ];

    /// <summary><c>POST /v1/messages/count_tokens</c></summary>
    public static IReadOnlyList<Parameter> Count { get; } = [RequestParameters.Model, .. Conversation];

    /// <summary><c>POST /v1/messages</c></summary>
    public static IReadOnlyList<Parameter> Messages { get; } =
    [
        .. Conversation,
        Honoured("max_tokens", Shape.Integer(0, int.MaxValue), "Most tokens to generate; cut to what the context leaves.", required: true),
        Honoured("stop_sequences", Shape.List(Shape.Text(1), most: MessagesRequest.MostStops), "The text ends before the first of these."),
        .. RequestParameters.Shared,
        Ignored("metadata", Shape.FreeObject, "There is one user per machine."),
        Ignored("cache_control", Shape.FreeObject, "Every prompt is looked up in the prefix cache."),
        Ignored("service_tier", Shape.Text(), "There is one."),
        Ignored("inference_geo", Shape.Text(), "The machine is where it is."),
        Ignored("user_profile_id", Shape.Text(), "As metadata."),
    ];
}
