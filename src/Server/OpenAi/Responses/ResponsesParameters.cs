using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Server.Contract;
using static Understory.Server.Contract.Parameter;

namespace Understory.Server.OpenAi.Responses;

/// <summary>Every field of <c>POST /v1/responses</c> (OpenAI's documentation of 2026, and what is ours) and what becomes of it.</summary>
public static class ResponsesParameters
{
    /// <summary>Asks for log-probabilities.</summary>
    public const string LogProbs = "message.output_text.logprobs";

    private static readonly Shape NotInBackground = Shape.Of(new JsonObject { ["enum"] = new JsonArray(false, null) });

    private static readonly Shape Content = Shape.Either(
        Shape.Text(),
        Shape.List(Shape.Object(
            Honoured("type", Shape.OneOf("input_text", "output_text", "text", "refusal"), "", required: true),
            Honoured("text", Shape.Text(), ""),
            Honoured("refusal", Shape.Text(), "Of a part of that type."))));

    private static readonly Shape Item = Shape.Either(
        Shape.Object(
            Honoured("type", Shape.OneOf("message"), ""),
            Honoured("role", Shape.OneOf("system", "developer", "user", "assistant"), "", required: true),
            Honoured("content", Content, "", required: true)),
        Shape.Object(
            Honoured("type", Shape.OneOf("function_call"), "", required: true),
            Honoured("call_id", Shape.Text(), "", required: true),
            Honoured("name", Shape.Text(), "", required: true),
            Honoured("arguments", Shape.Text(), "", required: true)),
        Shape.Object(
            Honoured("type", Shape.OneOf("function_call_output"), "", required: true),
            Honoured("call_id", Shape.Text(), "Of a call before it.", required: true),
            Honoured("output", Content, "", required: true)),
        Shape.Object(
            Honoured("type", Shape.OneOf("reasoning"), "", required: true),
            Honoured("content", Shape.List(Shape.FreeObject), "What the model thought; given to the chat template.")));

    private static readonly Shape Tool = Shape.Object(
        Honoured("type", Shape.OneOf("function"), "Built-in tools are refused.", required: true),
        Honoured("name", Shape.Text(1), "", required: true),
        Honoured("description", Shape.Text(), ""),
        Honoured("parameters", Shape.FreeObject, "A JSON schema."),
        Honoured("strict", Shape.Flag, "The arguments are held to the schema. Default: false."));

    private static readonly Shape NamedFunction = Shape.Object(
        Honoured("type", Shape.OneOf("function"), "", required: true), Honoured("name", Shape.Text(1), "", required: true));

    /// <summary>
    /// What <c>include</c> may name. Beside <see cref="LogProbs"/> it changes nothing: reasoning is never encrypted, and no tools are run.
    /// </summary>
    public static IReadOnlyList<string> Includes { get; } =
    [
        LogProbs, "reasoning.encrypted_content", "web_search_call.action.sources", "web_search_call.results", "file_search_call.results",
        "code_interpreter_call.outputs", "computer_call_output.output.image_url", "message.input_image.image_url",
    ];

    public static IReadOnlyList<Parameter> All { get; } =
    [
        Honoured("input", Shape.Either(Shape.Text(), Shape.List(Item, 1)), "A user's text, or the conversation item by item.",
            required: true),
        Honoured("instructions", Shape.Text(), "A system turn before the others."),
        Honoured("max_output_tokens", Shape.Integer(1, int.MaxValue), "Most tokens to generate; cut to what the context leaves."),
        .. RequestParameters.Shared,
        Honoured("stop", Shape.Either(Shape.Text(1), Shape.List(Shape.Text(1), most: GenerationFields.MostStops)),
            "As of chat completions."),
        Honoured("top_logprobs", Shape.Integer(0, 20), "Log-probabilities of so many alternatives per token."),
        Honoured("include", Shape.List(Shape.OneOf([.. Includes])),
            $"\"{LogProbs}\" adds log-probabilities to the text; the others change nothing."),
        Honoured(
            "text",
            Shape.Object(
                Honoured(
                    "format",
                    Shape.Either(
                        Shape.Object(Honoured("type", Shape.OneOf("text", "json_object"), "", required: true)),
                        Shape.Object(
                            Honoured("type", Shape.OneOf("json_schema"), "", required: true),
                            Honoured("name", Shape.Text(1), "", required: true),
                            Honoured("schema", Shape.Either(Shape.FreeObject, Shape.Flag), "The text is held to it, strict or not.",
                                required: true),
                            Honoured("description", Shape.Text(), ""),
                            Honoured("strict", Shape.Flag, ""))),
                    "What the text must look like."),
                Honoured("verbosity", Shape.Text(), "Repeated in the response.")),
            "What the text must look like."),
        Honoured("tools", Shape.List(Tool, most: ToolFields.MostTools), "Functions that the model may call."),
        Honoured(
            "tool_choice",
            Shape.Either(
                Shape.OneOf("auto", "none", "required"),
                NamedFunction,
                Shape.Object(
                    Honoured("type", Shape.OneOf("allowed_tools"), "", required: true),
                    Honoured("mode", Shape.OneOf("auto", "required"), "", required: true),
                    Honoured("tools", Shape.List(NamedFunction), "", required: true))),
            "Whether the model calls functions, and which."),
        Honoured("parallel_tool_calls", Shape.Flag, "False: at most one call."),
        Honoured(
            "reasoning",
            Shape.Object(
                Honoured("effort", Shape.OneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"),
                    "Told to the chat template; none switches thinking off."),
                Ignored("summary", Shape.Text(), "Thoughts are given word for word.")),
            "How much the model thinks, where its template can be told."),
        Honoured("truncation", Shape.OneOf("disabled", "auto"), "auto: the oldest turns of a conversation that does not fit are left out."),
        Honoured("chat_template_kwargs", Shape.FreeObject, "Further variables for the chat template, such as enable_thinking."),
        Honoured("metadata", Shape.Map("", Shape.Text()), "Repeated in the response."),
        Honoured("user", Shape.Text(), "Repeated in the response."),
        Honoured("safety_identifier", Shape.Text(), "Repeated in the response."),
        Honoured("prompt_cache_key", Shape.Text(), "Repeated in the response; every prompt is looked up in the prefix cache."),
        Refused(
            "background", NotInBackground, value => value.ValueKind == JsonValueKind.False,
            "is not supported: this server answers while the client waits, and stores nothing; leave it out, and stream."),
        Refused("previous_response_id", Shape.Null, _ =>
            false, "is not supported: this server stores no responses; send the earlier items in input."),
        Refused("conversation", Shape.Null, _ =>
            false, "is not supported: this server stores no conversations; send the earlier items in input."),
        Refused("prompt", Shape.Null, _ => false, "is not supported: this server stores no prompts; send instructions and input."),
        Refused("context_management", Shape.Null, _ =>
            false, "is not supported: this server compacts nothing; leave it out, or send \"truncation\": \"auto\"."),
        Refused("moderation", Shape.Null, _ => false),
        Ignored("store", Shape.Flag, "Nothing is ever stored."),
        Ignored("stream_options", Shape.FreeObject, "Events are never padded."),
        Ignored("max_tool_calls", Shape.Integer(), "It counts calls of built-in tools."),
        Ignored("service_tier", Shape.Text(), "There is one."),
        Ignored("prompt_cache_options", Shape.FreeObject, "As prompt_cache_key."),
        Ignored("prompt_cache_retention", Shape.Text(), "As prompt_cache_key."),
    ];
}
