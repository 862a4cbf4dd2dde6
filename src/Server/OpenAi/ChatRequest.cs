using System.Text;
using System.Text.Json;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;

namespace Understory.Server.OpenAi;

/// <param name="Role">"system", "user" or "assistant".</param>
public sealed record ChatTurn(string Role, string Content);

/// <summary>The body of <c>POST /v1/chat/completions</c>, checked.</summary>
/// <param name="TopLogProbs">-1: none wanted; else how many alternatives beside the chosen token, up to 20.</param>
/// <param name="TemplateVariables"><c>chat_template_kwargs</c>: further variables for the model's template, such as <c>enable_thinking</c>.</param>
public sealed record ChatRequest(
    string? Model, IReadOnlyList<ChatTurn> Messages, int TopLogProbs, IReadOnlyDictionary<string, object?> TemplateVariables, GenerationFields Generation)
{
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ChatRequest Read(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation) => new(
        fields.Text("model"),
        ReadMessages(fields),
        ReadLogProbs(fields),
        ReadTemplateVariables(fields),
        GenerationFields.Read(fields, defaults, vocabulary, speculation));

    private static Dictionary<string, object?> ReadTemplateVariables(Fields fields)
    {
        const string Name = "chat_template_kwargs";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(Name, value, "an object of variables for the chat template");
        }

        try
        {
            return new Dictionary<string, object?>((IReadOnlyDictionary<string, object?>)ChatTemplate.FromJson(value)!);
        }
        catch (ChatTemplateException error)
        {
            throw new ApiException(400, $"{Name}: {error.Message}", Name);
        }
    }

    private static int ReadLogProbs(Fields fields)
    {
        int? top = fields.Integer("top_logprobs", 0, 20, "a whole number from 0 to 20");
        if (fields.Flag("logprobs") is true)
        {
            return top ?? 0;
        }

        return top is null or 0
            ? -1
            : throw ApiException.Invalid("top_logprobs", "top_logprobs needs \"logprobs\": true beside it.");
    }

    private static IReadOnlyList<ChatTurn> ReadMessages(Fields fields)
    {
        const string Expected = "an array of at least one message such as {\"role\": \"user\", \"content\": \"Hello\"}";
        if (!fields.TryGet("messages", out JsonElement value))
        {
            throw ApiException.Invalid("messages", $"messages is missing; it must be {Expected}.");
        }

        return value.ValueKind == JsonValueKind.Array && value.GetArrayLength() > 0
            ? [.. value.EnumerateArray().Select(ReadMessage)]
            : throw Fields.Wrong("messages", value, Expected);
    }

    private static ChatTurn ReadMessage(JsonElement message, int index)
    {
        string name = $"messages[{index}]";
        if (message.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(name, message, "an object with role and content");
        }

        var fields = new Fields(message);
        const string Roles = "\"system\", \"developer\", \"user\" or \"assistant\"";
        if (!fields.TryGet("role", out JsonElement role))
        {
            throw ApiException.Invalid($"{name}.role", $"{name}.role is missing; it must be {Roles}.");
        }

        string who = Fields.Text(role, $"{name}.role", Roles) switch
        {
            "system" or "developer" => "system",
            "user" => "user",
            "assistant" => "assistant",
            _ => throw Fields.Wrong($"{name}.role", role, Roles),
        };
        if (fields.TryGet("tool_calls", out JsonElement calls) && !(calls.ValueKind == JsonValueKind.Array && calls.GetArrayLength() == 0))
        {
            throw ApiException.Invalid($"{name}.tool_calls", "tool_calls are not supported by this server; leave them out.", "unsupported_parameter");
        }

        return new ChatTurn(who, ReadContent(fields, name));
    }

    private static string ReadContent(Fields message, string name)
    {
        const string Expected = "a string or an array of {\"type\": \"text\", \"text\": …} parts";
        name += ".content";
        if (!message.TryGet("content", out JsonElement content))
        {
            throw ApiException.Invalid(name, $"{name} is missing; it must be {Expected}.");
        }

        if (content.ValueKind != JsonValueKind.Array)
        {
            return Fields.Text(content, name, Expected);
        }

        var text = new StringBuilder();
        foreach (JsonElement part in content.EnumerateArray())
        {
            if (part.ValueKind != JsonValueKind.Object || new Fields(part).Text("type") is not { } type)
            {
                throw Fields.Wrong(name, part, Expected);
            }

            if (type != "text")
            {
                throw ApiException.Invalid(name, $"{name} holds a part of type \"{type}\"; this server reads text only.", "unsupported_parameter");
            }

            text.Append(new Fields(part).Text("text") ?? throw ApiException.Invalid(name, $"{name} holds a text part without text."));
        }

        return text.ToString();
    }
}
