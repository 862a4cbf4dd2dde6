using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi.Responses;

/// <summary>Reads <c>tools</c> and <c>tool_choice</c>, whose functions are flatter than those of chat completions.</summary>
internal static class ResponseTools
{
    private static readonly JsonElement Auto = JsonDocument.Parse("\"auto\"").RootElement;

    /// <exception cref="ApiException">400: two tools of one name.</exception>
    public static OfferedTools Read(Fields fields)
    {
        var offered = new OfferedTools();
        foreach ((int i, JsonElement tool) in fields.List("tools").Index())
        {
            Add(offered, new Fields(tool), $"tools[{i}]", null);
        }

        return offered;
    }

    /// <returns>The choice, and how the response repeats it.</returns>
    /// <exception cref="ApiException">400: of a tool that is not there.</exception>
    public static (ToolChoice Choice, JsonElement Echo) ReadChoice(Fields fields, OfferedTools offered)
    {
        if (!fields.TryGet("tool_choice", out JsonElement value))
        {
            return (ToolChoice.Auto, Auto);
        }

        var choice = new Fields(value.ValueKind == JsonValueKind.Object ? value : default);
        ToolChoice read = value.ValueKind == JsonValueKind.String ? offered.Choose(ToolFields.ModeOf(value.GetString()))
            : choice.Text("type") == "allowed_tools"
            ? offered.Choose(ToolFields.ModeOf(choice.Text("mode")), [.. choice.List("tools").Select(tool => NameIn(new Fields(tool)))])
            : offered.Choose(ToolChoiceMode.Required, [NameIn(choice)]);
        return (read, value.Clone());
    }

    private static void Add(OfferedTools offered, Fields tool, string path, string? space)
    {
        string type = tool.Text("type")!;
        switch (type)
        {
            case "function":
                offered.AddFunction(tool, path, "parameters", space);
                break;
            case "custom" when tool.Object("format").Text("syntax") == "lark":
                offered.LeaveOut(path, type, tool.Text("name"), "its grammar is of a kind that this server does not hold text to.");
                break;
            case "custom":
                offered.AddCustom(tool, path, tool.Object("format").Text("definition"), ".format.definition", space);
                break;
            case "namespace":
                foreach ((int i, JsonElement inner) in tool.List("tools").Index())
                {
                    Add(offered, new Fields(inner), $"{path}.tools[{i}]", tool.Text("name"));
                }

                break;
            default:
                offered.LeaveOut(path, type, tool.Text("name"), "this server runs no tools of its own.");
                break;
        }
    }

    /// <summary>What the model knows the tool by; of a built-in one, its type.</summary>
    private static string NameIn(Fields named) =>
        named.Text("name") is { } name ? OfferedTools.NameOf(name, named.Text("namespace")) : named.Text("type")!;
}
