using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>
/// Turns and tools as chat templates see them: in the shape that Hugging Face's transformers documents, which is OpenAI's.
/// </summary>
internal static class TemplateValues
{
    public const int MistralIdLength = 9;

    /// <summary>How a template wants its messages.</summary>
    /// <param name="ArgumentsAsText">Arguments as JSON text, not as an object.</param>
    /// <param name="ShortIds">Ids of nine letters and digits; others are replaced by such, call and result alike.</param>
    /// <param name="NamedIds">Ids that say function and number, as Kimi's models read a call's name from them.</param>
    /// <param name="NoContent">The content of a turn that only calls is none, not empty.</param>
    /// <param name="Thoughts">Where thoughts are.</param>
    public readonly record struct Wishes(bool ArgumentsAsText = false, bool ShortIds = false, bool NamedIds = false,
        bool NoContent = false, ThoughtPlace Thoughts = ThoughtPlace.Reasoning);

    /// <summary>Where a message has its thoughts.</summary>
    public enum ThoughtPlace
    {
        /// <summary><c>reasoning_content</c>.</summary>
        Reasoning,

        /// <summary><c>thinking</c>; beside calls in place of the content, which goes with them.</summary>
        Thinking,

        /// <summary>A part of the content, of the type <c>thinking</c>.</summary>
        Part,
    }

    public static List<object?> Messages(IReadOnlyList<ChatTurn> turns, Wishes wishes)
    {
        ToolCall[] calls = [.. turns.SelectMany(turn => turn.ToolCalls)];
        var known = calls.Select((call, number) => (call.Id, call.Name, Written: wishes.NamedIds ? $"functions.{call.Name}:{number}"
            : wishes.ShortIds ? ShortId(call.Id) : call.Id)).GroupBy(call => call.Id)
            .ToDictionary(same => same.Key, same => same.Last());
        return [.. turns.Select(turn => (object?)Message(turn, id => known.TryGetValue(id, out var call) ? (call.Name, call.Written)
            : (null, wishes.ShortIds ? ShortId(id) : id), wishes))];
    }

    public static List<object?> Tools(IReadOnlyList<Tool> tools) => [.. tools.Select(tool =>
    {
        var function = new OrderedDictionary<string, object?> { ["name"] = tool.Name };
        if (tool.Description is { } description)
        {
            function["description"] = description;
        }

        function["parameters"] = ChatTemplate.FromJson(tool.Parameters);
        return (object?)new OrderedDictionary<string, object?> { ["type"] = "function", ["function"] = function };
    })];

    /// <param name="callOf">By the id of a call: the function's name, null where it is not known, and the id as it is written.</param>
    private static OrderedDictionary<string, object?> Message(ChatTurn turn, Func<string, (string? Name, string Id)> callOf, Wishes wishes)
    {
        // Absent members matter: templates ask whether a message has them.
        bool isNone = wishes.NoContent && turn is { ToolCalls.Count: > 0, Content.Length: 0 };
        var message = new OrderedDictionary<string, object?> { ["role"] = turn.Role, ["content"] = isNone ? null : turn.Content };
        switch (wishes.Thoughts)
        {
            case ThoughtPlace.Thinking when turn.ToolCalls.Count > 0 && turn.Reasoning is not null:
                message["thinking"] = turn.Content.Length > 0 ? $"{turn.Reasoning}\n{turn.Content}" : turn.Reasoning;
                message["content"] = "";
                break;
            case ThoughtPlace.Thinking when turn.Reasoning is { } thinking:
                message["thinking"] = thinking;
                break;
            case ThoughtPlace.Part when turn.Reasoning is { } part:
                message["content"] = new List<object?>
                {
                    new OrderedDictionary<string, object?> { ["type"] = "thinking", ["thinking"] = part },
                    new OrderedDictionary<string, object?> { ["type"] = "text", ["text"] = turn.Content },
                };
                break;
            case ThoughtPlace.Reasoning when turn.Reasoning is { } reasoning:
                message["reasoning_content"] = reasoning;
                break;
        }

        if ((turn.Name ?? (turn.ToolCallId is { } called ? callOf(called).Name : null)) is { } name)
        {
            message["name"] = name;
        }

        if (turn.ToolCallId is { } id)
        {
            message["tool_call_id"] = callOf(id).Id;
        }

        if (turn.ToolCalls.Count > 0)
        {
            message["tool_calls"] = turn.ToolCalls.Select(call => (object?)new OrderedDictionary<string, object?>
            {
                ["id"] = callOf(call.Id).Id,
                ["type"] = "function",
                ["function"] = new OrderedDictionary<string, object?>
                {
                    ["name"] = call.Name,
                    ["arguments"] = wishes.ArgumentsAsText ? call.Arguments : Value(call.Arguments),
                },
            }).ToList();
        }

        return message;
    }

    /// <summary>Arguments as the object that they say; what a model wrote wrong stays text.</summary>
    private static object? Value(string arguments)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(arguments);
            return ChatTemplate.FromJson(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or ChatTemplateException)
        {
            return arguments;
        }
    }

    /// <summary>An id of nine letters and digits, the same for the same id.</summary>
    public static string ShortId(string id) => id.Length == MistralIdLength && id.All(char.IsAsciiLetterOrDigit)
        ? id
        : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(id)))[..MistralIdLength];
}
