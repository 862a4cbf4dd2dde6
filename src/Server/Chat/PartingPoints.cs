using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>
/// How far later prompts are likely to go with a conversation's: up to what its last turn says, as in a conversation that begins alike, and
/// as far as the conversation itself goes once it has been answered and goes on, when templates write earlier turns anew.
/// </summary>
internal static class PartingPoints
{
    private const string Other = "~";
    private const string Another = "#";

    /// <summary>Lengths of such prefixes of the conversation's prompt, ascending; none where the template refuses them.</summary>
    public static int[] Of(ChatRenderer chat, Conversation conversation, int[] prompt)
    {
        Conversation plain = conversation with { Form = null, ToolChoice = conversation.ToolChoice with { Mode = Free(conversation) } };
        ChatTurn last = plain.Turns[^1];
        string content = last.Content.StartsWith(Other, StringComparison.Ordinal) ? Another : Other;
        ChatTurn[][] later =
        [
            [.. plain.Turns.SkipLast(1), last with { Content = content }],
            [.. plain.Turns, new ChatTurn("assistant", Other), new ChatTurn("user", Other)],
        ];
        return [.. later.Select(turns => Shared(chat, plain with { Turns = turns }, prompt)).Where(point => point > 0).Distinct().Order()];
    }

    private static ToolChoiceMode Free(Conversation conversation) =>
        conversation.ToolChoice.Mode == ToolChoiceMode.None ? ToolChoiceMode.None : ToolChoiceMode.Auto;

    private static int Shared(ChatRenderer chat, Conversation later, int[] prompt)
    {
        try
        {
            return prompt.AsSpan().CommonPrefixLength(chat.Prepare(later).Prompt);
        }
        catch (Exception error) when (error is ChatException or TokenizationException)
        {
            return 0;
        }
    }
}
