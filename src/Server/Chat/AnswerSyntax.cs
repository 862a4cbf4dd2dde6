namespace Understory.Server.Chat;

/// <summary>What the prompt says of thoughts.</summary>
public enum ThoughtState
{
    /// <summary>The model has no thoughts, or the prompt has closed them.</summary>
    None,

    /// <summary>The answer may begin with thoughts.</summary>
    Possible,

    /// <summary>The prompt has opened them.</summary>
    Open,
}

/// <summary>What an answer may hold beside text.</summary>
/// <param name="Syntax">How calls are written; null: none are looked for.</param>
/// <param name="Find">The tool of a name that may be called; null: there is none, and calls of it are text.</param>
/// <param name="Parallel">Calls after the first count too; else the answer ends with it.</param>
/// <param name="NewId">Makes the id of a call.</param>
public sealed record AnswerSyntax(ToolSyntax? Syntax, Func<string, Tool?> Find, bool Parallel, Func<string> NewId)
{
    public static AnswerSyntax PlainText { get; } = new(null, _ => null, true, () => "");

    /// <summary>How thoughts are marked; null: there are none, or they are messages of their own.</summary>
    public ThoughtSyntax? Thoughts { get; init; }

    public ThoughtState Thinking { get; init; }

    /// <summary>The messages that the answer consists of; null: it is one text.</summary>
    public ChannelSyntax? Channels { get; init; }

    /// <summary>Of the first message, what the prompt has written behind its start.</summary>
    public string Head { get; init; } = "";

    /// <summary>The answer begins with blanks that are no part of it.</summary>
    public bool SkipsLead { get; init; }

    /// <summary>Texts that end the turn.</summary>
    public IReadOnlyList<string> Ends { get; init; } = [];

    /// <summary>Marks may occur, so that text is not just text.</summary>
    public bool HasMarks => Syntax is not null || Thinking != ThoughtState.None || Channels is not null || Ends.Count > 0 || SkipsLead
        || Thoughts?.AnswerMarks.Count > 0;
}
