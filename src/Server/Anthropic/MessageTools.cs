using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Anthropic;

/// <summary>Reads <c>tools</c> and <c>tool_choice</c>.</summary>
internal static class MessageTools
{
    /// <exception cref="ApiException">400: two tools of one name.</exception>
    public static OfferedTools Read(Fields fields)
    {
        var offered = new OfferedTools();
        foreach ((int i, JsonElement element) in fields.List("tools").Index())
        {
            var tool = new Fields(element);
            if (tool.Text("type") is { } type and not "custom")
            {
                offered.LeaveOut($"tools[{i}]", type, tool.Text("name"), "this server runs no tools of its own.");
            }
            else
            {
                offered.AddFunction(tool, $"tools[{i}]", "input_schema");
            }
        }

        return offered;
    }

    /// <returns>The choice, and whether several tools may be called at once.</returns>
    /// <exception cref="ApiException">400: of a tool that is not there.</exception>
    public static (ToolChoice Choice, bool Parallel) ReadChoice(Fields fields, OfferedTools offered)
    {
        Fields choice = fields.Object("tool_choice");
        ToolChoice read = choice.Text("type") == "tool"
            ? offered.Choose(ToolChoiceMode.Required, [choice.Text("name")!])
            : offered.Choose(ToolFields.ModeOf(choice.Text("type")));
        return (read, choice.Flag("disable_parallel_tool_use") is not true);
    }
}
