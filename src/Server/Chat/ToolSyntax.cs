using System.Text.Encodings.Web;
using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>How a family of models writes calls of tools.</summary>
/// <param name="Name">As <c>--tool-format</c> has it.</param>
/// <param name="Marker">What announces a call.</param>
/// <param name="Close">What ends it; null: nothing does.</param>
/// <param name="BareAtStart">An answer may begin with a call without the marker, and a further call follow it.</param>
/// <param name="Lists">The marker may announce a JSON array of calls, or a name and its arguments.</param>
/// <param name="NameFirst">Of the two, the model writes the latter.</param>
/// <param name="ArgumentsKey">The member that holds the arguments.</param>
public sealed record ToolSyntax(
    string Name, string Marker, string? Close, bool BareAtStart, bool Lists, bool NameFirst, string ArgumentsKey)
{
    /// <summary><c>&lt;tool_call&gt;{"name": …, "arguments": {…}}&lt;/tool_call&gt;</c>: Qwen, Hermes and many others.</summary>
    public static ToolSyntax Hermes { get; } =
        new("hermes", "<tool_call>", "</tool_call>", BareAtStart: false, Lists: false, NameFirst: false, "arguments");

    /// <summary><c>{"name": …, "parameters": {…}}</c>, perhaps behind <c>&lt;|python_tag|&gt;</c>: Llama 3.</summary>
    public static ToolSyntax Llama { get; } =
        new("llama", "<|python_tag|>", null, BareAtStart: true, Lists: false, NameFirst: false, "parameters");

    /// <summary><c>[TOOL_CALLS][{"name": …, "arguments": {…}}]</c>.</summary>
    public static ToolSyntax Mistral { get; } =
        new("mistral", "[TOOL_CALLS]", null, BareAtStart: false, Lists: true, NameFirst: false, "arguments");

    /// <summary><c>[TOOL_CALLS]name[ARGS]{…}</c>: Mistral's models since 2025.</summary>
    public static ToolSyntax MistralNamed { get; } = Mistral with { Name = "mistral-args", NameFirst = true };

    public static IReadOnlyList<ToolSyntax> All { get; } = [Hermes, Llama, Mistral, MistralNamed];

    /// <summary>Stands between a name and its arguments.</summary>
    public const string ArgumentsMark = "[ARGS]";

    /// <summary>Stands between two calls.</summary>
    public string Separator => NameFirst ? "" : Lists ? ", " : BareAtStart ? "; " : "\n";

    /// <summary>Ids of calls must be nine letters and digits.</summary>
    public bool ShortIds => Lists;

    /// <summary>Texts that tokenizers may hold as special tokens, and that must not be lost.</summary>
    public IReadOnlyList<string> Specials => Lists ? [Marker, ArgumentsMark, "[CALL_ID]"] : Close is null ? [Marker] : [Marker, Close];

    /// <summary>The way that a chat template shows its model; null: none of these.</summary>
    public static ToolSyntax? Of(string template) =>
        template.Contains(Hermes.Marker, StringComparison.Ordinal) ? template.Contains("<function=", StringComparison.Ordinal)
            ? null : Hermes
        : template.Contains(Mistral.Marker, StringComparison.Ordinal) ? template.Contains(ArgumentsMark, StringComparison.Ordinal)
        ? MistralNamed : Mistral
        : template.Contains(Llama.Marker, StringComparison.Ordinal) || template.Contains("\"parameters\": ", StringComparison.Ordinal)
        ? Llama
        : null;

    internal static JsonSerializerOptions Readable { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What a model is shown that does not know the way.</summary>
    public string Example => Around(Object("<function-name>", "<args-json-object>", quote: false));

    /// <summary>Calls as the model would have written them.</summary>
    public string Write(IReadOnlyList<ToolCall> calls)
    {
        IEnumerable<string> objects = calls.Select(call => Object(call.Name, call.Arguments, quote: true));
        return Lists && !NameFirst ? Around(string.Join(Separator, objects)) : string.Join(Separator, objects.Select(Around));
    }

    private string Object(string name, string arguments, bool quote) => NameFirst ? $"{name}{ArgumentsMark}{arguments}"
        : $"{{\"name\": {(quote ? JsonSerializer.Serialize(name, Readable) : name)}, \"{ArgumentsKey}\": {arguments}}}";

    private string Around(string call) => Close is { } close ? $"{Marker}\n{call}\n{close}"
        : NameFirst ? Marker + call
        : Lists ? $"{Marker}[{call}]"
        : call;
}
