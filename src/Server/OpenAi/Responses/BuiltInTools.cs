using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi.Responses;

/// <summary>
/// Items of tools that other servers run: none is run here, but a history that holds them is told to the model in full, as calls of
/// functions and their results.
/// </summary>
internal static class BuiltInTools
{
    private const string CallSuffix = "_call";

    public static string[] Calls { get; } =
    [
        "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "computer_call", "local_shell_call",
        "shell_call", "apply_patch_call", "mcp_call", "tool_search_call",
    ];

    public static string[] Outputs { get; } =
        ["computer_call_output", "local_shell_call_output", "shell_call_output", "apply_patch_call_output", "tool_search_output"];

    /// <summary>What is no part of the conversation.</summary>
    public static string[] PassedOver { get; } = ["mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "additional_tools"];

    /// <summary>A call in the way of a function's: its name, and as arguments what it was told to do.</summary>
    public static ToolCall ReadCall(Fields item, string type, string name)
    {
        string id = item.Text("call_id") ?? (item.TryGet("id", out JsonElement own) && own.ValueKind == JsonValueKind.String
            ? own.GetString()! : name);
        string tool = type == "mcp_call" && item.TryGet("name", out JsonElement called) && called.ValueKind == JsonValueKind.String
            ? called.GetString()! : type[..^CallSuffix.Length];
        foreach (string member in (ReadOnlySpan<string>)["action", "operation", "arguments"])
        {
            if (item.TryGet(member, out JsonElement told))
            {
                return new ToolCall(id, tool, told.ValueKind == JsonValueKind.Object ? told.GetRawText()
                    : told.ValueKind == JsonValueKind.String && JsonCallReader.IsObject(told.GetString()!) ? told.GetString()! : "{}");
            }
        }

        foreach (string member in (ReadOnlySpan<string>)["code", "queries"])
        {
            if (item.TryGet(member, out JsonElement told))
            {
                return new ToolCall(id, tool, $"{{\"{member}\": {told.GetRawText()}}}");
            }
        }

        return new ToolCall(id, tool, "{}");
    }

    /// <summary>What came of a call, where it stands in the call's own item; null: in another.</summary>
    public static string? ReadResult(Fields call)
    {
        if (call.Has("call_id"))
        {
            return null;
        }

        foreach (string member in (ReadOnlySpan<string>)["output", "results", "outputs", "error", "status"])
        {
            if (call.TryGet(member, out JsonElement found))
            {
                return ReadOutput(found);
            }
        }

        return "";
    }

    /// <summary>A text as it is, anything else as JSON.</summary>
    public static string ReadOutput(JsonElement output) =>
        output.ValueKind == JsonValueKind.String ? output.GetString()! : output.GetRawText();
}
