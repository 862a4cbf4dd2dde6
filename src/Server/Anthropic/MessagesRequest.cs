using System.Text.Json;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Chat;
using Understory.Server.OpenAi;

namespace Understory.Server.Anthropic;

/// <summary>The body of <c>POST /v1/messages</c>, checked.</summary>
/// <param name="ShowThinking">What the model thinks is part of the answer; else only that it thought.</param>
public sealed record MessagesRequest(string? Model, Conversation Conversation, bool ShowThinking, GenerationFields Generation)
{
    public const int MostStops = 64;

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static MessagesRequest Read(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation)
    {
        Conversation conversation = ReadConversation(fields, out bool showThinking);
        int maxTokens = fields.Integer("max_tokens", 0, int.MaxValue, "a whole number of at least 0")
            ?? throw ApiException.Invalid("max_tokens", "max_tokens is missing; it must be a whole number of at least 0.");
        return new MessagesRequest(
            fields.Text("model"),
            conversation,
            showThinking,
            GenerationFields.ReadShared(fields, defaults, vocabulary, speculation) with
            {
                MaxTokens = maxTokens,
                Stop = ReadStops(fields)
            });
    }

    /// <summary>The conversation alone, as <c>POST /v1/messages/count_tokens</c> has it.</summary>
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static (string? Model, Conversation Conversation) ReadCount(Fields fields) =>
        (fields.Text("model"), ReadConversation(fields, out _));

    private static Conversation ReadConversation(Fields fields, out bool showThinking)
    {
        RequestParameters.Refuse(fields, MessagesParameters.Conversation);
        IReadOnlyList<ChatTurn> turns = MessageTurns.Read(fields);
        IReadOnlyList<Tool> tools = MessageTools.Read(fields);
        (ToolChoice choice, bool parallel) = MessageTools.ReadChoice(fields, tools);
        (AnswerFormat? format, string? effort) = ReadOutputConfig(fields);
        bool? thinking = ReadThinking(fields, out showThinking);
        return new Conversation
        {
            Turns = turns,
            Tools = tools,
            ToolChoice = choice,
            ParallelToolCalls = parallel,
            Format = format,
            Thinking = thinking,
            Effort = effort,
            TemplateVariables = ChatRequest.ReadTemplateVariables(fields),
        };
    }

    private static string[] ReadStops(Fields fields)
    {
        const string Name = "stop_sequences";
        string expected = $"an array of up to {MostStops} strings, none of them empty";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > MostStops)
        {
            throw Fields.Wrong(Name, value, expected);
        }

        string[] stops = [.. value.EnumerateArray().Select(item => Fields.Text(item, Name, expected))];
        return stops.All(stop => stop.Length > 0) ? stops : throw Fields.Wrong(Name, value, expected);
    }

    /// <summary>
    /// Whether the model shall think; how long is its own affair: <c>budget_tokens</c> is checked and otherwise left to <c>max_tokens</c>.
    /// </summary>
    private static bool? ReadThinking(Fields fields, out bool show)
    {
        const string Name = "thinking";
        const string Expected = "an object whose type is \"enabled\", \"adaptive\" or \"disabled\"";
        show = true;
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(Name, value, Expected);
        }

        var thinking = new Fields(value);
        show = thinking.Text("display") switch
        {
            null or "summarized" => true,
            "omitted" => false,
            var other =>
                throw ApiException.Invalid($"{Name}.display", $"{Name}.display must be \"summarized\" or \"omitted\", not \"{other}\"."),
        };
        switch (thinking.Text("type"))
        {
            case "enabled":
                thinking.Integer("budget_tokens", 1, int.MaxValue, "a whole number of at least 1");
                return true;
            case "adaptive":
                return true;
            case "disabled":
                return false;
            default:
                throw Fields.Wrong(Name, value, Expected);
        }
    }

    private static (AnswerFormat? Format, string? Effort) ReadOutputConfig(Fields fields)
    {
        const string Name = "output_config";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return (null, null);
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(Name, value, "an object such as {\"effort\": \"low\"}");
        }

        const string Efforts = "\"low\", \"medium\", \"high\", \"xhigh\" or \"max\"";
        var config = new Fields(value);
        string? effort = config.Text("effort");
        if (effort is not (null or "low" or "medium" or "high" or "xhigh" or "max"))
        {
            throw ApiException.Invalid($"{Name}.effort", $"{Name}.effort must be {Efforts}, not \"{effort}\".");
        }

        if (!config.TryGet("format", out JsonElement format))
        {
            return (null, effort);
        }

        return format.ValueKind == JsonValueKind.Object && new Fields(format) is var shape && shape.Text("type") is "json_schema"
            && shape.TryGet("schema", out JsonElement schema) && schema.ValueKind == JsonValueKind.Object
            ? (new JsonSchemaFormat($"{Name}.format.schema", schema.Clone()), effort)
            : throw Fields.Wrong($"{Name}.format", format, "{\"type\": \"json_schema\", \"schema\": {…}}");
    }
}
