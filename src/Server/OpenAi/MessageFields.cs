using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>Reads <c>messages</c> of a chat request, which the table has checked.</summary>
internal sealed class MessageFields
{
    private readonly ContentParts _parts = new();

    /// <summary>Of the call that an older client's message of role function answers.</summary>
    private string _lastCall = "";

    /// <exception cref="ApiException">400, naming the message.</exception>
    public static IReadOnlyList<ChatTurn> Read(Fields fields)
    {
        var reader = new MessageFields();
        ChatTurn[] turns =
            [.. fields.List("messages").Select((message, i) => reader.ReadMessage(new Fields(message), $"messages[{i}]"))];
        reader._parts.CheckLast();
        return turns[0].Role != "tool" ? turns : throw ApiException.Invalid("messages[0].role",
            "messages[0].role is that of a tool's result, which follows a call; begin with the conversation's first message.");
    }

    private ChatTurn ReadMessage(Fields message, string name)
    {
        string role = message.Text("role")!;
        string content = message.TryGet("content", out JsonElement value) ? _parts.Read(value, $"{name}.content", role) : "";
        string? speaker = message.Text("name");
        return role switch
        {
            "assistant" => ReadAssistant(message, content) with { Name = speaker },
            "tool" => new ChatTurn("tool", content) { Name = speaker, ToolCallId = message.Text("tool_call_id") },
            "function" => new ChatTurn("tool", content) { Name = speaker, ToolCallId = _lastCall },
            "developer" => new ChatTurn("system", content) { Name = speaker },
            _ => new ChatTurn(role, content) { Name = speaker },
        };
    }

    private ChatTurn ReadAssistant(Fields message, string content)
    {
        List<ToolCall> calls = [.. message.List("tool_calls").Select(call => ReadCall(new Fields(call)))];
        if (message.Has("function_call"))
        {
            Fields older = message.Object("function_call");
            _lastCall = $"call_{older.Text("name")}";
            calls.Add(new ToolCall(_lastCall, older.Text("name")!, Arguments(older)));
        }

        return new ChatTurn("assistant", content.Length == 0 ? message.Text("refusal") ?? "" : content)
        {
            ToolCalls = calls,
            Reasoning = message.Text("reasoning_content") ?? message.Text("reasoning"),
        };
    }

    private static ToolCall ReadCall(Fields call)
    {
        if (call.Text("type") == "custom")
        {
            Fields custom = call.Object("custom");
            return new ToolCall(call.Text("id")!, custom.Text("name")!, CustomInput.Arguments(custom.Text("input")!));
        }

        Fields function = call.Object("function");
        return new ToolCall(call.Text("id")!, function.Text("name")!, Arguments(function));
    }

    /// <summary>Text of JSON, or, as some clients have it, the object itself.</summary>
    private static string Arguments(Fields function)
    {
        function.TryGet("arguments", out JsonElement arguments);
        return arguments.ValueKind == JsonValueKind.Object ? arguments.GetRawText()
            : arguments.GetString() is { Length: > 0 } text ? text : "{}";
    }
}
