using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi.Responses;

/// <summary>
/// Reads <c>input</c>, which the table has checked: a text, or a list of items. What an assistant thought, said and called stands in
/// several items; here it becomes one turn.
/// </summary>
internal sealed class ResponseInput
{
    private readonly List<ChatTurn> _turns = [];
    private readonly Dictionary<string, string> _calls = [];
    private readonly ContentParts _parts = new();
    private string? _reasoning;

    /// <exception cref="ApiException">400, naming the item.</exception>
    public static IReadOnlyList<ChatTurn> Read(Fields fields)
    {
        fields.TryGet("input", out JsonElement input);
        if (input.ValueKind == JsonValueKind.String)
        {
            return [new ChatTurn("user", input.GetString()!)];
        }

        var reader = new ResponseInput();
        foreach ((int i, JsonElement item) in input.EnumerateArray().Index())
        {
            reader.Add(new Fields(item), $"input[{i}]");
        }

        reader._parts.CheckLast();
        return reader._turns;
    }

    private void Add(Fields item, string name)
    {
        switch (item.Text("type") ?? "message")
        {
            case "message":
                AddMessage(item, name);
                break;
            case "reasoning":
                // What another server has encrypted is passed over.
                _reasoning += string.Concat(item.List("content").Select(part => new Fields(part).Text("text")));
                break;
            case "function_call":
                AddCall(new ToolCall(item.Text("call_id")!, ToolName(item), item.Text("arguments")!));
                break;
            case "custom_tool_call":
                AddCall(new ToolCall(item.Text("call_id")!, ToolName(item), CustomInput.Arguments(item.Text("input")!)));
                break;
            case "function_call_output" or "custom_tool_call_output":
                item.TryGet("output", out JsonElement output);
                AddResult(item.Text("call_id")!, _parts.Read(output, $"{name}.output", "tool"), name);
                break;
            case var call when BuiltInTools.Calls.Contains(call):
                AddCall(BuiltInTools.ReadCall(item, call, name));
                if (BuiltInTools.ReadResult(item) is { } result)
                {
                    AddResult(_turns[^1].ToolCalls[^1].Id, result, name);
                }

                break;
            case var other when BuiltInTools.Outputs.Contains(other):
                AddResult(item.Text("call_id")!, item.TryGet("output", out JsonElement found) ? BuiltInTools.ReadOutput(found) : "", name);
                break;
        }
    }

    private static string ToolName(Fields call) => OfferedTools.NameOf(call.Text("name")!, call.Text("namespace"));

    private void AddMessage(Fields item, string name)
    {
        string role = item.Text("role")!;
        item.TryGet("content", out JsonElement value);
        string content = _parts.Read(value, $"{name}.content", role);
        if (role != "assistant")
        {
            _reasoning = null;
            _turns.Add(new ChatTurn(role == "developer" ? "system" : role, content));
        }
        else if (Spoken is { ToolCalls.Count: > 0, Content: "" } calls && _reasoning is null)
        {
            _turns[^1] = calls with { Content = content };
        }
        else
        {
            _turns.Add(new ChatTurn(role, content) { Reasoning = TakeReasoning() });
        }
    }

    private void AddCall(ToolCall call)
    {
        _calls[call.Id] = call.Name;
        ChatTurn turn = _reasoning is null && Spoken is { } spoken ? spoken : new ChatTurn("assistant", "") { Reasoning = TakeReasoning() };
        if (!ReferenceEquals(turn, Spoken))
        {
            _turns.Add(turn);
        }

        _turns[^1] = turn with { ToolCalls = [.. turn.ToolCalls, call] };
    }

    private void AddResult(string id, string output, string name)
    {
        if (!_calls.TryGetValue(id, out string? function))
        {
            throw ApiException.Invalid(
                $"{name}.call_id", $"{name}.call_id is \"{id}\", but no function_call before it has that call_id; send the call together "
                    + "with its output.");
        }

        _reasoning = null;
        _turns.Add(new ChatTurn("tool", output) { ToolCallId = id, Name = function });
    }

    /// <summary>The turn before, if it is an assistant's.</summary>
    private ChatTurn? Spoken => _turns.Count > 0 && _turns[^1].Role == "assistant" ? _turns[^1] : null;

    private string? TakeReasoning()
    {
        string? reasoning = _reasoning is "" ? null : _reasoning;
        _reasoning = null;
        return reasoning;
    }
}
