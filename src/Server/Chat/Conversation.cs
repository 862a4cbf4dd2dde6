using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>A function that the model asked for.</summary>
/// <param name="Id">Ties the call to its result.</param>
/// <param name="Arguments">A JSON object as text; what a model wrote may be broken.</param>
public sealed record ToolCall(string Id, string Name, string Arguments);

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">"system", "user", "assistant" or "tool".</param>
/// <param name="Content">Its text; empty where an assistant's turn is calls alone.</param>
public sealed record ChatTurn(string Role, string Content)
{
    /// <summary>Who speaks, among several of a role; of a tool's turn, the function.</summary>
    public string? Name { get; init; }

    /// <summary>What an assistant's turn asked for.</summary>
    public IReadOnlyList<ToolCall> ToolCalls { get; init; } = [];

    /// <summary>The call that a tool's turn answers.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>What an assistant thought before it spoke, for templates that repeat it.</summary>
    public string? Reasoning { get; init; }
}

/// <summary>A function that the model may call.</summary>
/// <param name="Parameters">A JSON schema of an object; must outlive the request's document (<see cref="JsonElement.Clone"/>).</param>
/// <param name="Strict">The arguments are held to the schema while they are written.</param>
public sealed record Tool(string Name, string? Description, JsonElement Parameters, bool Strict = false)
{
    /// <summary>The request's field that holds the parameters, for errors.</summary>
    public string Field { get; init; } = "tools";

    /// <summary>The schema of a function whose parameters are not known.</summary>
    public static JsonElement AnyObject { get; } = JsonDocument.Parse("{\"type\": \"object\"}").RootElement;

    /// <summary>The schema of a function without parameters.</summary>
    public static JsonElement NoParameters { get; } = JsonDocument.Parse("{\"type\": \"object\", \"properties\": {}}").RootElement;
}

public enum ToolChoiceMode
{
    /// <summary>The model decides.</summary>
    Auto,

    /// <summary>The model is not told of any tool.</summary>
    None,

    /// <summary>At least one call, nothing else.</summary>
    Required,
}

/// <summary>Whether the model calls tools, and which.</summary>
/// <param name="Names">The tools that it may call; null: all.</param>
public sealed record ToolChoice(ToolChoiceMode Mode, IReadOnlyList<string>? Names = null)
{
    public static ToolChoice Auto { get; } = new(ToolChoiceMode.Auto);

    public static ToolChoice None { get; } = new(ToolChoiceMode.None);

    public static ToolChoice Required { get; } = new(ToolChoiceMode.Required);

    /// <summary>Exactly this one.</summary>
    public static ToolChoice Named(string name) => new(ToolChoiceMode.Required, [name]);
}

/// <summary>What an answer's text must look like.</summary>
/// <param name="Field">The request's field that asked for it, for errors.</param>
public abstract record AnswerForm(string Field);

/// <summary>Any JSON object.</summary>
public sealed record JsonObjectForm(string Field) : AnswerForm(Field);

/// <summary>A JSON value that the schema allows.</summary>
/// <param name="Schema">Must outlive the request's document.</param>
public sealed record JsonSchemaForm(string Field, JsonElement Schema) : AnswerForm(Field);

/// <summary>A text that the regular expression matches as a whole.</summary>
public sealed record RegexForm(string Field, string Pattern) : AnswerForm(Field);

/// <summary>A text of the GBNF grammar's <c>root</c>.</summary>
public sealed record GbnfForm(string Field, string Grammar) : AnswerForm(Field);

/// <summary>What a model is asked, whatever API asked it.</summary>
public sealed record Conversation
{
    public required IReadOnlyList<ChatTurn> Turns { get; init; }

    public IReadOnlyList<Tool> Tools { get; init; } = [];

    public ToolChoice ToolChoice { get; init; } = ToolChoice.Auto;

    /// <summary>The answer goes on with the last turn, which is the assistant's.</summary>
    public bool ContinueFinal { get; init; }

    /// <summary>More than one call may be made at once.</summary>
    public bool ParallelToolCalls { get; init; } = true;

    /// <summary>Null: any text.</summary>
    public AnswerForm? Form { get; init; }

    /// <summary>Whether a model that can think before it answers shall; null: as its template has it.</summary>
    public bool? Thinking { get; init; }

    /// <summary>How much it shall think ("low", "medium", "high"), for templates that ask.</summary>
    public string? Effort { get; init; }

    /// <summary>Further variables for the chat template; they win over ours, but for the messages and tools.</summary>
    public IReadOnlyDictionary<string, object?> TemplateVariables { get; init; } = new Dictionary<string, object?>();

    /// <summary>The tools that this conversation's answer may call, in the request's order.</summary>
    public IReadOnlyList<Tool> CallableTools => ToolChoice.Mode == ToolChoiceMode.None ? []
        : ToolChoice.Names is { } names ? [.. Tools.Where(tool => names.Contains(tool.Name))]
        : Tools;
}

/// <summary>A conversation that cannot be put to this model: the asker's fault.</summary>
/// <param name="field">The part of the request to blame: "messages", "tools", ….</param>
/// <param name="code">A machine-readable reason, if there is one.</param>
public sealed class ChatException(string field, string message, string? code = null) : Exception(message)
{
    public string Field { get; } = field;

    public string? Code { get; } = code;
}
