using System.Text;
using Understory.Decoding;
using Understory.Decoding.Constraints;
using Understory.Decoding.Sampling;
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

    /// <summary>Tokens that end the answer beside the model's own.</summary>
    public IReadOnlyList<int> EndTokens { get; init; } = [];

    /// <summary>What ends the answer's text where stop strings alone cannot; null: they can.</summary>
    /// <param name="stops">The request's own.</param>
    public Func<ITextEnd>? TextEnd(IReadOnlyList<string> stops)
    {
        string[] all = [.. stops, .. Stops];
        bool endsItself = Answer.Channels is not null || Answer.Ends.Count > 0 || (Answer.Syntax is not null && !Answer.Parallel);
        return endsItself || (all.Length > 0 && Answer.HasMarks) ? () => new AnswerEnd(Answer, all) : null;
    }

    /// <summary>How a request decodes it.</summary>
    public GenerationRequest In(GenerationRequest request) => request with
    {
        Prompt = Prompt,
        Stop = [.. request.Stop, .. Stops],
        TextEnd = request.IgnoreEos ? null : TextEnd(request.Stop),
        EndTokens = EndTokens,
        KeptSpecials = KeptSpecials,
        PartingPoints = PartingPoints,
        Constraint = Constraint,
    };
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
public sealed class ChatRenderer(Tokenizer tokenizer, ChatTemplate? template, string? problem = null, ToolSyntax? syntax = null)
{
    private static readonly string[] PlainStops = ["\nuser:"];

    private readonly ConstraintCache _constraints = new(tokenizer);
    private readonly TemplateTraits _traits = template is null ? TemplateTraits.None : new TemplateTraits(template, tokenizer);

    /// <summary>How calls are written and read.</summary>
    public ToolSyntax Syntax => syntax ?? _traits.Calls ?? ToolSyntax.Hermes;

    /// <summary>How thoughts are marked; null: the model has none, or they are messages of their own.</summary>
    public ThoughtSyntax? Thoughts => _traits.Thoughts;

    /// <summary>For people: the way of calls, and of thoughts.</summary>
    public string Talk => $"calls as {Syntax.Name}{(TellsOfTools ? "" : " (told of in the system text)")}, thoughts "
        + (Channels is not null ? "as messages" : Thoughts is { } thoughts ? $"as {thoughts.Open.Trim()} … {thoughts.Close}" : "none");

    private ChannelSyntax? Channels => syntax is null ? _traits.Channels : syntax.Channels;

    /// <summary>The template is told of tools, and writes them as the model was trained to read them.</summary>
    private bool TellsOfTools => _traits.ShowsTools && (syntax ?? _traits.Calls) is not null;

    /// <summary>The model's template as its files have it; null: there is none that can be used.</summary>
    public string? Source => template?.Source;

    /// <summary>The template has a place for tools, and calls are written in a way that is read here.</summary>
    public bool TakesTools => TellsOfTools;

    /// <summary>The model may think before it answers.</summary>
    public bool Thinks => Thoughts is not null || Channels is not null;

    /// <summary>For people: which way it is.</summary>
    public string Description => problem ?? (template is null ? "none: a plain dialogue" : "the model's own");

    /// <exception cref="ChatException">The template refuses this conversation, or cannot be used.</exception>
    /// <param name="mostTokens">A longer prompt may end early, with more tokens than these.</param>
    /// <param name="cancellation">Of the request.</param>
    public PreparedChat Prepare(Conversation conversation, int mostTokens = int.MaxValue, CancellationToken cancellation = default)
    {
        IReadOnlyList<Tool> tools = conversation.CallableTools;
        string prompt = Written(conversation);
        AnswerSyntax answer = AnswerTo(conversation, tools, prompt);
        IEnumerable<string> marks = [.. answer.Syntax?.Specials ?? [], .. answer.Thoughts?.Specials ?? [], .. answer.Channels?.Marks ?? []];

        // A template writes the tokens that begin a text itself.
        int[] tokens = tokenizer.Encode(prompt, addSpecialTokens: template is null, mostTokens);
        IReadOnlyList<int> ends = template is null ? [] : TemplateTraits.EndTokens(tokenizer, _traits.Ends);
        Constraint? constraint = Constrain(conversation, answer, cancellation);
        return new PreparedChat(tokens, template is null ? PlainStops : [], Kept(marks, ends), constraint, answer)
        {
            EndTokens = ends,
        };
    }

    private AnswerSyntax AnswerTo(Conversation conversation, IReadOnlyList<Tool> tools, string prompt)
    {
        string end = prompt.TrimEnd();
        bool isOpen = Thoughts is { } opened && end.EndsWith(opened.Open.Trim(), StringComparison.Ordinal);
        bool isClosed = Thoughts is { } closed && end.EndsWith(closed.Close, StringComparison.Ordinal);
        int head = Channels is null ? -1 : prompt.LastIndexOf(ChannelSyntax.Start, StringComparison.Ordinal);
        return new AnswerSyntax(tools.Count == 0 ? null : Syntax, name => tools.FirstOrDefault(tool => tool.Name == name),
            conversation.ParallelToolCalls, NewId)
        {
            Thoughts = Thoughts,
            Thinking = isOpen ? ThoughtState.Open
                : Thoughts is null || isClosed || conversation.ContinueFinal ? ThoughtState.None : ThoughtState.Possible,
            Channels = Channels,
            Head = head < 0 ? "" : prompt[(head + ChannelSyntax.Start.Length)..],
            SkipsLead = (isClosed || _traits.SkipsLead) && !conversation.ContinueFinal,
            Ends = Channels is not null ? [] : [.. _traits.Ends.Where(text => !TemplateTraits.IsSpecial(tokenizer, text, out _))],
        };
    }

    /// <summary>How many tokens the prompt of a conversation has.</summary>
    /// <exception cref="ChatException">As for <see cref="Prepare"/>.</exception>
    public int Count(Conversation conversation)
    {
        string prompt = Written(conversation);
        return (template is null ? tokenizer : tokenizer.Bare).CountTokens(prompt);
    }

    private string Written(Conversation conversation)
    {
        if (problem is not null)
        {
            throw new ChatException("messages", $"This model's chat template cannot be used ({problem}); use /v1/completions.",
                "chat_template_unsupported");
        }

        IReadOnlyList<Tool> tools = conversation.CallableTools;
        return template is null
            ? Plain(ToolText.Write(conversation.Turns, tools, Syntax), conversation.ContinueFinal) : Render(template, conversation, tools);
    }

    /// <summary>The constraint of a form alone.</summary>
    /// <exception cref="ChatException">The form cannot be used; the message says where.</exception>
    public Constraint Constrain(AnswerForm form, CancellationToken cancellation = default) => _constraints.Get(
        ConstraintCache.KeyOf(form), form.Field, budget => AnswerGrammar.Of(form, tokenizer, budget), cancellation);

    private Constraint? Constrain(Conversation conversation, AnswerSyntax answer, CancellationToken cancellation)
    {
        bool free = conversation.Form is null
            && (answer.Syntax is null
                || (conversation.ToolChoice.Mode != ToolChoiceMode.Required && !conversation.CallableTools.Any(tool => tool.Strict)));
        return free ? null : _constraints.Get(
            ConstraintCache.KeyOf(conversation, answer), conversation.Form?.Field ?? "tools", budget =>
                AnswerGrammar.Of(conversation, answer, tokenizer, budget)!, cancellation);
    }

    /// <summary>The dialogue as plain text.</summary>
    private static string Plain(IReadOnlyList<ChatTurn> turns, bool continueFinal)
    {
        var text = new StringBuilder();
        foreach (ChatTurn turn in turns)
        {
            text.Append(turn.Role == "system" ? $"{turn.Content}\n\n" : $"{turn.Role}: {turn.Content}\n");
        }

        return continueFinal ? text.ToString(0, text.Length - 1) : text.Append("assistant:").ToString();
    }

    /// <summary>A rendered conversation up to where its last turn's text ends: what a template writes behind that ends the turn.</summary>
    /// <exception cref="ChatException">The template does not write that text as it is.</exception>
    private static string CutBehind(string prompt, string last)
    {
        foreach (string text in (ReadOnlySpan<string>)[last, last.TrimEnd(), last.Trim()])
        {
            if (text.Length > 0 && prompt.LastIndexOf(text, StringComparison.Ordinal) is var at and >= 0)
            {
                return prompt[..(at + text.Length)];
            }
        }

        throw new ChatException("messages", "The last message, of the assistant, cannot be continued: the model's chat template does not "
            + "write its text as it is; end with the user's.", "unsupported_parameter");
    }

    /// <summary>
    /// The template must know all that the conversation needs, else all of it is written out, so that the model sees one way only. Calls
    /// alone are written out where the template leaves them to the content.
    /// </summary>
    private (IReadOnlyList<ChatTurn> Turns, bool TellsOfTools) Told(Conversation conversation, IReadOnlyList<Tool> tools)
    {
        bool hasCalls = conversation.Turns.Any(turn => turn.Role == "tool" || turn.ToolCalls.Count > 0);
        bool tells = tools.Count == 0 || TellsOfTools;
        return tells && (_traits.ShowsCalls || !hasCalls) ? (conversation.Turns, tools.Count > 0)
            : tells && TellsOfTools && _traits.ShowsResults ? (ToolText.WriteCalls(conversation.Turns, Syntax), tools.Count > 0)
            : (ToolText.Write(conversation.Turns, tools, Syntax), false);
    }

    private string Render(ChatTemplate template, Conversation conversation, IReadOnlyList<Tool> tools)
    {
        (IReadOnlyList<ChatTurn> turns, bool tellsOfTools) = Told(conversation, tools);
        template = tellsOfTools ? template.ForTools ?? template : template;

        // As transformers has it: what is not given is none, not undefined.
        var variables = new Dictionary<string, object?> { ["tools"] = null, ["documents"] = null };
        if (conversation.Thinking is { } thinking)
        {
            // The names that templates of today have for it.
            variables["enable_thinking"] = thinking;
            variables["thinking"] = thinking;
        }

        if (conversation.Effort is { } effort)
        {
            variables["reasoning_effort"] = effort;
            variables["reasoning_strength"] = effort;
        }

        foreach ((string name, object? value) in conversation.TemplateVariables)
        {
            variables[name] = value;
        }

        variables["messages"] = TemplateValues.Messages(
            _traits.Shape.Fit(turns), _traits.Wishes with { ShortIds = Syntax.ShortIds, NamedIds = Syntax.NamedIds });
        if (tellsOfTools)
        {
            variables["tools"] = TemplateValues.Tools(tools);
        }

        variables["add_generation_prompt"] = !conversation.ContinueFinal;
        variables["bos_token"] = template.BosToken ?? Text(tokenizer.BosId);
        variables["eos_token"] = template.EosToken ?? Text(tokenizer.EosId);
        try
        {
            string prompt = template.Render(variables);
            return conversation.ContinueFinal ? CutBehind(prompt, turns[^1].Content) : prompt;
        }
        catch (ChatTemplateException e)
        {
            throw new ChatException("messages", $"The model's chat template refuses these messages: {e.Message}");
        }
    }

    /// <summary>The special tokens among marks that a parser looks for; what ends the answer is not part of its text.</summary>
    private HashSet<int>? Kept(IEnumerable<string> marks, IReadOnlyList<int> ends)
    {
        HashSet<int> kept = [.. marks.Where(mark => mark.Length > 0 && TemplateTraits.IsSpecial(tokenizer, mark, out _))
            .Select(mark => tokenizer.TryGetId(mark, out int id) ? id : -1).Except(ends)];
        return kept.Count > 0 ? kept : null;
    }

    /// <summary>Mistral's templates insist on nine letters and digits.</summary>
    private string NewId() => Syntax.ShortIds
        ? Guid.NewGuid().ToString("N")[..TemplateValues.MistralIdLength]
        : $"call_{Guid.NewGuid():N}";

    private string Text(int? token) => token is { } id ? tokenizer.TokenText(id) : "";
}
