using System.Text.Json;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi.Responses;

/// <summary>Reads <c>tools</c> and <c>tool_choice</c>, whose functions are flatter than those of chat completions.</summary>
internal static class ResponseTools
{
    private static readonly JsonElement Auto = JsonDocument.Parse("\"auto\"").RootElement;

    /// <exception cref="ApiException">400, naming the tool.</exception>
    public static IReadOnlyList<Tool> Read(Fields fields)
    {
        const string Expected = "an array of up to 128 tools such as {\"type\": \"function\", \"name\": \"f\", \"parameters\": {…}}";
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
            string name = $"tools[{tools.Count}]";
            if (element.ValueKind != JsonValueKind.Object || new Fields(element) is var tool && tool.Text("type") is not { } type)
            {
                throw Fields.Wrong(name, element, "an object with a type");
            }

            if (type != "function")
            {
                throw ApiException.Invalid(
                    name, $"{name} is of type \"{type}\"; this server runs no tools of its own. Describe it as a function and run it "
                        + "yourself.", "unsupported_parameter");
            }

            Tool read = ToolFields.ReadFunction(element, name);
            tools.Add(tools.All(other => other.Name != read.Name)
                ? read
                : throw ApiException.Invalid($"{name}.name",
                    $"{name}.name is \"{read.Name}\", as is that of an earlier tool; names must differ."));
        }

        return tools;
    }

    /// <returns>The choice, and how the response repeats it.</returns>
    /// <exception cref="ApiException">400: no such choice, or of a tool that is not there.</exception>
    public static (ToolChoice Choice, JsonElement Echo) ReadChoice(Fields fields, IReadOnlyList<Tool> tools)
    {
        const string Expected =
            "\"auto\", \"none\", \"required\", {\"type\": \"function\", \"name\": …} or {\"type\": \"allowed_tools\", …}";
        const string Name = "tool_choice";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return (ToolChoice.Auto, Auto);
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return Fields.Text(value, Name, Expected) switch
            {
                "auto" => (ToolChoice.Auto, value.Clone()),
                "none" => (ToolChoice.None, value.Clone()),
                "required" => (Checked(ToolChoice.Required), value.Clone()),
                _ => throw Fields.Wrong(Name, value, Expected),
            };
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(Name, value, Expected);
        }

        var choice = new Fields(value);
        return choice.Text("type") switch
        {
            "function" => (Checked(ToolChoice.Named(Known(choice))), value.Clone()),
            "allowed_tools" => (Checked(ReadAllowed(choice)), value.Clone()),
            var type => throw ApiException.Invalid(
                Name, $"{Name} is of type \"{type}\"; this server runs no tools of its own: {Name} must be {Expected}.",
                "unsupported_parameter"),
        };

        ToolChoice Checked(ToolChoice wanted) => tools.Count > 0 || wanted.Mode != ToolChoiceMode.Required
            ? wanted
            : throw ApiException.Invalid(Name, $"{Name} asks for a call, but tools is empty; send tools or leave {Name} out.");

        string Known(Fields named) => named.Text("name") is { } function && tools.Any(tool => tool.Name == function)
            ? function
            : throw ApiException.Invalid(Name, $"{Name} names the function \"{named.Text("name")}\", which is not in tools.");

        ToolChoice ReadAllowed(Fields allowed)
        {
            if (!allowed.TryGet("tools", out JsonElement list) || list.ValueKind != JsonValueKind.Array)
            {
                throw ApiException.Invalid($"{Name}.tools", $"{Name}.tools must be an array of {{\"type\": \"function\", \"name\": …}}.");
            }

            string[] names = [.. list.EnumerateArray()
                .Select(item =>
                    item.ValueKind == JsonValueKind.Object
                    ? Known(new Fields(item)) : throw Fields.Wrong($"{Name}.tools", item, "an object"))];
            return allowed.Text("mode") switch
            {
                "auto" => new ToolChoice(ToolChoiceMode.Auto, names),
                "required" => new ToolChoice(ToolChoiceMode.Required, names),
                var mode => throw ApiException.Invalid($"{Name}.mode", $"{Name}.mode must be \"auto\" or \"required\", not \"{mode}\"."),
            };
        }
    }
}
