using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>What a chat template can do, found out by rendering small conversations with it.</summary>
internal sealed class TemplateTraits
{
    private const string ToolName = "probe_tool_name";
    private const string ArgumentName = "probe_argument";
    private static readonly Tool Probe = new(ToolName, "probe", Tool.NoParameters);
    private static readonly ToolCall Call = new("callprobe", ToolName, $"{{\"{ArgumentName}\": \"value\"}}");

    private readonly ChatTemplate? _template;

    public TemplateTraits(ChatTemplate template)
    {
        _template = template;
        Thinks = template.Source.Contains("</think>", StringComparison.Ordinal);
        ShowsTools = Render([new("user", "hi")], [Probe], false).Contains(ToolName, StringComparison.Ordinal)
            || Render([new("system", "s"), new("user", "hi")], [Probe], false).Contains(ToolName, StringComparison.Ordinal);
        ChatTurn[] called =
        [
            new("user", "hi"), new("assistant", "") { ToolCalls = [Call] }, new("tool", "probe_result") { ToolCallId = Call.Id },
            new("assistant", "so"), new("user", "bye"),
        ];
        bool asObject = Shows(called, argumentsAsText: false);
        ArgumentsAsText = !asObject && Shows(called, argumentsAsText: true);
        ShowsCalls = asObject || ArgumentsAsText;
    }

    private TemplateTraits()
    {
    }

    /// <summary>No template: nothing.</summary>
    public static TemplateTraits None { get; } = new();

    /// <summary>It knows of thoughts before an answer.</summary>
    public bool Thinks { get; }

    /// <summary>It tells the model of tools.</summary>
    public bool ShowsTools { get; }

    /// <summary>It writes calls and their results.</summary>
    public bool ShowsCalls { get; }

    /// <summary>It joins a call's arguments as text; most take an object and write it as JSON.</summary>
    public bool ArgumentsAsText { get; }

    private bool Shows(IReadOnlyList<ChatTurn> turns, bool argumentsAsText)
    {
        string text = Render(turns, [Probe], argumentsAsText);
        return text.Contains(ToolName, StringComparison.Ordinal) && text.Contains("probe_result", StringComparison.Ordinal)
            && text.Contains($"\"{ArgumentName}\"", StringComparison.Ordinal);
    }

    /// <returns>Empty where the template fails on it.</returns>
    private string Render(IReadOnlyList<ChatTurn> turns, IReadOnlyList<Tool> tools, bool argumentsAsText)
    {
        try
        {
            return _template!.Render(new Dictionary<string, object?>
            {
                ["messages"] = TemplateValues.Messages(turns, argumentsAsText, shortIds: false),
                ["tools"] = TemplateValues.Tools(tools),
                ["add_generation_prompt"] = true,
                ["bos_token"] = "",
                ["eos_token"] = "",
            });
        }
        catch (ChatTemplateException)
        {
            return "";
        }
    }
}
