namespace Understory.Server.Chat;

/// <summary>A piece of an answer while it is written; equal kinds in a row belong together.</summary>
public abstract record AnswerPart;

/// <summary>Text for the reader.</summary>
public sealed record TextPart(string Text) : AnswerPart;

/// <summary>What the model thinks before it speaks.</summary>
public sealed record ReasoningPart(string Text) : AnswerPart;

/// <summary>The model calls a tool; its arguments follow.</summary>
/// <param name="Index">From 0, within the answer.</param>
public sealed record ToolCallBegun(int Index, string Id, string Name) : AnswerPart;

/// <summary>More of the arguments of the call begun last: pieces of a JSON object.</summary>
public sealed record ToolCallArguments(int Index, string Text) : AnswerPart;

/// <summary>A whole answer.</summary>
/// <param name="Reasoning">Null: the model did not think aloud.</param>
public sealed record ParsedAnswer(string Text, string? Reasoning, IReadOnlyList<ToolCall> ToolCalls);
