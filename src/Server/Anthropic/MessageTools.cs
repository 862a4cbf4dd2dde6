using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.OpenAi;

namespace Understory.Server.Anthropic;

/// <summary>Reads <c>tools</c> and <c>tool_choice</c>.</summary>
internal static class MessageTools
{
    /// <exception cref="ApiException">400, naming the tool.</exception>
    public static IReadOnlyList<Tool> Read(Fields fields)
    {
        const string Expected = "an array of up to 128 tools such as {\"name\": \"f\", \"description\": …, \"input_schema\": {…}}";
        if (!fields.TryGet("tools", out JsonElement value))
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > ToolFields.MostTools)
        {
            throw Fields.Wrong("tools", value, Expected);
        }

        var tools = new List<Tool>();
        foreach (JsonElement element in value.EnumerateArray())
        {
            Tool tool = ReadTool(element, $"tools[{tools.Count}]");
            tools.Add(tools.All(other => other.Name != tool.Name)
                ? tool
                : throw ApiException.Invalid("tools",
                    $"tools[{tools.Count}].name is \"{tool.Name}\", as is that of an earlier tool; names must differ."));
        }

        return tools;
    }

    /// <returns>The choice, and whether several tools may be called at once.</returns>
    /// <exception cref="ApiException">400: no such choice, or of a tool that is not there.</exception>
    public static (ToolChoice Choice, bool Parallel) ReadChoice(Fields fields, IReadOnlyList<Tool> tools)
    {
        const string Name = "tool_choice";
        const string Expected = "{\"type\": \"auto\"}, {\"type\": \"any\"}, {\"type\": \"none\"} or {\"type\": \"tool\", \"name\": …}";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return (ToolChoice.Auto, true);
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(Name, value, Expected);
        }

        var choice = new Fields(value);
        bool parallel = choice.Flag("disable_parallel_tool_use") is not true;
        switch (choice.Text("type"))
        {
            case "auto":
                return (ToolChoice.Auto, parallel);
            case "none":
                return (ToolChoice.None, parallel);
            case "any" when tools.Count > 0:
                return (ToolChoice.Required, parallel);
            case "any":
                throw ApiException.Invalid(Name, $"{Name} asks for a call, but tools is empty; send tools or leave {Name} out.");
            case "tool" when choice.Text("name") is { } tool && tools.Any(known => known.Name == tool):
                return (ToolChoice.Named(tool), parallel);
            case "tool":
                throw ApiException.Invalid($"{Name}.name", $"{Name}.name is \"{choice.Text("name")}\", which is not in tools.");
            default:
                throw Fields.Wrong(Name, value, Expected);
        }
    }

    private static Tool ReadTool(JsonElement element, string name)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(name, element, "an object with name and input_schema");
        }

        var tool = new Fields(element);
        if (tool.Text("type") is { } type and not "custom")
        {
            throw ApiException.Invalid(
                name, $"{name} is of type \"{type}\"; this server runs no tools of its own. Describe it with an input_schema and run it "
                    + "yourself.", "unsupported_parameter");
        }

        string title = ToolFields.CheckName(element, name);
        return tool.TryGet("input_schema", out JsonElement schema) && schema.ValueKind == JsonValueKind.Object
            ? new Tool(title, tool.Text("description"), schema.Clone(), tool.Flag("strict") ?? false)
            : throw ApiException.Invalid($"{name}.input_schema", $"{name}.input_schema must be a JSON schema: an object.");
    }
}
