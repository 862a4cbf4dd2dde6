using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>The tools of a chat request: <c>tools</c>, <c>tool_choice</c>, <c>parallel_tool_calls</c>, and their older names.</summary>
/// <param name="Older">Calls are answered as <c>function_call</c>: one at most.</param>
internal sealed record ToolFields(OfferedTools Offered, ToolChoice Choice, bool Parallel, bool Older)
{
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ToolFields Read(Fields fields)
    {
        var offered = new OfferedTools();
        foreach ((int i, JsonElement tool) in fields.List("tools").Index())
        {
            Add(offered, new Fields(tool), $"tools[{i}]");
        }

        foreach ((int i, JsonElement function) in fields.List("functions").Index())
        {
            offered.AddFunction(new Fields(function), $"functions[{i}]", "parameters");
        }

        bool older = fields.Has("functions") && !fields.Has("tools");
        string field = fields.Has("tool_choice") ? "tool_choice" : "function_call";
        ToolChoice choice = fields.TryGet(field, out JsonElement value) ? ReadChoice(value, offered) : ToolChoice.Auto;
        return new ToolFields(offered, choice, !older && fields.Flag("parallel_tool_calls") is not false, older);
    }

    private static ToolChoice ReadChoice(JsonElement value, OfferedTools offered)
    {
        if (value.ValueKind == JsonValueKind.String)
        {
            return offered.Choose(ModeOf(value.GetString()));
        }

        var choice = new Fields(value);
        switch (choice.Text("type"))
        {
            case "allowed_tools":
                Fields allowed = choice.Object("allowed_tools");
                return offered.Choose(ModeOf(allowed.Text("mode")), [.. allowed.List("tools").Select(tool => NameIn(new Fields(tool)))]);
            case "function" or "custom":
                return offered.Choose(ToolChoiceMode.Required, [NameIn(choice)]);
            default:
                return offered.Choose(ToolChoiceMode.Required, [choice.Text("name")!], "function_call");
        }
    }

    /// <param name="mode">Null: the model decides.</param>
    internal static ToolChoiceMode ModeOf(string? mode) => mode switch
    {
        "none" => ToolChoiceMode.None,
        "required" or "any" => ToolChoiceMode.Required,
        _ => ToolChoiceMode.Auto,
    };

    private static void Add(OfferedTools offered, Fields tool, string path)
    {
        if (tool.Text("type") == "function")
        {
            offered.AddFunction(tool.Object("function"), $"{path}.function", "parameters");
            return;
        }

        Fields custom = tool.Object("custom");
        string? regex = custom.Object("format").Object("grammar").Text("definition");
        offered.AddCustom(custom, $"{path}.custom", regex, ".format.grammar.definition");
    }

    private static string NameIn(Fields named) => named.Object(named.Text("type")!).Text("name")!;
}
