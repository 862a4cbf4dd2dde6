using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>What a client calls a tool that it has offered.</summary>
/// <param name="Namespace">Where the tool stands among others; null: nowhere.</param>
/// <param name="Custom">It takes a text, not an object.</param>
public sealed record ToolOrigin(string Name, string? Namespace = null, bool Custom = false);

/// <summary>
/// The tools of a request, by whichever API they came: functions with a name of their own, and what was left out, since this server runs no
/// tools. Their shapes have been checked.
/// </summary>
public sealed class OfferedTools
{
    private readonly List<Tool> _tools = [];
    private readonly Dictionary<string, ToolOrigin> _origins = [];
    private readonly List<string> _warnings = [];
    private readonly HashSet<string> _missing = [];

    /// <summary>What the model may call, in the request's order.</summary>
    public IReadOnlyList<Tool> Tools => _tools;

    /// <summary>What was left out, for the client.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <summary>What the client calls the tool that the model knows by this name.</summary>
    public ToolOrigin Origin(string name) => _origins.GetValueOrDefault(name) ?? new(name);

    /// <summary>What the model knows a tool of the client's by.</summary>
    public static string NameOf(string name, string? space) => string.IsNullOrEmpty(space) ? name : $"{space.TrimEnd('_')}__{name}";

    /// <param name="path">The object's own place in the request.</param>
    /// <param name="schema">The member that holds the schema of its arguments.</param>
    /// <exception cref="ApiException">400: an earlier tool is called so.</exception>
    public void AddFunction(Fields function, string path, string schema, string? space = null)
    {
        string name = function.Text("name")!;
        string? description = function.Text("description");
        JsonElement parameters = function.TryGet(schema, out JsonElement given) ? given.Clone() : Tool.NoParameters;
        Add(new Tool(NameOf(name, space), description, parameters, function.Flag("strict") ?? false) { Field = $"{path}.{schema}" },
            new ToolOrigin(name, space), path);
    }

    /// <summary>A tool that takes a text: a function of one string, held to a regular expression where there is one.</summary>
    /// <param name="regex">What all of the text matches; null: any text.</param>
    /// <param name="field">The member that holds it.</param>
    /// <exception cref="ApiException">400: an earlier tool is called so.</exception>
    public void AddCustom(Fields tool, string path, string? regex = null, string field = "", string? space = null)
    {
        string name = tool.Text("name")!;
        JsonElement parameters = CustomInput.Schema(regex, path + field);
        var described = new Tool(NameOf(name, space), tool.Text("description"), parameters, Strict: regex is not null)
        {
            Field = path + field,
        };
        Add(described, new ToolOrigin(name, space, Custom: true), path);
    }

    /// <summary>A tool that cannot be run or held to its form.</summary>
    /// <param name="why">What follows "is left out: ".</param>
    public void LeaveOut(string path, string type, string? name, string why)
    {
        _warnings.Add($"{path} ({name ?? type}) is left out: {why}");
        _missing.Add(type);
        _missing.Add(name ?? type);
    }

    /// <summary>Whether the model calls tools, and which.</summary>
    /// <param name="names">Those that it may call, by the model's names; null: all.</param>
    /// <param name="field">The request's field that says so.</param>
    /// <exception cref="ApiException">400: a call is asked for that cannot be made.</exception>
    public ToolChoice Choose(ToolChoiceMode mode, IReadOnlyList<string>? names = null, string field = "tool_choice")
    {
        foreach (string name in names ?? [])
        {
            if (_tools.All(tool => tool.Name != name))
            {
                throw ApiException.Invalid(field, _missing.Contains(name)
                    ? $"{field} asks for {name}, which this server does not run; describe it as a function and run it yourself."
                    : $"{field} names \"{name}\", which is not among the tools: "
                        + $"{string.Join(", ", _tools.Select(tool => $"\"{tool.Name}\""))}.");
            }
        }

        return mode != ToolChoiceMode.Required || _tools.Count > 0
            ? new ToolChoice(mode, names)
            : throw ApiException.Invalid(field, $"{field} asks for a call, but there are no tools; send tools, or leave {field} out.");
    }

    private void Add(Tool tool, ToolOrigin origin, string path)
    {
        if (!_origins.TryAdd(tool.Name, origin))
        {
            throw ApiException.Invalid($"{path}.name", $"{path}.name is \"{origin.Name}\", as is that of an earlier tool; names must "
                + $"differ.");
        }

        _tools.Add(tool);
    }
}
