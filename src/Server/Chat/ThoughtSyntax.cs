namespace Understory.Server.Chat;

/// <summary>What stands around what a model thinks before it speaks.</summary>
/// <param name="Name">For people.</param>
/// <param name="Open">Opens the thoughts.</param>
/// <param name="Close">Closes them.</param>
public sealed record ThoughtSyntax(string Name, string Open, string Close)
{
    /// <summary>Marks around the answer itself, which are no part of it.</summary>
    public IReadOnlyList<string> AnswerMarks { get; init; } = [];

    /// <summary>All ways; the first whose marks a template has is the template's.</summary>
    public static IReadOnlyList<ThoughtSyntax> All { get; } =
    [
        new("gemma", "<|channel>thought\n", "<channel|>"),
        new("cohere", "<|START_THINKING|>", "<|END_THINKING|>") { AnswerMarks = ["<|START_RESPONSE|>", "<|END_RESPONSE|>"] },
        new("mistral", "[THINK]", "[/THINK]"),
        new("seed", "<seed:think>", "</seed:think>"),
        new("granite", "<think>", "</think>") { AnswerMarks = ["<response>", "</response>"] },
        new("think", "<think>", "</think>"),
    ];

    public static ThoughtSyntax Think { get; } = All[^1];

    /// <summary>Texts that tokenizers may hold as special tokens, and that must not be lost.</summary>
    public IEnumerable<string> Specials => [Open[..(Open.AsSpan().LastIndexOfAny('>', ']') + 1)], Close, .. AnswerMarks];
}
