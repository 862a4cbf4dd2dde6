using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Understory.Decoding.Constraints;

namespace Understory.Server.Chat;

/// <summary>
/// How a family of models writes calls of tools. One call, or several where a section holds a list:
/// <c>Address.Open name Address.Close · Marker · Lead · ListOpen · call · ListClose · Trail · Close</c>.
/// </summary>
/// <param name="Name">As <c>--tool-format</c> has it.</param>
/// <param name="Marker">What announces calls; empty where the head of a message does.</param>
/// <param name="Style">How one call is written.</param>
public sealed record ToolSyntax(string Name, string Marker, CallStyle Style)
{
    /// <summary>Of a message that holds a call: what stands around the tool's name in its head.</summary>
    public (string Open, string Close)? Address { get; init; }

    /// <summary>How a call itself begins, which models now and then write without the marker; null: they do not.</summary>
    public string? Beginning { get; init; }

    /// <summary>Blanks that the model writes behind the marker.</summary>
    public string Lead { get; init; } = "";

    public string ListOpen { get; init; } = "";

    /// <summary>Stands between two calls of a section; null: a section holds one.</summary>
    public string? Between { get; init; }

    public string ListClose { get; init; } = "";

    /// <summary>Blanks before <see cref="Close"/>.</summary>
    public string Trail { get; init; } = "";

    /// <summary>What ends a section; null: nothing does, or the call itself.</summary>
    public string? Close { get; init; }

    /// <summary>Stands between two sections.</summary>
    public string Separator { get; init; } = "\n";

    /// <summary>An answer may begin with a call without the marker, and a further call follow it.</summary>
    public bool BareAtStart { get; init; }

    /// <summary>An answer holds one call at most, where it is held to a form.</summary>
    public bool IsSingle => BareAtStart || (Channels is not null && Marker.Length == 0);

    /// <summary>Ids of calls must be nine letters and digits.</summary>
    public bool ShortIds { get; init; }

    /// <summary>Ids of calls say the function's name and the call's number: <c>functions.f:0</c>.</summary>
    public bool NamedIds { get; init; }

    /// <summary>The messages that calls come in; null: calls stand within the answer.</summary>
    public ChannelSyntax? Channels { get; init; }

    /// <summary>Texts that only this family's templates have: they tell of it where a template renders no call.</summary>
    public IReadOnlyList<string> Hints { get; init; } = [];

    /// <summary>All ways, the more particular first: the first one that reads a template's own call is the template's.</summary>
    public static IReadOnlyList<ToolSyntax> All { get; } =
    [
        new("harmony", "", new JsonArgumentsStyle())
        {
            Address = (" to=functions.", "<|channel|>commentary json<|message|>"), Close = "<|call|>", Separator = "<|start|>assistant",
            Channels = ChannelSyntax.Harmony, Hints = ["<|channel|>"],
        },
        new("atem", "<atem:function_calls>", new TaggedStyle(TagSyntax.Atem))
        {
            Address = (" to=", "<|message|>"), Lead = "\n", Trail = "\n", Close = "</atem:function_calls>", Between = "\n",
            Separator = "<|eom|><|start|>assistant", Channels = ChannelSyntax.Atem, Hints = ["<atem:function_calls>"],
        },
        new("gemma", "<|tool_call>", new LooseStyle(LooseSyntax.Gemma))
        {
            Close = "<tool_call|>", Separator = "", Hints = ["<|tool_call>"],
        },
        new("qwen-xml", "<tool_call>", new TaggedStyle(TagSyntax.Qwen))
        {
            Lead = "\n", Trail = "\n", Close = "</tool_call>", Beginning = "<function=", Hints = ["<tool_call>", "<function="],
        },
        new("glm", "<tool_call>", new TaggedStyle(TagSyntax.Glm)) { Hints = ["<tool_call>", "<arg_key>"] },
        new("minimax", "<minimax:tool_call>", new TaggedStyle(TagSyntax.MiniMax))
        {
            Lead = "\n", Trail = "\n", Close = "</minimax:tool_call>", Between = "\n", Hints = ["<minimax:tool_call>"],
        },
        new("deepseek", "<｜tool▁calls▁begin｜>", new FramedStyle(CallFrame.DeepSeek))
        {
            Between = "\n", Close = "<｜tool▁calls▁end｜>", Hints = ["<｜tool▁calls▁begin｜>", "```json"],
        },
        new("deepseek-v3.1", "<｜tool▁calls▁begin｜>", new FramedStyle(CallFrame.DeepSeekBare))
        {
            Between = "", Close = "<｜tool▁calls▁end｜>", Hints = ["<｜tool▁calls▁begin｜>"],
        },
        new("kimi", "<|tool_calls_section_begin|>", new FramedStyle(CallFrame.Kimi))
        {
            Between = "", Close = "<|tool_calls_section_end|>", NamedIds = true, Hints = ["<|tool_calls_section_begin|>"],
        },
        new("cohere", "<|START_ACTION|>", new JsonCallStyle("tool_name", "parameters") { IdKey = "tool_call_id" })
        {
            ListOpen = "[\n    ", Between = ",\n    ", ListClose = "\n]", Close = "<|END_ACTION|>", Hints = ["<|START_ACTION|>"],
        },
        new("lfm2", "<|tool_call_start|>", new LooseStyle(LooseSyntax.Python))
        {
            ListOpen = "[", Between = ", ", ListClose = "]", Close = "<|tool_call_end|>", Hints = ["List of tools: "],
        },
        new("mistral-id", "[TOOL_CALLS]", new NamedStyle(hasId: true))
        {
            Separator = "", ShortIds = true, Hints = ["[TOOL_CALLS]", NamedCallReader.IdMark],
        },
        new("mistral-args", "[TOOL_CALLS]", new NamedStyle(hasId: false))
        {
            Separator = "", ShortIds = true, Hints = ["[TOOL_CALLS]", NamedCallReader.ArgumentsMark],
        },
        new("mistral", "[TOOL_CALLS]", new JsonCallStyle("name", "arguments") { HasShortId = true })
        {
            ListOpen = "[", Between = ", ", ListClose = "]", ShortIds = true, Hints = ["[TOOL_CALLS]"],
        },
        new("phi", "<|tool_call|>", new JsonCallStyle("name", "arguments"))
        {
            ListOpen = "[", Between = ", ", ListClose = "]", Close = "<|/tool_call|>", Hints = ["<|tool|>"],
        },
        new("granite", "<|tool_call|>", new JsonCallStyle("name", "arguments"))
        {
            ListOpen = "[", Between = ", ", ListClose = "]", Hints = ["<|tool_call|>"],
        },
        new("hermes", "<tool_call>", new JsonCallStyle("name", "arguments"))
        {
            Lead = "\n", Trail = "\n", Close = "</tool_call>", Hints = ["<tool_call>"],
        },
        new("llama", "<|python_tag|>", new JsonCallStyle("name", "parameters"))
        {
            Separator = "; ", BareAtStart = true, Hints = ["<|python_tag|>"],
        },
    ];

    /// <summary><c>&lt;tool_call&gt;{"name": …, "arguments": {…}}&lt;/tool_call&gt;</c>: Qwen, Hermes and many others.</summary>
    public static ToolSyntax Hermes { get; } = Named("hermes");

    /// <summary>The way of a name.</summary>
    public static ToolSyntax Named(string name) => All.First(syntax => syntax.Name == name);

    /// <summary>What a broken call ends with at the latest; null: only the answer's end.</summary>
    public string? End => Close ?? Style.End;

    /// <summary>Texts that tokenizers may hold as special tokens, and that must not be lost.</summary>
    public IEnumerable<string> Specials =>
        ((IEnumerable<string>)[Marker, Close ?? "", .. Style.Marks]).Where(mark => mark.Length > 0).Concat(Channels?.Marks ?? []);

    /// <summary>Texts that every call with arguments holds: another way's calls lack one of them.</summary>
    public IEnumerable<string> Signs =>
        [Address?.Open ?? "", BareAtStart ? "" : Marker, IsSingle ? "" : Close ?? "", .. Style.Signs];

    internal static JsonSerializerOptions Readable { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What a model is shown whose template does not tell of tools.</summary>
    public string Example => Name == Hermes.Name ? Around("", "{\"name\": <function-name>, \"arguments\": <args-json-object>}")
        : Write([new ToolCall("0", "<function-name>", "{\"<parameter-name>\": \"<value>\"}")]);

    /// <summary>Calls as the model would have written them.</summary>
    public string Write(IReadOnlyList<ToolCall> calls)
    {
        if (Between is { } between && Address is null)
        {
            return Around("", string.Join(between, calls.Select(Style.Write)));
        }

        return string.Join(Separator, calls.Select(call => Around(call.Name, Style.Write(call))));
    }

    /// <summary>Texts that are one call, or as many as may be, of these tools.</summary>
    internal Grammar Calls(IReadOnlyList<Tool> tools, bool several, FormTexts texts, Func<Tool, Func<Grammar>, Grammar> named)
    {
        Grammar One(Tool tool) => named(tool, () => Style.Form(tool, texts));
        if (Between is { } between && Address is null)
        {
            Grammar call = Grammar.Choice([.. tools.Select(One)]);
            Grammar list = several ? Grammar.Sequence(call, Grammar.Repeat(Grammar.Sequence(texts.Of(between), call))) : call;
            return Form("", list, texts);
        }

        Grammar section = Grammar.Choice([.. tools.Select(tool => Form(tool.Name, One(tool), texts))]);
        return several && !IsSingle ? Grammar.Sequence(section, Grammar.Repeat(Grammar.Sequence(texts.Of(Separator), section))) : section;
    }

    private Grammar Form(string name, Grammar calls, FormTexts texts)
    {
        Grammar head = Address is null ? Grammar.Empty
            : Channels!.OtherAddress is { } other
                ? Grammar.Choice(texts.Of(Address.Value.Open + name + Address.Value.Close), texts.Of(other.Open + name + other.Close))
            : texts.Of(Address.Value.Open + name + Address.Value.Close);
        return Grammar.Sequence(head, texts.Of((BareAtStart ? "" : Marker) + Lead + ListOpen), calls,
            texts.Of(ListClose + Trail + (Channels is null || Marker.Length > 0 ? Close : "")));
    }

    private string Around(string name, string calls)
    {
        var text = new StringBuilder();
        if (Address is { } address)
        {
            text.Append(address.Open).Append(name).Append(address.Close);
        }

        return text.Append(BareAtStart ? "" : Marker).Append(Lead).Append(ListOpen).Append(calls).Append(ListClose).Append(Trail)
            .Append(Close).ToString();
    }
}
