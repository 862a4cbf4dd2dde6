using System.Text.RegularExpressions;

namespace Understory.Server.Chat;

/// <summary>What a message of an answer is for.</summary>
public enum MessageKind
{
    Thoughts,
    Text,

    /// <summary>The arguments of a call whose name the head says.</summary>
    Call,
}

/// <summary>
/// How a family parts its answers into messages, each with a head that says what it is for: <c>&lt;|start|&gt;assistant</c>, a recipient, a
/// channel, <c>&lt;|message|&gt;</c>, the text, and a mark that ends the message or the turn.
/// </summary>
/// <param name="ThoughtsHead">The head of thoughts, behind <see cref="Start"/>.</param>
/// <param name="TextHead">The head of what is said.</param>
/// <param name="MessageEnd">Ends a message; another one follows.</param>
/// <param name="TurnEnds">End a message and the turn.</param>
public sealed partial record ChannelSyntax(string ThoughtsHead, string TextHead, string MessageEnd, IReadOnlyList<string> TurnEnds)
{
    public const string Start = "<|start|>assistant";
    public const string HeadEnd = "<|message|>";

    private const int LongestHead = 300;

    /// <summary>gpt-oss: analysis is thought, commentary to a function calls it, final is said.</summary>
    public static ChannelSyntax Harmony { get; } =
        new("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", ["<|return|>", "<|call|>"])
        {
            OtherAddress = ("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>"),
        };

    /// <summary>Muse-Glimmer: what goes to itself is thought, what goes to the user is said, the rest goes to tools.</summary>
    public static ChannelSyntax Atem { get; } = new(" to=self<|message|>", " to=user<|message|>", "<|eom|>", ["<|eot|>"]);

    /// <summary>The other way to address a tool, which the model writes where its template does not.</summary>
    public (string Open, string Close)? OtherAddress { get; init; }

    /// <summary>Every mark there is.</summary>
    public IReadOnlyList<string> Marks =>
        ["<|start|>", "<|channel|>", "<|constrain|>", HeadEnd, MessageEnd, .. TurnEnds];

    /// <summary>Whether a text may yet become a head; else the model has written none.</summary>
    public static bool MayBeHead(string text)
    {
        string head = text.TrimStart();
        return head.Length < LongestHead && (head.Length == 0 || Array.Exists(["<|start|>", "<|channel|>", "<|constrain|>", HeadEnd, "to="],
            begin => begin.StartsWith(head, StringComparison.Ordinal) || head.StartsWith(begin, StringComparison.Ordinal)));
    }

    /// <param name="head">All up to <see cref="HeadEnd"/>.</param>
    /// <param name="tool">The tool that a call is for.</param>
    public MessageKind KindOf(string head, out string tool)
    {
        const string Functions = "functions.";
        string recipient = Recipient().Match(head) is { Success: true } to ? to.Groups[1].Value : "";
        tool = recipient.StartsWith(Functions, StringComparison.Ordinal) ? recipient[Functions.Length..] : recipient;
        bool isHarmony = OtherAddress is not null;
        return (isHarmony ? recipient.Length == 0 && head.Contains("<|channel|>analysis", StringComparison.Ordinal) : recipient == "self")
            ? MessageKind.Thoughts
            : isHarmony && recipient.Length > 0 ? MessageKind.Call : MessageKind.Text;
    }

    [GeneratedRegex(@"to=([^\s<]+)")]
    private static partial Regex Recipient();
}
