using System.CommandLine;

namespace Understory.Server.Verbs;

/// <summary>Options of how answers are decoded that several verbs take.</summary>
internal static class AnswerOptions
{
    public static Option<float> Temperature { get; } = new("--temperature") { Description = "0 is greedy.", HelpName = "T" };

    public static Option<int> TopK { get; } =
        new("--top-k") { Description = "Keep the K most probable tokens; 0 keeps all.", HelpName = "K" };

    public static Option<ulong> Seed { get; } = new("--seed") { Description = "Of the sampling noise.", HelpName = "N" };

    /// <param name="fallback">Where nothing is said.</param>
    public static Option<int> MaxTokens(int fallback) =>
        new("--max-tokens") { Description = "Most tokens of an answer.", DefaultValueFactory = _ => fallback, HelpName = "N" };
}
