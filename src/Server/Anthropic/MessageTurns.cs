using System.Text;
using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Anthropic;

/// <summary>
/// Reads <c>system</c> and <c>messages</c>, which the table has checked: blocks of text, thoughts, calls of tools and their results become
/// turns.
/// </summary>
internal sealed class MessageTurns
{
    private readonly List<ChatTurn> _turns = [];
    private readonly Dictionary<string, string> _calls = [];
    private readonly ContentParts _parts = new();

    /// <summary>Blocks in an assistant's turn that tell what a tool of another server gave.</summary>
    public static string[] ServerResults { get; } =
    [
        "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result", "mcp_tool_result", "tool_search_tool_result", "advisor_tool_result",
    ];

    /// <exception cref="ApiException">400, naming the block.</exception>
    public static IReadOnlyList<ChatTurn> Read(Fields fields)
    {
        var reader = new MessageTurns();
        if (fields.TryGet("system", out JsonElement system))
        {
            reader._turns.Add(new ChatTurn("system", reader.ReadText(system, "system", "system", "\n")));
        }

        foreach ((int i, JsonElement message) in fields.List("messages").Index())
        {
            reader.Add(new Fields(message), $"messages[{i}].content");
        }

        reader._parts.CheckLast();
        return reader._turns[^1] is not { Role: "assistant", ToolCalls.Count: > 0 } ? reader._turns : throw ApiException.Invalid(
            "messages", "messages ends with a call of a tool; send its result, in a tool_result block of the user's.");
    }

    private void Add(Fields message, string name)
    {
        string role = message.Text("role")!;
        message.TryGet("content", out JsonElement content);
        switch (role)
        {
            case "user" when content.ValueKind == JsonValueKind.Array:
                AddUser(content, name);
                break;
            case "assistant" when content.ValueKind == JsonValueKind.Array:
                AddAssistant(content);
                break;
            default:
                _turns.Add(new ChatTurn(role, ReadText(content, name, role)));
                break;
        }
    }

    /// <summary>Results of tools are turns of their own; text between them is the user's.</summary>
    private void AddUser(JsonElement blocks, string name)
    {
        _parts.BeginUser();
        StringBuilder? text = null;
        foreach ((int i, JsonElement block) in blocks.EnumerateArray().Index())
        {
            if (block.GetProperty("type").GetString() == "tool_result")
            {
                Flush();
                AddResult(new Fields(block), $"{name}[{i}]");
            }
            else
            {
                (text ??= new StringBuilder()).Append(ReadBlock(new Fields(block), $"{name}[{i}]", "user"));
            }
        }

        Flush();

        void Flush()
        {
            if (text is not null)
            {
                _turns.Add(new ChatTurn("user", text.ToString()));
            }

            text = null;
        }
    }

    /// <summary>What tools of another server gave stands between parts of one turn: it becomes a turn of its own.</summary>
    private void AddAssistant(JsonElement blocks)
    {
        var text = new StringBuilder();
        string reasoning = "";
        var calls = new List<ToolCall>();
        bool told = false;
        foreach (JsonElement element in blocks.EnumerateArray())
        {
            var block = new Fields(element);
            switch (block.Text("type")!)
            {
                case "text":
                    text.Append(block.Text("text"));
                    break;
                case "compaction":
                    text.Append(block.Text("content"));
                    break;
                case "thinking":
                    reasoning += block.Text("thinking");
                    break;
                case "tool_use" or "server_tool_use" or "mcp_tool_use":
                    block.TryGet("input", out JsonElement input);
                    calls.Add(new ToolCall(block.Text("id")!, block.Text("name")!, input.GetRawText()));
                    _calls[block.Text("id")!] = block.Text("name")!;
                    break;
                case var type when ServerResults.Contains(type):
                    Flush();
                    string id = block.Text("tool_use_id")!;
                    string result = !block.TryGet("content", out JsonElement content) ? ""
                        : content.ValueKind == JsonValueKind.String ? content.GetString()! : content.GetRawText();
                    _turns.Add(new ChatTurn("tool", result) { ToolCallId = id, Name = _calls.GetValueOrDefault(id) });
                    break;
                default:
                    // Another server's, and readable to it alone.
                    break;
            }
        }

        Flush();

        void Flush()
        {
            // Nothing has followed the last result.
            if (told && text.Length == 0 && calls.Count == 0 && reasoning.Length == 0)
            {
                return;
            }

            _turns.Add(new ChatTurn("assistant", text.ToString())
            {
                ToolCalls = [.. calls],
                Reasoning = reasoning.Length == 0 ? null : reasoning,
            });
            told = true;
            text.Clear();
            calls.Clear();
            reasoning = "";
        }
    }

    private void AddResult(Fields block, string name)
    {
        string id = block.Text("tool_use_id")!;
        if (!_calls.TryGetValue(id, out string? tool))
        {
            throw ApiException.Invalid(
                $"{name}.tool_use_id", $"{name}.tool_use_id is \"{id}\", but no tool_use block before it has that id; send the call "
                    + "together with its result.");
        }

        string text = block.TryGet("content", out JsonElement content) ? ReadText(content, $"{name}.content", "tool") : "";
        // Templates have no place for it beside the text.
        string result = block.Flag("is_error") is true ? $"Error: {text}" : text;
        _turns.Add(new ChatTurn("tool", result) { ToolCallId = id, Name = tool });
    }

    private string ReadText(JsonElement value, string name, string role, string between = "")
    {
        if (role == "user")
        {
            _parts.BeginUser();
        }

        return value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : string.Join(between, value.EnumerateArray().Select((block, i) => ReadBlock(new Fields(block), $"{name}[{i}]", role)));
    }

    private string ReadBlock(Fields block, string name, string role)
    {
        string type = block.Text("type")!;
        switch (type)
        {
            case "text":
                return block.Text("text")!;
            case "tool_reference":
                return block.Text("tool_name")!;
            case "search_result":
                string found = string.Concat(block.List("content").Select(text => new Fields(text).Text("text")));
                return $"{block.Text("title")} ({block.Text("source")})\n{found}\n";
            case "document" when ReadDocument(block.Object("source")) is { } document:
                return string.Concat(new[] { block.Text("title"), block.Text("context"), document }.OfType<string>().Select(line => line
                    + "\n"));
            default:
                return _parts.Note(type, name, role);
        }
    }

    /// <summary>The text of a document; null: it has none that can be read here.</summary>
    private static string? ReadDocument(Fields source) => source.Text("type") switch
    {
        "text" => source.Text("data") ?? "",
        "content" when source.TryGet("content", out JsonElement content) => content.ValueKind == JsonValueKind.String
            ? content.GetString()
            : string.Concat(content.EnumerateArray().Select(block =>
                block.TryGetProperty("text", out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString() : "")),
        _ => null,
    };
}
