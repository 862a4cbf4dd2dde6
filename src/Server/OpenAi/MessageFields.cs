using System.Text;
using System.Text.Json;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi;

/// <summary><c>messages</c> of a chat request, checked.</summary>
public static class MessageFields
{
    private const string Parts = "a string or an array of {\"type\": \"text\", \"text\": …} parts";

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static IReadOnlyList<ChatTurn> Read(Fields fields)
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
        const string Roles = "\"system\", \"developer\", \"user\", \"assistant\" or \"tool\"";
        if (!fields.TryGet("role", out JsonElement role))
        {
            throw ApiException.Invalid($"{name}.role", $"{name}.role is missing; it must be {Roles}.");
        }

        string who = Fields.Text(role, $"{name}.role", Roles) switch
        {
            "system" or "developer" => "system",
            "user" => "user",
            "assistant" => "assistant",
            "tool" => "tool",
            "function" => throw ApiException.Invalid($"{name}.role",
                $"{name}.role \"function\" is deprecated and not supported by this server; use \"tool\".", "unsupported_parameter"),
            _ => throw Fields.Wrong($"{name}.role", role, Roles),
        };
        string? speaker = TextOf(fields, "name", name);
        return who switch
        {
            "assistant" => ReadAssistant(fields, name) with { Name = speaker },
            "tool" => new ChatTurn(who, ReadContent(fields, name, who)) { Name = speaker, ToolCallId = ReadToolCallId(fields, name) },
            _ => new ChatTurn(who, ReadContent(fields, name, who)) { Name = speaker },
        };
    }

    private static string ReadToolCallId(Fields fields, string name) => TextOf(fields, "tool_call_id", name)
        ?? throw ApiException.Invalid($"{name}.tool_call_id",
            $"{name}.tool_call_id is missing; a tool's message names the call that it answers.");

    private static ChatTurn ReadAssistant(Fields fields, string name)
    {
        foreach ((string field, string remedy) in (ReadOnlySpan<(string, string)>)[("function_call", "use tool_calls"),
            ("audio", "this server reads text only")])
        {
            if (fields.TryGet(field, out _))
            {
                throw ApiException.Invalid($"{name}.{field}", $"{name}.{field} is not supported; {remedy}.", "unsupported_parameter");
            }
        }

        IReadOnlyList<ToolCall> calls = ReadCalls(fields, name);
        string? refusal = TextOf(fields, "refusal", name);
        string content = fields.TryGet("content", out _) || (calls.Count == 0 && refusal is null)
            ? ReadContent(fields, name, "assistant") : "";
        return new ChatTurn("assistant", content.Length == 0 ? refusal ?? "" : content)
        {
            ToolCalls = calls,
            Reasoning = TextOf(fields, "reasoning_content", name) ?? TextOf(fields, "reasoning", name),
        };
    }

    private static IReadOnlyList<ToolCall> ReadCalls(Fields message, string name)
    {
        name += ".tool_calls";
        const string Expected = "an array of {\"id\": …, \"type\": \"function\", \"function\": {\"name\": …, \"arguments\": \"…\"}}";
        if (!message.TryGet("tool_calls", out JsonElement value))
        {
            return [];
        }

        return value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select((call, i) => ReadCall(call, $"{name}[{i}]"))]
            : throw Fields.Wrong(name, value, Expected);
    }

    private static ToolCall ReadCall(JsonElement value, string name)
    {
        if (value.ValueKind != JsonValueKind.Object || !new Fields(value).TryGet("function", out JsonElement function)
            || function.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(name, value, "an object with id, type and function");
        }

        var call = new Fields(value);
        if (TextOf(call, "type", name) is { } type && type != "function")
        {
            throw ApiException.Invalid($"{name}.type", $"{name}.type is \"{type}\"; this server has tools of type \"function\" only.",
                "unsupported_parameter");
        }

        string Needed(Fields fields, string field, string path) => TextOf(fields, field, path)
            ?? throw ApiException.Invalid($"{path}.{field}", $"{path}.{field} is missing; it must be a string.");

        var parts = new Fields(function);
        return new ToolCall(
            Needed(call, "id", name), Needed(parts, "name", $"{name}.function"),
            Needed(parts, "arguments", $"{name}.function") is { Length: > 0 } text ? text : "{}");
    }

    private static string ReadContent(Fields message, string name, string role)
    {
        name += ".content";
        if (!message.TryGet("content", out JsonElement content))
        {
            throw ApiException.Invalid(name, $"{name} is missing; it must be {Parts}.");
        }

        if (content.ValueKind != JsonValueKind.Array)
        {
            return Fields.Text(content, name, Parts);
        }

        var text = new StringBuilder();
        foreach (JsonElement part in content.EnumerateArray())
        {
            if (part.ValueKind != JsonValueKind.Object || new Fields(part).Text("type") is not { } type)
            {
                throw Fields.Wrong(name, part, Parts);
            }

            if (type != "text" && !(type == "refusal" && role == "assistant"))
            {
                throw ApiException.Invalid(name, $"{name} holds a part of type \"{type}\"; this server reads text only.",
                    "unsupported_parameter");
            }

            text.Append(TextOf(new Fields(part), type, name)
                ?? throw ApiException.Invalid(name, $"{name} holds a {type} part without {type}."));
        }

        return text.ToString();
    }

    /// <param name="path">The object that holds the field, for the error.</param>
    private static string? TextOf(Fields fields, string field, string path) =>
        fields.TryGet(field, out JsonElement value) ? Fields.Text(value, $"{path}.{field}", "a string") : null;
}
