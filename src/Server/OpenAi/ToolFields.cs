using System.Text.Json;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi;

/// <summary><c>tools</c>, <c>tool_choice</c> and <c>parallel_tool_calls</c> of a chat request, checked.</summary>
public sealed record ToolFields(IReadOnlyList<Tool> Tools, ToolChoice Choice, bool Parallel)
{
    public const int MostTools = 128;
    private const int LongestName = 64;

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ToolFields Read(Fields fields)
    {
        Tool[] tools = ReadTools(fields);
        ToolChoice choice = ReadChoice(fields, tools);
        return new ToolFields(tools, choice, fields.Flag("parallel_tool_calls") ?? true);
    }

    private static Tool[] ReadTools(Fields fields)
    {
        const string Expected = "an array of tools such as {\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {…}}}";
        if (!fields.TryGet("tools", out JsonElement value))
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            throw Fields.Wrong("tools", value, Expected);
        }

        if (value.GetArrayLength() > MostTools)
        {
            throw ApiException.Invalid("tools", $"tools holds {value.GetArrayLength()} tools; at most {MostTools} go into one request.");
        }

        Tool[] tools = [.. value.EnumerateArray().Select(ReadTool)];
        foreach ((int i, Tool tool) in tools.Index())
        {
            if (Array.FindIndex(tools, other => other.Name == tool.Name) < i)
            {
                throw ApiException.Invalid($"tools[{i}].function.name",
                    $"tools[{i}].function.name is \"{tool.Name}\", which an earlier tool has already; names must differ.");
            }
        }

        return tools;
    }

    private static Tool ReadTool(JsonElement value, int index)
    {
        string name = $"tools[{index}]";
        if (value.ValueKind != JsonValueKind.Object || !new Fields(value).TryGet("type", out JsonElement type))
        {
            throw Fields.Wrong(name, value, "an object with type and function");
        }

        if (Fields.Text(type, $"{name}.type", "\"function\"") is var kind && kind != "function")
        {
            throw ApiException.Invalid($"{name}.type", $"{name}.type is \"{kind}\"; this server has tools of type \"function\" only.",
                "unsupported_parameter");
        }

        name += ".function";
        return new Fields(value).TryGet("function", out JsonElement function) && function.ValueKind == JsonValueKind.Object
            ? ReadFunction(function, name)
            : throw ApiException.Invalid(name, $"{name} is missing; it must be an object with name, description and parameters.");
    }

    /// <summary>A function's name, description, parameters and strictness, wherever an API has them.</summary>
    /// <param name="name">The object's own name, for errors.</param>
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static Tool ReadFunction(JsonElement function, string name)
    {
        string title = CheckName(function, name);
        JsonElement parameters = Tool.NoParameters;
        if (new Fields(function).TryGet("parameters", out JsonElement given))
        {
            parameters = given.ValueKind == JsonValueKind.Object
                ? given.Clone()
                : throw Fields.Wrong($"{name}.parameters", given, "a JSON schema: an object");
        }

        string? description = new Fields(function).TryGet("description", out JsonElement text)
            ? Fields.Text(text, $"{name}.description", "a string") : null;
        bool strict = new Fields(function).TryGet("strict", out JsonElement flag) && flag.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Fields.Wrong($"{name}.strict", flag, "true or false"),
        };
        return new Tool(title, description, parameters, strict);
    }

    /// <summary>The member <c>name</c> of a function or a schema, by OpenAI's rule.</summary>
    /// <exception cref="ApiException">400: missing, or not such a name.</exception>
    public static string CheckName(JsonElement holder, string name)
    {
        string expected = $"1 to {LongestName} letters, digits, _ or -";
        if (!new Fields(holder).TryGet("name", out JsonElement value))
        {
            throw ApiException.Invalid($"{name}.name", $"{name}.name is missing; it must be {expected}.");
        }

        string text = Fields.Text(value, $"{name}.name", expected);
        return text.Length is > 0 and <= LongestName && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-')
            ? text
            : throw Fields.Wrong($"{name}.name", value, expected);
    }

    private static ToolChoice ReadChoice(Fields fields, Tool[] tools)
    {
        const string Name = "tool_choice";
        const string Expected = "\"none\", \"auto\", \"required\", {\"type\": \"function\", \"function\": {\"name\": \"f\"}} or "
            + "{\"type\": \"allowed_tools\", …}";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return ToolChoice.Auto;
        }

        ToolChoice choice = value.ValueKind switch
        {
            JsonValueKind.String => Mode(value, Name, Expected, withNone: true),
            JsonValueKind.Object when new Fields(value).Text("type") is "function" => ToolChoice.Named(NameIn(value, Name, Expected)),
            JsonValueKind.Object when new Fields(value).Text("type") is "allowed_tools" => ReadAllowed(value, Expected),
            _ => throw Fields.Wrong(Name, value, Expected),
        };
        if (choice.Mode == ToolChoiceMode.Required && tools.Length == 0)
        {
            throw ApiException.Invalid(Name, "tool_choice asks for a call, but there are no tools; send tools, or leave tool_choice out.");
        }

        foreach (string unknown in (choice.Names ?? []).Where(named => tools.All(tool => tool.Name != named)))
        {
            throw ApiException.Invalid(Name, $"tool_choice names \"{unknown}\", which is not among the tools: "
                + $"{string.Join(", ", tools.Select(tool => $"\"{tool.Name}\""))}.");
        }

        return choice;
    }

    private static ToolChoice Mode(JsonElement value, string name, string expected, bool withNone) =>
        Fields.Text(value, name, expected) switch
        {
            "auto" => ToolChoice.Auto,
            "required" => ToolChoice.Required,
            "none" when withNone => ToolChoice.None,
            _ => throw Fields.Wrong(name, value, expected),
        };

    private static string NameIn(JsonElement holder, string name, string expected) =>
        new Fields(holder).TryGet("function", out JsonElement function) && function.ValueKind == JsonValueKind.Object
        && new Fields(function).TryGet("name", out JsonElement value)
            ? Fields.Text(value, $"{name}.function.name", "a string")
            : throw ApiException.Invalid(name, $"{name} lacks function.name; it must be {expected}.");

    private static ToolChoice ReadAllowed(JsonElement value, string expected)
    {
        const string Name = "tool_choice.allowed_tools";
        // OpenAI nests it in chats and has it flat in responses.
        Fields allowed = new Fields(value).TryGet("allowed_tools", out JsonElement nested) && nested.ValueKind == JsonValueKind.Object
            ? new Fields(nested) : new Fields(value);
        if (!allowed.TryGet("tools", out JsonElement tools) || tools.ValueKind != JsonValueKind.Array || tools.GetArrayLength() == 0)
        {
            throw ApiException.Invalid($"{Name}.tools", $"{Name}.tools is missing; it must be an array of at least one {{\"type\": "
                + "\"function\", \"function\": {\"name\": \"f\"}}.");
        }

        ToolChoice mode = allowed.TryGet("mode", out JsonElement said)
            ? Mode(said, $"{Name}.mode", "\"auto\" or \"required\"", withNone: false) : ToolChoice.Auto;
        return mode with
        {
            Names = [.. tools.EnumerateArray().Select((tool, i) => tool.ValueKind == JsonValueKind.Object
                ? NameIn(tool, $"{Name}.tools[{i}]", expected)
                : throw Fields.Wrong($"{Name}.tools[{i}]", tool, "an object with type and function"))],
        };
    }
}
