using System.Text;
using System.Text.Json;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi.Responses;

/// <summary>
/// Reads <c>input</c>: a text, or a list of items. What an assistant thought, said and called stands in several items; here it becomes one
/// turn.
/// </summary>
internal sealed class ResponseInput
{
    private const string Expected = "a string or an array of items such as {\"role\": \"user\", \"content\": \"Hello\"}";

    private readonly List<ChatTurn> _turns = [];
    private readonly Dictionary<string, string> _calls = [];
    private string? _reasoning;

    /// <exception cref="ApiException">400, naming the item.</exception>
    public static IReadOnlyList<ChatTurn> Read(Fields fields)
    {
        if (!fields.TryGet("input", out JsonElement input))
        {
            throw ApiException.Invalid("input", $"input is missing; it must be {Expected}.");
        }

        if (input.ValueKind == JsonValueKind.String)
        {
            return [new ChatTurn("user", Fields.Text(input, "input", Expected))];
        }

        if (input.ValueKind != JsonValueKind.Array || input.GetArrayLength() == 0)
        {
            throw Fields.Wrong("input", input, Expected);
        }

        var reader = new ResponseInput();
        int index = 0;
        foreach (JsonElement item in input.EnumerateArray())
        {
            reader.Add(item, $"input[{index++}]");
        }

        return reader._turns;
    }

    private void Add(JsonElement element, string name)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(name, element, "an item such as {\"role\": \"user\", \"content\": \"Hello\"}");
        }

        var item = new Fields(element);
        switch (item.Text("type") ?? "message")
        {
            case "message":
                AddMessage(item, name);
                break;
            case "reasoning":
                _reasoning += ReadReasoning(item, name);
                break;
            case "function_call":
                AddCall(item, name);
                break;
            case "function_call_output":
                AddOutput(item, name);
                break;
            case "item_reference":
                throw ApiException.Invalid(name, $"{name} refers to an earlier item, but this server stores nothing; send the item itself.",
                    "unsupported_parameter");
            case var type:
                throw ApiException.Invalid(
                    name,
                    $"{name} is of type \"{type}\"; this server reads \"message\", \"function_call\", \"function_call_output\" and "
                        + "\"reasoning\".",
                    "unsupported_parameter");
        }
    }

    private void AddMessage(Fields item, string name)
    {
        const string Roles = "\"system\", \"developer\", \"user\" or \"assistant\"";
        if (!item.TryGet("role", out JsonElement role))
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
        string content = ReadContent(item, "content", $"{name}.content");
        if (who != "assistant")
        {
            _reasoning = null;
            _turns.Add(new ChatTurn(who, content));
        }
        else if (Spoken is { ToolCalls.Count: > 0, Content: "" } calls && _reasoning is null)
        {
            _turns[^1] = calls with { Content = content };
        }
        else
        {
            _turns.Add(new ChatTurn(who, content) { Reasoning = TakeReasoning() });
        }
    }

    private void AddCall(Fields item, string name)
    {
        string id = Required(item, "call_id", name);
        string function = Required(item, "name", name);
        string arguments = Required(item, "arguments", name);
        _calls[id] = function;
        ChatTurn turn = _reasoning is null && Spoken is { } spoken ? spoken : new ChatTurn("assistant", "") { Reasoning = TakeReasoning() };
        if (!ReferenceEquals(turn, Spoken))
        {
            _turns.Add(turn);
        }

        _turns[^1] = turn with { ToolCalls = [.. turn.ToolCalls, new ToolCall(id, function, arguments)] };
    }

    private void AddOutput(Fields item, string name)
    {
        string id = Required(item, "call_id", name);
        if (!_calls.TryGetValue(id, out string? function))
        {
            throw ApiException.Invalid(
                $"{name}.call_id", $"{name}.call_id is \"{id}\", but no function_call before it has that call_id; send the call together "
                    + "with its output.");
        }

        _reasoning = null;
        _turns.Add(new ChatTurn("tool", ReadContent(item, "output", $"{name}.output")) { ToolCallId = id, Name = function });
    }

    /// <summary>The turn before, if it is an assistant's.</summary>
    private ChatTurn? Spoken => _turns.Count > 0 && _turns[^1].Role == "assistant" ? _turns[^1] : null;

    private string? TakeReasoning()
    {
        string? reasoning = _reasoning is "" ? null : _reasoning;
        _reasoning = null;
        return reasoning;
    }

    /// <summary>What the model thought, where it is readable; what another server has encrypted is passed over.</summary>
    private static string ReadReasoning(Fields item, string name)
    {
        if (!item.TryGet("content", out JsonElement content))
        {
            return "";
        }

        if (content.ValueKind != JsonValueKind.Array)
        {
            throw Fields.Wrong($"{name}.content", content, "an array of {\"type\": \"reasoning_text\", \"text\": …} parts");
        }

        return string.Concat(content.EnumerateArray()
            .Select(part => part.ValueKind == JsonValueKind.Object ? new Fields(part).Text("text") : null));
    }

    private static string Required(Fields item, string field, string name) =>
        item.Text(field) ?? throw ApiException.Invalid($"{name}.{field}", $"{name}.{field} is missing; it must be a string.");

    private static string ReadContent(Fields item, string field, string name)
    {
        const string Parts = "a string or an array of {\"type\": \"input_text\", \"text\": …} parts";
        if (!item.TryGet(field, out JsonElement content))
        {
            throw ApiException.Invalid(name, $"{name} is missing; it must be {Parts}.");
        }

        if (content.ValueKind != JsonValueKind.Array)
        {
            return Fields.Text(content, name, Parts);
        }

        var text = new StringBuilder();
        foreach (JsonElement element in content.EnumerateArray())
        {
            if (element.ValueKind != JsonValueKind.Object || new Fields(element) is var part && part.Text("type") is not { } type)
            {
                throw Fields.Wrong(name, element, Parts);
            }

            text.Append(type switch
            {
                "input_text" or "output_text" or "text" => part.Text("text"),
                "refusal" => part.Text("refusal"),
                _ => throw ApiException.Invalid(name, $"{name} holds a part of type \"{type}\"; this server reads text only.",
                    "unsupported_parameter"),
            } ?? throw ApiException.Invalid(name, $"{name} holds a part of type \"{type}\" without text."));
        }

        return text.ToString();
    }
}
