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

    /// <param name="argumentsAsText">The template wants arguments as JSON text, not as an object.</param>
    /// <param name="shortIds">The template wants ids of nine letters and digits; others are replaced by such, call and result
    /// alike.</param>
    public static List<object?> Messages(IReadOnlyList<ChatTurn> turns, bool argumentsAsText, bool shortIds)
    {
        var names = turns.SelectMany(turn => turn.ToolCalls).GroupBy(call => call.Id)
            .ToDictionary(calls => calls.Key, calls => calls.Last().Name);
        return [.. turns.Select(turn => (object?)Message(turn, names, argumentsAsText, shortIds))];
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

    private static OrderedDictionary<string, object?> Message(ChatTurn turn, Dictionary<string, string> names, bool argumentsAsText,
        bool shortIds)
    {
        // Absent members matter: templates ask whether a message has them.
        var message = new OrderedDictionary<string, object?> { ["role"] = turn.Role, ["content"] = turn.Content };
        if (turn.Reasoning is { } reasoning)
        {
            message["reasoning_content"] = reasoning;
        }

        if ((turn.Name ?? (turn.ToolCallId is { } called ? names.GetValueOrDefault(called) : null)) is { } name)
        {
            message["name"] = name;
        }

        if (turn.ToolCallId is { } id)
        {
            message["tool_call_id"] = shortIds ? ShortId(id) : id;
        }

        if (turn.ToolCalls.Count > 0)
        {
            message["tool_calls"] = turn.ToolCalls.Select(call => (object?)new OrderedDictionary<string, object?>
            {
                ["id"] = shortIds ? ShortId(call.Id) : call.Id,
                ["type"] = "function",
                ["function"] = new OrderedDictionary<string, object?>
                {
                    ["name"] = call.Name,
                    ["arguments"] = argumentsAsText ? call.Arguments : Value(call.Arguments),
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

    private static string ShortId(string id) => id.Length == MistralIdLength && id.All(char.IsAsciiLetterOrDigit)
        ? id
        : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(id)))[..MistralIdLength];
}
