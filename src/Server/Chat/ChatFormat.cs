using System.Text;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>A conversation ready to be decoded.</summary>
/// <param name="Prompt">Token ids.</param>
/// <param name="Stops">Stop strings beside the request's own.</param>
/// <param name="KeptSpecials">Special tokens that the answer's text must keep, since the parser looks for them; null: none.</param>
/// <param name="Constraint">What the answer must keep to; null: nothing.</param>
/// <param name="Answer">What the answer may hold; one <see cref="AnswerParser"/> per choice reads it.</param>
public sealed record PreparedChat(int[] Prompt, IReadOnlyList<string> Stops, IReadOnlySet<int>? KeptSpecials, Constraint? Constraint,
    AnswerSyntax Answer)
{
    /// <summary>As <see cref="Decoding.GenerationRequest.PartingPoints"/>.</summary>
    public IReadOnlyList<int> PartingPoints { get; init; } = [];
}

/// <summary>
/// How a conversation becomes a prompt: by the model's own template, or, where it has none, as a plain dialogue:
/// <code>
/// system text
///
/// user: …
/// assistant: …
/// user: …
/// assistant:
/// </code>
/// whose answer ends where the model begins to speak for the user. Where the template knows nothing of tools they are told of in the system
/// text (<see cref="ToolText"/>), so every model can be asked to call them.
/// </summary>
/// <param name="template">Null: the model has none.</param>
/// <param name="problem">Why the model's template cannot be used, where it cannot; chats are then refused.</param>
/// <param name="syntax">How the model writes calls; null: as its template shows.</param>
public sealed class ChatFormat(Tokenizer tokenizer, ChatTemplate? template, string? problem = null, ToolSyntax? syntax = null)
{
    private static readonly string[] PlainStops = ["\nuser:"];

    private readonly ConstraintCache _constraints = new(tokenizer);
    private readonly TemplateTraits _traits = template is null ? TemplateTraits.None : new TemplateTraits(template);

    /// <summary>How calls are written and read; null: the template has tools, in a way that is not known here.</summary>
    public ToolSyntax? Syntax { get; } = syntax ?? (template is null ? ToolSyntax.Hermes : ToolSyntax.Of(template.Source));

    /// <summary>The model's template as its files have it; null: there is none that can be used.</summary>
    public string? Source => template?.Source;

    /// <summary>For people: how the model's thoughts are marked.</summary>
    public string Thoughts => _traits.Thinks ? $"{ThoughtMarks.Open} … {ThoughtMarks.Close}" : "none";

    /// <summary>For people: which way it is.</summary>
    public string Description => problem ?? (template is null ? "none: a plain dialogue" : "the model's own");

    /// <exception cref="ChatException">The template refuses this conversation, or cannot be used.</exception>
    /// <param name="mostTokens">A longer prompt may end early, with more tokens than these.</param>
    /// <param name="cancellation">Of the request.</param>
    public PreparedChat Prepare(Conversation conversation, int mostTokens = int.MaxValue, CancellationToken cancellation = default)
    {
        IReadOnlyList<Tool> tools = conversation.CallableTools;
        string prompt = Written(conversation, out ToolSyntax? calls);
        string end = prompt.TrimEnd();
        bool thinking = template is not null && end.EndsWith(ThoughtMarks.Open, StringComparison.Ordinal);
        bool thinks = thinking || (_traits.Thinks && !end.EndsWith(ThoughtMarks.Close, StringComparison.Ordinal));
        HashSet<string> names = [.. tools.Select(tool => tool.Name)];
        var answer = new AnswerSyntax(calls, names.Contains, conversation.ParallelToolCalls, NewId, thinks, thinking);

        // A template writes the tokens that begin a text itself.
        return new PreparedChat(
            tokenizer.Encode(prompt, addSpecialTokens: template is null, mostTokens),
            [.. template is null ? PlainStops : [], .. calls?.Close is { } close && !conversation.ParallelToolCalls ? [close]
                : Array.Empty<string>()],
            Kept([.. calls?.Specials ?? [], .. thinks ? [ThoughtMarks.Open, ThoughtMarks.Close] : Array.Empty<string>()]),
            Constrain(conversation, answer, cancellation),
            answer);
    }

    /// <summary>How many tokens the prompt of a conversation has.</summary>
    /// <exception cref="ChatException">As for <see cref="Prepare"/>.</exception>
    public int Count(Conversation conversation)
    {
        string prompt = Written(conversation, out _);
        return (template is null ? tokenizer : tokenizer.Bare).CountTokens(prompt);
    }

    private string Written(Conversation conversation, out ToolSyntax? calls)
    {
        if (problem is not null)
        {
            throw new ChatException("messages", $"This model's chat template cannot be used ({problem}); use /v1/completions.",
                "chat_template_unsupported");
        }

        IReadOnlyList<Tool> tools = conversation.CallableTools;
        calls = tools.Count == 0 ? null : SyntaxFor(conversation);
        return template is null ? Plain(Written(conversation, tools)) : Render(template, conversation, tools);
    }

    /// <summary>The constraint of a format alone.</summary>
    /// <exception cref="ChatException">The format cannot be used; the message says where.</exception>
    public Constraint Constrain(AnswerFormat format, CancellationToken cancellation = default) => _constraints.Get(
        ConstraintCache.KeyOf(format), format.Field, budget => AnswerGrammar.Of(format, tokenizer, budget), cancellation);

    private Constraint? Constrain(Conversation conversation, AnswerSyntax answer, CancellationToken cancellation)
    {
        bool free = conversation.Format is null
            && (answer.Syntax is null
                || (conversation.ToolChoice.Mode != ToolChoiceMode.Required && !conversation.CallableTools.Any(tool => tool.Strict)));
        return free ? null : _constraints.Get(
            ConstraintCache.KeyOf(conversation, answer), conversation.Format?.Field ?? "tools", budget =>
                AnswerGrammar.Of(conversation, answer, tokenizer, budget)!, cancellation);
    }

    /// <summary>The dialogue as plain text.</summary>
    private static string Plain(IReadOnlyList<ChatTurn> turns)
    {
        var text = new StringBuilder();
        foreach (ChatTurn turn in turns)
        {
            text.Append(turn.Role == "system" ? $"{turn.Content}\n\n" : $"{turn.Role}: {turn.Content}\n");
        }

        return text.Append("assistant:").ToString();
    }

    private ToolSyntax SyntaxFor(Conversation conversation) => Syntax ?? (_traits.ShowsTools
        ? throw new ChatException(
            "tools",
            $"This model's chat template writes calls of tools in a way that this server does not read; leave tools out, or start the "
                + $"server with --tool-format ({string.Join(", ", ToolSyntax.All.Select(way => way.Name))}).",
            "unsupported_parameter")
        : ToolSyntax.Hermes);

    /// <summary>The turns with all tools as text.</summary>
    private IReadOnlyList<ChatTurn> Written(Conversation conversation, IReadOnlyList<Tool> tools) =>
        ToolText.Write(conversation.Turns, tools, Syntax ?? ToolSyntax.Hermes);

    private string Render(ChatTemplate template, Conversation conversation, IReadOnlyList<Tool> tools)
    {
        // The template must know all that the conversation needs, else all of it is written out: the model sees one way only.
        bool native = (tools.Count == 0 || _traits.ShowsTools)
            && (_traits.ShowsCalls || conversation.Turns.All(turn => turn.Role != "tool" && turn.ToolCalls.Count == 0));
        IReadOnlyList<ChatTurn> turns = native ? conversation.Turns : Written(conversation, tools);
        var variables = new Dictionary<string, object?>();
        if (conversation.Thinking is { } thinking)
        {
            // The names that templates of today have for it.
            variables["enable_thinking"] = thinking;
            variables["thinking"] = thinking;
        }

        if (conversation.Effort is { } effort)
        {
            variables["reasoning_effort"] = effort;
        }

        foreach ((string name, object? value) in conversation.TemplateVariables)
        {
            variables[name] = value;
        }

        variables["messages"] = TemplateValues.Messages(turns, _traits.ArgumentsAsText, Syntax?.ShortIds == true);
        if (native && tools.Count > 0)
        {
            variables["tools"] = TemplateValues.Tools(tools);
        }

        variables["add_generation_prompt"] = true;
        variables["bos_token"] = template.BosToken ?? Text(tokenizer.BosId);
        variables["eos_token"] = template.EosToken ?? Text(tokenizer.EosId);
        try
        {
            return template.Render(variables);
        }
        catch (ChatTemplateException e)
        {
            throw new ChatException("messages", $"The model's chat template refuses these messages: {e.Message}");
        }
    }

    private HashSet<int>? Kept(IReadOnlyList<string> texts)
    {
        var kept = new HashSet<int>();
        foreach (string text in texts)
        {
            if (tokenizer.TryGetId(text, out int id) && tokenizer.IsSpecial(id))
            {
                kept.Add(id);
            }
        }

        return kept.Count > 0 ? kept : null;
    }

    /// <summary>Mistral's templates insist on nine letters and digits.</summary>
    private string NewId() => Syntax?.ShortIds == true
        ? Guid.NewGuid().ToString("N")[..TemplateValues.MistralIdLength]
        : $"call_{Guid.NewGuid():N}";

    private string Text(int? token) => token is { } id ? tokenizer.TokenText(id) : "";
}
