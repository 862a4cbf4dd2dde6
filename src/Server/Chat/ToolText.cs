using System.Text;
using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>
/// Tools in a conversation whose template knows nothing of them: told of in the system text, calls and results as text, in the words of
/// Qwen's and Hermes' own templates.
/// </summary>
internal static class ToolText
{
    /// <returns>Turns of the roles "system", "user" and "assistant" alone.</returns>
    public static IReadOnlyList<ChatTurn> Write(IReadOnlyList<ChatTurn> turns, IReadOnlyList<Tool> tools, ToolSyntax syntax)
    {
        var written = new List<ChatTurn>();
        if (tools.Count > 0)
        {
            string system = turns is [{ Role: "system" } first, ..] ? first.Content + "\n\n" : "";
            written.Add(new ChatTurn("system", system + Instructions(tools, syntax)));
            turns = system.Length > 0 ? [.. turns.Skip(1)] : turns;
        }

        for (int i = 0; i < turns.Count; i++)
        {
            ChatTurn turn = turns[i];
            string result = $"<tool_response>\n{turn.Content}\n</tool_response>";
            if (turn.Role == "tool" && i > 0 && turns[i - 1].Role == "tool")
            {
                written[^1] = written[^1] with { Content = $"{written[^1].Content}\n{result}" };
            }
            else
            {
                written.Add(turn.Role == "tool" ? new ChatTurn("user", result)
                    : turn.ToolCalls.Count == 0 ? turn
                    : Spoken(turn, syntax));
            }
        }

        return written;
    }

    /// <summary>Calls as text, in the model's own way; tools and results stay with the template.</summary>
    public static IReadOnlyList<ChatTurn> WriteCalls(IReadOnlyList<ChatTurn> turns, ToolSyntax syntax) =>
        [.. turns.Select(turn => turn.ToolCalls.Count == 0 ? turn : Spoken(turn, syntax) with { Reasoning = turn.Reasoning })];

    /// <summary>What an assistant said, and the calls behind it.</summary>
    private static ChatTurn Spoken(ChatTurn turn, ToolSyntax syntax) => new(turn.Role, string.Join("\n",
        ((IEnumerable<string>)[turn.Content, syntax.Write(turn.ToolCalls)]).Where(part => part.Length > 0)));

    private static string Instructions(IReadOnlyList<Tool> tools, ToolSyntax syntax)
    {
        var text = new StringBuilder(
            "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures "
                + "within <tools></tools> XML tags:\n<tools>\n");
        foreach (Tool tool in tools)
        {
            text.Append("{\"type\": \"function\", \"function\": {\"name\": ").Append(Quote(tool.Name));
            if (tool.Description is { } description)
            {
                text.Append(", \"description\": ").Append(Quote(description));
            }

            text.Append(", \"parameters\": ").Append(tool.Parameters.GetRawText()).Append("}}\n");
        }

        return text.Append("</tools>\n\nTo call a function, answer with its name and arguments in this form:\n").Append(syntax.Example)
            .ToString();
    }

    private static string Quote(string text) => JsonSerializer.Serialize(text, ToolSyntax.Readable);
}
