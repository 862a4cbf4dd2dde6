using System.Text;
using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.OpenAi;

namespace Understory.Server.Anthropic;

/// <summary>Reads <c>system</c> and <c>messages</c>: blocks of text, thoughts, calls of tools and their results become turns.</summary>
internal sealed class MessageTurns
{
    private readonly List<ChatTurn> _turns = [];
    private readonly Dictionary<string, string> _calls = [];

    /// <exception cref="ApiException">400, naming the block.</exception>
    public static IReadOnlyList<ChatTurn> Read(Fields fields)
    {
        const string Expected = "an array of at least one message such as {\"role\": \"user\", \"content\": \"Hello\"}";
        var reader = new MessageTurns();
        if (fields.TryGet("system", out JsonElement system))
        {
            reader._turns.Add(new ChatTurn("system", ReadText(system, "system", "\n")));
        }

        if (!fields.TryGet("messages", out JsonElement messages))
        {
            throw ApiException.Invalid("messages", $"messages is missing; it must be {Expected}.");
        }

        if (messages.ValueKind != JsonValueKind.Array || messages.GetArrayLength() == 0)
        {
            throw Fields.Wrong("messages", messages, Expected);
        }

        int index = 0;
        foreach (JsonElement message in messages.EnumerateArray())
        {
            reader.Add(message, $"messages[{index++}]");
        }

        return reader._turns[^1].Role != "assistant" ? reader._turns : throw ApiException.Invalid(
            "messages",
            "messages ends with a turn of the assistant, which this server does not continue; end with the user's, or send the beginning "
                + "as a prompt to /v1/completions.",
            "unsupported_parameter");
    }

    private void Add(JsonElement element, string name)
    {
        const string Roles = "\"user\", \"assistant\" or \"system\"";
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(name, element, "an object with role and content");
        }

        var message = new Fields(element);
        if (!message.TryGet("role", out JsonElement role))
        {
            throw ApiException.Invalid($"{name}.role", $"{name}.role is missing; it must be {Roles}.");
        }

        if (!message.TryGet("content", out JsonElement content))
        {
            throw ApiException.Invalid($"{name}.content", $"{name}.content is missing; it must be a string or an array of blocks.");
        }

        name += ".content";
        switch (Fields.Text(role, name, Roles))
        {
            case "user" when content.ValueKind == JsonValueKind.Array:
                AddUser(content, name);
                break;
            case "assistant" when content.ValueKind == JsonValueKind.Array:
                AddAssistant(content, name);
                break;
            case "user" or "assistant" or "system":
                _turns.Add(new ChatTurn(role.GetString()!, ReadText(content, name)));
                break;
            default:
                throw Fields.Wrong(name, role, Roles);
        }
    }

    /// <summary>Results of tools are turns of their own; text between them is the user's.</summary>
    private void AddUser(JsonElement blocks, string name)
    {
        StringBuilder? text = null;
        foreach ((Fields block, string type, string at) in Blocks(blocks, name))
        {
            switch (type)
            {
                case "text":
                    (text ??= new StringBuilder()).Append(TextOf(block, at));
                    break;
                case "tool_result":
                    Flush();
                    AddResult(block, at);
                    break;
                default:
                    throw Unread(type, at, "\"text\" and \"tool_result\"");
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

    private void AddAssistant(JsonElement blocks, string name)
    {
        var text = new StringBuilder();
        string? reasoning = null;
        var calls = new List<ToolCall>();
        foreach ((Fields block, string type, string at) in Blocks(blocks, name))
        {
            switch (type)
            {
                case "text":
                    text.Append(TextOf(block, at));
                    break;
                case "thinking":
                    reasoning += Required(block, "thinking", at);
                    break;
                case "redacted_thinking":
                    // Another server's, and readable to it alone.
                    break;
                case "tool_use":
                    calls.Add(ReadCall(block, at));
                    break;
                default:
                    throw Unread(type, at, "\"text\", \"thinking\" and \"tool_use\"");
            }
        }

        _turns.Add(new ChatTurn("assistant", text.ToString()) { ToolCalls = calls, Reasoning = reasoning is "" ? null : reasoning });
    }

    private ToolCall ReadCall(Fields block, string name)
    {
        string id = Required(block, "id", name);
        string tool = Required(block, "name", name);
        if (!block.TryGet("input", out JsonElement input) || input.ValueKind != JsonValueKind.Object)
        {
            throw ApiException.Invalid($"{name}.input", $"{name}.input must be an object: the arguments of the call.");
        }

        _calls[id] = tool;
        return new ToolCall(id, tool, input.GetRawText());
    }

    private void AddResult(Fields block, string name)
    {
        string id = Required(block, "tool_use_id", name);
        if (!_calls.TryGetValue(id, out string? tool))
        {
            throw ApiException.Invalid(
                $"{name}.tool_use_id", $"{name}.tool_use_id is \"{id}\", but no tool_use block before it has that id; send the call "
                    + "together with its result.");
        }

        string text = block.TryGet("content", out JsonElement content) ? ReadText(content, $"{name}.content") : "";
        // Templates have no place for it beside the text.
        string result = block.Flag("is_error") is true ? $"Error: {text}" : text;
        _turns.Add(new ChatTurn("tool", result) { ToolCallId = id, Name = tool });
    }

    private static string ReadText(JsonElement value, string name, string between = "") => value.ValueKind == JsonValueKind.Array
        ? string.Join(between, Blocks(value, name)
            .Select(block => block.Type == "text" ? TextOf(block.Block, block.Name) : throw Unread(block.Type, block.Name, "\"text\"")))
        : Fields.Text(value, name, "a string or an array of {\"type\": \"text\", \"text\": …} blocks");

    private static IEnumerable<(Fields Block, string Type, string Name)> Blocks(JsonElement blocks, string name)
    {
        int index = 0;
        foreach (JsonElement element in blocks.EnumerateArray())
        {
            string at = $"{name}[{index++}]";
            yield return element.ValueKind == JsonValueKind.Object && new Fields(element) is var block && block.Text("type") is { } type
                ? (block, type, at)
                : throw Fields.Wrong(at, element, "an object with a type");
        }
    }

    private static string TextOf(Fields block, string name) => Required(block, "text", name);

    private static string Required(Fields block, string field, string name) => block.TryGet(field, out JsonElement value)
        ? Fields.Text(value, $"{name}.{field}", "a string")
        : throw ApiException.Invalid($"{name}.{field}", $"{name}.{field} is missing; it must be a string.");

    private static ApiException Unread(string type, string name, string read) =>
        ApiException.Invalid(name, $"{name} is of type \"{type}\"; this server reads {read} here.", "unsupported_parameter");
}
