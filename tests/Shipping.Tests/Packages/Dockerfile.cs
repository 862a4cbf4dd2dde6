using System.Text.Json;

namespace Understory.Shipping.Tests.Packages;

/// <summary>The instructions of a Dockerfile's last stage, read as far as ours go.</summary>
internal static class Dockerfile
{
    /// <summary>What follows an instruction, its continued lines joined; the last one counts.</summary>
    public static string Of(string text, string instruction) => text.Replace("\\\n", " ").Split('\n')
        .Last(line => line.StartsWith(instruction + " ", StringComparison.Ordinal))[(instruction.Length + 1)..].Trim();

    /// <summary>An instruction in its JSON form, without what stands before the list.</summary>
    public static string[] List(string text, string instruction) =>
        Of(text, instruction) is var said ? JsonSerializer.Deserialize<string[]>(said[said.IndexOf('[', StringComparison.Ordinal)..])! : [];

    public static IEnumerable<(string Name, string? Value)> Variables(string text) => Of(text, "ENV")
        .Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).Select(pair => (pair[0], (string?)pair[1]));
}
