using System.Text.Json;
using System.Text.RegularExpressions;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>
/// How a chat template talks, found out once by rendering small conversations with it: the way of calls is the one that reads the
/// template's own call back, and likewise for thoughts. Where it renders none, marks in its text tell.
/// </summary>
internal sealed partial class TemplateTraits
{
    private const string ToolName = "probe_tool_name";
    private const string ArgumentName = "probe_argument";
    private const string Value = "probe_value";
    private const string Result = "probe_result";
    private const string Answer = "probe_answer";
    private const string Thought = "probe_thought";
    private const string System = "probe_system";

    /// <summary>Marks that end an assistant's turn, where they stand behind it.</summary>
    private static readonly string[] KnownEnds =
    [
        "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<turn|>", "<|tool_response>", "<|eot|>", "<|end_of_text|>",
        "<|endoftext|>", "</s>", "<|END_OF_TURN_TOKEN|>", "<|user|>", "<|observation|>", "<|return|>", "<|call|>", "[e~[",
        "<｜end▁of▁sentence｜>", "<end_of_utterance>", "<seed:eos>",
    ];

    /// <summary>Of those, the ones that end a turn wherever they are special tokens.</summary>
    private static readonly string[] SureEnds =
    [
        "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<turn|>", "<|return|>", "<|call|>", "<|end_of_text|>", "<|endoftext|>",
    ];

    private static readonly Tool Probe = new(ToolName, "probe", Tool.NoParameters);
    private static readonly ToolCall Call = new("probecall", ToolName, $"{{\"{ArgumentName}\": \"{Value}\"}}");
    private static readonly ChatTurn Hello = new("user", "hi");

    private readonly ChatTemplate? _template;
    private readonly Tokenizer? _tokenizer;

    public TemplateTraits(ChatTemplate template, Tokenizer tokenizer)
    {
        _template = template;
        _tokenizer = tokenizer;
        ChatTemplate tools = template.ForTools ?? template;
        ShowsTools = Render([Hello], [Probe]).Contains(ToolName, StringComparison.Ordinal)
            || Render([new("system", System), Hello], [Probe]).Contains(ToolName, StringComparison.Ordinal);
        ReadCalls();
        ShowsResults = Shows([Hello, new("assistant", "so"), new("tool", Result) { ToolCallId = Call.Id }, new("assistant", "so")], Result);
        Calls ??= ToolSyntax.All.FirstOrDefault(syntax => syntax.Hints.All(hint => tools.Source.Contains(hint, StringComparison.Ordinal)));
        Channels = Calls?.Channels;
        ReadThoughts();
        Shape = new ConversationShape(
            Shows([new("system", System), Hello], System),
            Shows([Hello, new("assistant", "so"), new("system", System), Hello], System),
            Render([Hello]).Length > 0 && Render([Hello, Hello]).Length == 0,
            ShowsCalls && TakesOneCall());
        SkipsLead = LeadIsSkipped();
        Ends = Channels is { } channels ? channels.TurnEnds : [.. TurnEnds()];
    }

    private TemplateTraits()
    {
    }

    /// <summary>No template: nothing.</summary>
    public static TemplateTraits None { get; } = new();

    /// <summary>It tells the model of tools.</summary>
    public bool ShowsTools { get; }

    /// <summary>It writes calls and their results.</summary>
    public bool ShowsCalls { get; private set; }

    /// <summary>It writes what tools gave.</summary>
    public bool ShowsResults { get; }

    /// <summary>How it writes calls; null: in no way that is known, or not at all.</summary>
    public ToolSyntax? Calls { get; private set; }

    /// <summary>How it marks thoughts; null: it knows of none, or they are messages of their own.</summary>
    public ThoughtSyntax? Thoughts { get; private set; }

    /// <summary>The messages that it parts answers into; null: an answer is one text.</summary>
    public ChannelSyntax? Channels { get; }

    public TemplateValues.Wishes Wishes { get; private set; }

    public ConversationShape Shape { get; } = ConversationShape.Any;

    /// <summary>An answer begins with blanks that are no part of it.</summary>
    public bool SkipsLead { get; }

    /// <summary>Texts that end an assistant's turn.</summary>
    public IReadOnlyList<string> Ends { get; } = [];

    /// <summary>Tokens that end a turn, by the template or by their text.</summary>
    public static IReadOnlyList<int> EndTokens(Tokenizer tokenizer, IEnumerable<string> ends) =>
        [.. ends.Concat(SureEnds).Distinct().Select(text => IsSpecial(tokenizer, text, out int id) ? id : -1).Where(id => id >= 0)];

    public static bool IsSpecial(Tokenizer tokenizer, string text, out int id) =>
        tokenizer.TryGetId(text, out id) && tokenizer.IsSpecial(id);

    private void ReadCalls()
    {
        ChatTurn asked = new("assistant", "") { ToolCalls = [Call] };
        ChatTurn[] answered = [Hello, asked, new("tool", Result) { ToolCallId = Call.Id }, new("assistant", "so"), new("user", "bye")];
        bool[] either = [false, true];
        IEnumerable<TemplateValues.Wishes> ways = either.SelectMany(none => either.SelectMany(named => either.Select(asText =>
            new TemplateValues.Wishes(asText, NamedIds: named, NoContent: none))));
        foreach (TemplateValues.Wishes way in ways)
        {
            foreach (ChatTurn[] turns in (ChatTurn[][])[answered, [Hello, asked]])
            {
                TemplateValues.Wishes before = Wishes;
                Wishes = way;
                string text = Render(turns, [Probe]);
                Calls = ToolSyntax.All.FirstOrDefault(syntax => Reads(syntax, text));
                bool shows = text.Contains(Calls is null ? $"\"{ArgumentName}\"" : ArgumentName, StringComparison.Ordinal)
                    && (turns.Length == 2 || text.Contains(Result, StringComparison.Ordinal));
                Wishes = shows && (Calls is not null || !ShowsCalls) ? way with { ShortIds = Calls?.ShortIds == true } : before;
                ShowsCalls |= shows;
                if (Calls is not null)
                {
                    return;
                }
            }
        }
    }

    /// <summary>Whether a way reads the call in a rendering, and the call has all that the way's calls have.</summary>
    private static bool Reads(ToolSyntax syntax, string text)
    {
        int value = text.LastIndexOf(Value, StringComparison.Ordinal);
        string begin = syntax.Channels is not null ? ChannelSyntax.Start : syntax.BareAtStart ? ToolName : syntax.Marker;
        int at = value < 0 ? -1 : text.LastIndexOf(begin, value, StringComparison.Ordinal);
        at = at > 0 && syntax.BareAtStart ? text.LastIndexOf('{', at) : at;
        if (at < 0 || !syntax.Signs.All(sign => text.AsSpan(at).Contains(sign, StringComparison.Ordinal)))
        {
            return false;
        }

        var parser = new AnswerParser(new AnswerSyntax(syntax, name => name == ToolName ? Probe : null, Parallel: true, () => Call.Id)
        {
            Channels = syntax.Channels,
        });
        parser.Push(text[at..]);
        parser.Finish();
        return parser.Answer.ToolCalls is [var read] && IsCall(read.Arguments);
    }

    private static bool IsCall(string arguments)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(arguments);
            return document.RootElement.EnumerateObject().ToArray() is [var only] && only.Name == ArgumentName
                && only.Value.ValueKind == JsonValueKind.String && only.Value.GetString() == Value;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private void ReadThoughts()
    {
        foreach (TemplateValues.ThoughtPlace place in Enum.GetValues<TemplateValues.ThoughtPlace>())
        {
            TemplateValues.Wishes before = Wishes;
            Wishes = Wishes with { Thoughts = place };
            foreach (ChatTurn turn in (ChatTurn[])[new("assistant", Answer), new("assistant", "") { ToolCalls = [Call] }])
            {
                string text = Render([Hello, turn with { Reasoning = Thought }], [Probe]);
                if (!text.Contains(Thought, StringComparison.Ordinal))
                {
                    continue;
                }

                Thoughts = Channels is not null ? null : ThoughtSyntax.All.FirstOrDefault(way => IsAround(way, text));
                if (Channels is not null || Thoughts is not null)
                {
                    return;
                }
            }

            Wishes = before;
        }

        Thoughts = Channels is not null ? null : ThoughtSyntax.All.FirstOrDefault(way =>
            _template!.Source.Contains(way.Close, StringComparison.Ordinal) && HasAnswerMarks(way));
    }

    private bool IsAround(ThoughtSyntax way, string text)
    {
        int at = text.LastIndexOf(Thought, StringComparison.Ordinal);
        return text[..at].TrimEnd().EndsWith(way.Open.Trim(), StringComparison.Ordinal)
            && text[(at + Thought.Length)..].TrimStart().StartsWith(way.Close, StringComparison.Ordinal) && HasAnswerMarks(way);
    }

    /// <summary>Of two ways with the same marks of thoughts, marks around the answer tell.</summary>
    private bool HasAnswerMarks(ThoughtSyntax way) =>
        ThoughtSyntax.All.Count(other => other.Open == way.Open) == 1
        || way.AnswerMarks.All(mark => _template!.Source.Contains(mark, StringComparison.Ordinal));

    /// <summary>Of two calls in a turn the template writes the first alone.</summary>
    private bool TakesOneCall()
    {
        const string Other = "probe_other";
        ToolCall other = new("probecal2", ToolName, Call.Arguments.Replace(Value, Other, StringComparison.Ordinal));
        string text = Render([Hello, new("assistant", "") { ToolCalls = [Call, other] }], [Probe]);
        return text.Contains(Value, StringComparison.Ordinal) && !text.Contains(Other, StringComparison.Ordinal);
    }

    /// <summary>The template writes blanks between what asks for an answer and the answer.</summary>
    private bool LeadIsSkipped()
    {
        string asked = Render([Hello], asksForAnswer: true);
        string told = Render([Hello, new("assistant", Answer)]);
        int at = told.LastIndexOf(Answer, StringComparison.Ordinal);
        return at > 0 && asked.Length > 0 && JsonScanner.IsBlank(told[at - 1]) && !JsonScanner.IsBlank(asked[^1]);
    }

    /// <summary>What stands behind answers and calls, last and in the midst of a conversation.</summary>
    private HashSet<string> TurnEnds()
    {
        var ends = new HashSet<string>();
        ChatTurn said = new("assistant", Answer);
        ChatTurn asked = new("assistant", "") { ToolCalls = [Call] };
        foreach (ChatTurn[] turns in (ChatTurn[][])[[Hello, said], [Hello, said, Hello]])
        {
            string text = Render(turns);
            int at = text.LastIndexOf(Answer, StringComparison.Ordinal);
            Add(at < 0 ? "" : text[(at + Answer.Length)..]);
        }

        foreach (ChatTurn[] turns in (ChatTurn[][])[[Hello, asked], [Hello, asked, new("tool", Result) { ToolCallId = Call.Id }]])
        {
            string text = Calls?.End is null ? "" : Render(turns, [Probe]);
            int value = text.LastIndexOf(Value, StringComparison.Ordinal);
            int at = value < 0 ? -1 : text.IndexOf(Calls!.End!, value, StringComparison.Ordinal);
            Add(at < 0 ? "" : text[(at + Calls!.End!.Length)..]);
        }

        return ends;

        void Add(string tail)
        {
            string rest = tail.TrimStart();
            string? end = KnownEnds.FirstOrDefault(known => rest.StartsWith(known, StringComparison.Ordinal));
            end ??= MarkAtStart().Match(rest) is { Success: true, Value: var mark } && IsSpecial(_tokenizer!, mark, out _) ? mark : null;
            if (end is not null)
            {
                ends.Add(end);
            }
        }
    }

    [GeneratedRegex(@"^(<[^<>\s]{1,40}>|\[[^\[\]\s]{1,40}\])")]
    private static partial Regex MarkAtStart();

    private bool Shows(IReadOnlyList<ChatTurn> turns, string text) => Render(turns).Contains(text, StringComparison.Ordinal);

    /// <returns>Empty where the template fails on it.</returns>
    private string Render(IReadOnlyList<ChatTurn> turns, IReadOnlyList<Tool>? tools = null, bool asksForAnswer = false)
    {
        try
        {
            ChatTemplate template = tools is null ? _template! : _template!.ForTools ?? _template;
            return template.Render(new Dictionary<string, object?>
            {
                ["messages"] = TemplateValues.Messages(turns, Wishes),
                ["tools"] = tools is null ? null : TemplateValues.Tools(tools),
                ["documents"] = null,
                ["add_generation_prompt"] = asksForAnswer,
                ["bos_token"] = template.BosToken ?? "",
                ["eos_token"] = template.EosToken ?? (_tokenizer!.EosId is { } eos ? _tokenizer.TokenText(eos) : ""),
            });
        }
        catch (ChatTemplateException)
        {
            return "";
        }
    }
}
