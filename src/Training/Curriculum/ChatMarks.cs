using System.Text;

namespace Understory.Training.Curriculum;

/// <summary>A message of a conversation.</summary>
/// <param name="Role"><c>system</c>, <c>user</c> or <c>assistant</c>.</param>
internal sealed record Message(string Role, string Content);

/// <summary>How conversations are written: the demo's special tokens and its chat template.</summary>
internal static class ChatMarks
{
    /// <summary>Ends a text, so that the next one begins behind it.</summary>
    public const string EndOfText = "<|endoftext|>";

    /// <summary>Ends a message.</summary>
    public const string End = "<|end|>";

    /// <summary>In the order of their ids, from 0.</summary>
    public static readonly IReadOnlyList<string> All = [EndOfText, "<|system|>", "<|user|>", "<|assistant|>", End];

    /// <summary>A Jinja template that writes what <see cref="Write"/> does, behind the end of the text before.</summary>
    public const string Template =
        "{{- bos_token }}{%- for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{%- endfor %}"
        + "{%- if add_generation_prompt %}{{ '<|assistant|>' }}{%- endif %}";

    public static string Write(IEnumerable<Message> messages)
    {
        var text = new StringBuilder();
        foreach (Message message in messages)
        {
            text.Append("<|").Append(message.Role).Append("|>").Append(message.Content).Append(End);
        }

        return text.ToString();
    }

    /// <summary>The prompt for an answer to <paramref name="messages"/>.</summary>
    public static string Prompt(params IEnumerable<Message> messages) => Write(messages) + "<|assistant|>";
}
