using System.Text;
using Understory.Models.Tokenizers;

namespace Understory.Server.OpenAi;

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
/// whose answer ends where the model begins to speak for the user.
/// </summary>
/// <param name="template">Null: the model has none.</param>
/// <param name="problem">Why the model's template cannot be used, where it cannot; chats are then refused.</param>
public sealed class ChatFormat(Tokenizer tokenizer, ChatTemplate? template, string? problem = null)
{
    /// <summary>Stop strings beside the request's own.</summary>
    public IReadOnlyList<string> Stops { get; } = template is null && problem is null ? ["\nuser:"] : [];

    /// <summary>For people: which way it is.</summary>
    public string Description => problem ?? (template is null ? "none: a plain dialogue" : "the model's own");

    /// <param name="variables">Further variables for the template, by name.</param>
    /// <exception cref="ApiException">400: the template refuses this conversation, or cannot be used.</exception>
    public int[] Encode(IReadOnlyList<ChatTurn> messages, IReadOnlyDictionary<string, object?> variables)
    {
        if (problem is not null)
        {
            throw new ApiException(400, $"This model's chat template cannot be used ({problem}); use /v1/completions.", "messages", "chat_template_unsupported");
        }

        // A template writes the tokens that begin a text itself.
        return template is null
            ? tokenizer.Encode(Plain(messages))
            : tokenizer.Encode(Render(template, messages, variables), addSpecialTokens: false);
    }

    /// <summary>The dialogue as plain text.</summary>
    public static string Plain(IReadOnlyList<ChatTurn> messages)
    {
        var text = new StringBuilder();
        foreach (ChatTurn turn in messages)
        {
            text.Append(turn.Role == "system" ? $"{turn.Content}\n\n" : $"{turn.Role}: {turn.Content}\n");
        }

        return text.Append("assistant:").ToString();
    }

    private string Render(ChatTemplate template, IReadOnlyList<ChatTurn> messages, IReadOnlyDictionary<string, object?> variables)
    {
        var all = new Dictionary<string, object?>(variables)
        {
            ["messages"] = messages.Select(turn => (object?)new OrderedDictionary<string, object?> { ["role"] = turn.Role, ["content"] = turn.Content }).ToList(),
            ["add_generation_prompt"] = true,
            ["bos_token"] = template.BosToken ?? Text(tokenizer.BosId),
            ["eos_token"] = template.EosToken ?? Text(tokenizer.EosId),
        };
        try
        {
            return template.Render(all);
        }
        catch (ChatTemplateException e)
        {
            throw ApiException.Invalid("messages", $"The model's chat template refuses these messages: {e.Message}");
        }
    }

    private string Text(int? token) => token is { } id ? tokenizer.TokenText(id) : "";
}
