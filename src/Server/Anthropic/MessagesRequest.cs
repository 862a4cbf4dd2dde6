using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Anthropic;

/// <summary>Reads the body of <c>POST /v1/messages</c>.</summary>
public static class MessagesRequest
{
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ChatCall Read(Fields fields, RequestContext context)
    {
        fields.Check(MessagesParameters.Messages);
        return Read(fields, GenerationFields.ReadShared(fields, context) with
        {
            MaxTokens = fields.Integer("max_tokens"),
            Stop = GenerationFields.ReadStop(fields, "stop_sequences"),
        });
    }

    /// <summary>The conversation alone, as <c>POST /v1/messages/count_tokens</c> has it.</summary>
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ChatCall ReadCount(Fields fields, RequestContext context)
    {
        fields.Check(MessagesParameters.Count);
        return Read(fields, GenerationFields.ReadShared(default, context));
    }

    private static ChatCall Read(Fields fields, GenerationFields generation)
    {
        IReadOnlyList<ChatTurn> turns = MessageTurns.Read(fields);
        OfferedTools tools = MessageTools.Read(fields);
        (ToolChoice choice, bool parallel) = MessageTools.ReadChoice(fields, tools);
        Fields config = fields.Object("output_config");
        AnswerForm? form = ReadForm(config.Object("format"), "output_config.format")
            ?? ReadForm(fields.Object("output_format"), "output_format");
        Fields thinking = fields.Object("thinking");
        bool showThinking = thinking.Text("display") != "omitted";
        bool edits = fields.Has("context_management");
        return new ChatCall(
            fields.Text("model"),
            new Conversation
            {
                Turns = turns,
                Tools = tools.Tools,
                ToolChoice = choice,
                ParallelToolCalls = parallel,
                Form = form,
                // How long it thinks is its own affair: budget_tokens is left to max_tokens.
                Thinking = thinking.Text("type") is { } type ? type != "disabled" : null,
                Effort = config.Text("effort"),
                TemplateVariables = ChatRequest.ReadTemplateVariables(fields),
                ContinueFinal = turns[^1].Role == "assistant",
            },
            generation)
        {
            IdPrefix = "msg_",
            Writer = (head, tokenizer, chat, requestId) =>
                new MessageWriter(head, tokenizer, chat, requestId, generation.MaxTokens!.Value, showThinking, tools, edits),
            Warnings = tools.Warnings,
        };
    }

    private static JsonSchemaForm? ReadForm(Fields format, string name) =>
        format.TryGet("schema", out JsonElement schema) ? new JsonSchemaForm($"{name}.schema", schema.Clone()) : null;
}
