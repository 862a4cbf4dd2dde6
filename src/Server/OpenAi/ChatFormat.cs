using System.Text;
using Understory.Models.Tokenizers;

namespace Understory.Server.OpenAi;

/// <summary>
/// How a conversation becomes a prompt: as a plain dialogue:
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
public sealed class ChatFormat(Tokenizer tokenizer)
{
    /// <summary>Stop strings beside the request's own.</summary>
    public IReadOnlyList<string> Stops { get; } = ["\nuser:"];

    public int[] Encode(IReadOnlyList<ChatTurn> messages) => tokenizer.Encode(Plain(messages));

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
}
